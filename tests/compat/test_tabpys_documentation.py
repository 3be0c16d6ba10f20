"""What docs/tabpy-documentation.md says of TabPy's settings, routes, methods and commands is so."""

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tabpy.tabpy_server.errors import StartError
from tabpy.tabpy_server.loaded_settings import load
from tabpy.tabpy_tools.client import Client
from tabpy.tabpy_tools.schema import generate_schema
from tests.running import Server, clean_environment
from tests.test_documented import ROOT

OAUTH: tuple[str, ...] = (
    "ENABLED",
    "ISSUER",
    "JWKS_URI",
    "ALLOW_NONPUBLIC_JWKS",
    "AUDIENCE",
    "REQUIRED_SCOPES",
)
OAUTH += ("ENFORCE_ENDPOINT_SCOPES", "QUERY_SCOPE", "EVALUATE_SCOPE", "DEPLOY_SCOPE", "LOG_USER")
# All that TabPy 2.16.0 reads: its app_parameters.py.
TABPYS = {
    *(f"TABPY_OAUTH_{name}" for name in OAUTH),
    *("TABPY_PORT", "TABPY_QUERY_OBJECT_PATH", "TABPY_STATE_PATH", "TABPY_STATIC_PATH"),
    *("TABPY_PWD_FILE", "TABPY_TRANSFER_PROTOCOL", "TABPY_CERTIFICATE_FILE", "TABPY_KEY_FILE"),
    *("TABPY_MINIMUM_TLS_VERSION", "TABPY_LOG_DETAILS", "TABPY_MAX_REQUEST_SIZE_MB"),
    *("TABPY_EVALUATE_ENABLE", "TABPY_EVALUATE_TIMEOUT", "TABPY_GZIP_ENABLE"),
    *("TABPY_ARROW_ENABLE", "TABPY_ARROWFLIGHT_PORT"),
}
# All public ones of its client.
METHODS = {"set_credentials", "deploy", "update_endpoint_info", "get_endpoints", "get_status"}
METHODS |= {"query", "remove"}
COMMANDS = {
    "tabpy": "tabpy",
    "tabpy-user": "tabpy.commands.user",
    "tabpy-deploy-models": "tabpy.commands.deploy_models",
}


class Row(NamedTuple):
    documented: str
    here: str
    more: str

    def is_code(self, pattern: str) -> re.Match[str] | None:
        return re.fullmatch(f"`{pattern}`", self.documented)


def rows() -> list[Row]:
    text = (ROOT / "docs" / "tabpy-documentation.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [Row(*each) for each in cells if each[1] != "Here"]


ROWS = rows()


def named(pattern: str) -> pytest.MarkDecorator:
    """The rows whose first cell is such a piece of code, as a parametrization."""
    found = [row for row in ROWS if row.is_code(pattern)]
    assert found
    return pytest.mark.parametrize("row", found, ids=[row.documented.strip("`") for row in found])


def test_each_row_says_yes_or_why_not() -> None:
    assert [row for row in ROWS if row.here not in {"yes", "no"}] == []
    assert [row for row in ROWS if row.here == "no" and not row.more] == []


def test_each_setting_of_tabpys_has_a_row() -> None:
    assert {row.documented.strip("`") for row in ROWS if row.is_code(r"TABPY_\w+")} == TABPYS


@named(r"TABPY_\w+")
def test_a_setting_is_known(row: Row) -> None:
    assert is_known(row.documented.strip("`")) == (row.here == "yes")


def is_known(setting: str) -> bool:
    """Read without a warning, or refused by name for its value."""
    try:
        warnings = load(None, {setting: "x"}).warnings
    except StartError as refusal:
        return setting in str(refusal)
    return not any(each.startswith(f"{setting} is no setting") for each in warnings)


def test_a_setting_that_nobody_knows_is_not_known() -> None:
    assert not is_known("TABPY_NO_SUCH_SETTING")


@named(r"(GET|POST|PUT|DELETE) /[\w/]+")
def test_a_route_is_there(server: Server, row: Row) -> None:
    method, path = row.documented.strip("`").split()
    described = server.request("GET", "/openapi.json").json["paths"]
    there = method.lower() in described.get(path.replace("NAME", "{name}"), {})
    assert there == (row.here == "yes")


def test_each_method_of_tabpys_client_has_a_row() -> None:
    found = [row.is_code(r"Client\.(\w+)\(.*\)") for row in ROWS]
    assert {match[1] for match in found if match} == METHODS


@named(r"[\w.]+\(.*\)")
def test_a_method_takes_those_arguments(row: Row) -> None:
    name, _, arguments = row.documented.strip("`)").partition("(")
    taken = inspect.signature(callable_named(name)).parameters
    there = set(filter(None, arguments.split(", "))) <= set(taken)
    assert there == (row.here == "yes")


def callable_named(name: str) -> Callable[..., Any]:
    owner, _, method = name.partition(".")
    found: dict[str, Any] = {"Client": Client, "generate_schema": generate_schema}
    whole: Callable[..., Any] = found[owner]
    return getattr(whole, method) if method else whole


@named(r"tabpy[\w-]*( .*)?")
def test_a_command_takes_those_options(row: Row) -> None:
    command, *words = row.documented.strip("`").split()
    actions = [word for word in words if word.islower() and not word.startswith("-")]
    told = subprocess.run(
        [sys.executable, "-m", COMMANDS[command], *actions, "--help"],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    options = [word.partition("=")[0] for word in words if word.startswith("-")]
    assert all(option in told for option in options) == (row.here == "yes")
