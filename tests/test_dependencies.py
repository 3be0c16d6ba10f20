"""Whatever the package imports, pyproject.toml requires: the client's packages, or the server's."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tests.light import LIGHT, SERVER_COMMANDS
from tests.test_layers import MODULES

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
DISTRIBUTIONS = metadata.packages_distributions()
FILES = sorted((ROOT / "tabpy").rglob("*.py"))


def name_of(requirement: str) -> str:
    """The name, in its normal form, of what a line requires."""
    found = re.match(r"[\w.-]+", requirement)
    assert found
    return normal(found[0])


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported_by(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_what_is_imported_is_required(file: Path) -> None:
    required = {name_of(each) for each in PROJECT["dependencies"]}
    if file not in {MODULES[module] for module in LIGHT}:
        required |= {name_of(each) for each in EXTRAS["server"]}
    if "models" in file.parts:  # the predeployed functions
        required |= {name_of(each) for each in (*EXTRAS["models"], *EXTRAS["science"])}
    ours = {"tabpy", *sys.stdlib_module_names}
    strangers = set(imported_by(file)) - ours
    known = {
        module: {normal(each) for each in DISTRIBUTIONS.get(module, [module])}
        for module in strangers
    }
    assert {module for module, names in known.items() if not names & required} == set()


def test_the_servers_commands_are_the_only_ones_that_need_the_extra() -> None:
    scripts = {target.partition(":")[0] for target in PROJECT["scripts"].values()}
    assert scripts > SERVER_COMMANDS
    assert scripts - SERVER_COMMANDS <= LIGHT


def test_what_a_stored_function_names_needs_nothing_but_python() -> None:
    """An archive of TabPy's client or of ours is loaded by these two modules."""
    for name in ("query_object", "custom_query_object"):
        file = MODULES[f"tabpy.tabpy_tools.{name}"]
        at_the_top = {
            each
            for node in ast.parse(file.read_text(encoding="utf-8")).body
            for each in imported_by_statement(node)
        }
        assert at_the_top <= {"tabpy", *sys.stdlib_module_names}


def imported_by_statement(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.Import):
        return [each.name.partition(".")[0] for each in node.names]
    return [str(node.module).partition(".")[0]] if isinstance(node, ast.ImportFrom) else []
