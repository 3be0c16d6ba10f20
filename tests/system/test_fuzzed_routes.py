"""A running server keeps to its own description, whatever its routes are asked.

schemathesis makes the requests from `/openapi.json`: right ones and wrong ones, the same in each
run, and others in `make fuzz`.
"""

import json
from collections.abc import Iterator
from typing import Any, TextIO

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import CheckContext
from schemathesis.specs.openapi import checks

from tabpy.tabpy_server.web.openapi import document
from tabpy.tabpy_server.web.routes import make_routes
from tabpy.tabpy_server.web.schemas import JSON
from tests.deploying import deploy
from tests.running import PASSWORD, USER, Server, basic
from tests.web.harness import make_context

Case = schemathesis.Case[Any]
# What half of the requests have, so that they get somewhere.
FUNCTION, FILE, SCRIPT = "known", "page.css", "return 1"


def same(*values: Any, **named: Any) -> Any:
    return [values, named]


def or_known(schema: dict[str, Any], known: str) -> dict[str, Any]:
    return {"anyOf": [{"const": known}, schema]}


def with_known_names() -> schemathesis.BaseSchema:
    """The routes, as a client finds them. OPTIONS is the same everywhere."""
    written = document(make_routes(make_context()), prefix="", name="", methods=["basic-auth"])
    described: dict[str, Any] = json.loads(json.dumps(written))  # our own stays as it is
    for methods in described["paths"].values():
        for parameter in methods.get("parameters", []):
            known = {"name": FUNCTION, "path": FILE}[parameter["name"]]
            parameter["schema"] = or_known(parameter["schema"], known)
    body = described["paths"]["/evaluate"]["post"]["requestBody"]["content"][JSON]["schema"]
    body["properties"]["script"] = or_known(body["properties"]["script"], SCRIPT)
    return schemathesis.openapi.from_dict(described).exclude(method="OPTIONS")


ROUTES = with_known_names()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"TABPY_WORKERS": "1", "TABPY_EVALUATE_TIMEOUT": "20"}
    server = Server(tmp_path_factory.mktemp("fuzzed"), settings).wait_until_ready()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def log(running: Server) -> Iterator[TextIO]:
    """The server's log: each read gives what is new, since all of it grows long."""
    with running.log_file.open() as opened:
        yield opened


@pytest.fixture
def fuzzed(running: Server) -> Server:
    """A server that has the function."""
    if running.request("GET", f"/endpoints/{FUNCTION}").status == 404:
        assert deploy(running, FUNCTION, same).status == 201
    return running


def no_accident(_: CheckContext, response: schemathesis.Response, case: Case) -> None:
    """A script may fail, and the server be busy; but nothing of ours breaks."""
    assert b"Internal error" not in response.content
    assert response.status_code != 500 or case.path in ("/evaluate", "/query/{name}")


@ROUTES.parametrize()
@hypothesis.settings(
    max_examples=hypothesis.settings().max_examples // 10,
    suppress_health_check=list(hypothesis.HealthCheck),
)
def test_the_server_keeps_to_its_description(case: Case, fuzzed: Server, log: TextIO) -> None:
    case.call_and_validate(
        base_url=f"http://127.0.0.1:{fuzzed.port}",
        headers={"Authorization": basic(USER, PASSWORD)},
        timeout=30,
        checks=[
            no_accident,
            checks.status_code_conformance,
            checks.content_type_conformance,
            checks.response_headers_conformance,
            checks.response_schema_conformance,
        ],
    )
    assert "level=error" not in log.read()


def test_it_is_the_servers_own_description(fuzzed: Server) -> None:
    described = fuzzed.request("GET", "/openapi.json").json
    own = document(
        make_routes(make_context()), prefix="", name="TabPy Server", methods=["basic-auth"]
    )
    assert described == own
