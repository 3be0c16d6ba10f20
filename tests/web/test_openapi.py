"""The description of the routes: all of them and nothing else, in the form that OpenAPI has."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import schemathesis

from tabpy.tabpy_server.access.gate import OpenGate
from tabpy.tabpy_server.web import openapi
from tabpy.tabpy_server.web.handlers.base import BaseHandler
from tabpy.tabpy_server.web.openapi import Route, document, operations
from tabpy.tabpy_server.web.operation import Reply, operation
from tabpy.tabpy_server.web.routes import make_routes
from tabpy.tabpy_server.web.server_info import Service
from tests.web.harness import Web, make_context

Serve = Callable[..., Web]

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def description(web: Web, **options: Any) -> dict[str, Any]:
    prefix = web.context.service.prefix
    found: dict[str, Any] = web.request("GET", f"{prefix}/openapi.json", **options).json
    return found


@pytest.fixture(params=[False, True], ids=["our page", "own pages"])
def web(request: pytest.FixtureRequest, serve: Serve, tmp_path: Path) -> Web:
    (tmp_path / "index.html").write_text("ours")
    return serve({"static_path": tmp_path} if request.param else {})


def test_it_has_every_method_that_a_route_has_and_no_other(web: Web) -> None:
    described = description(web)["paths"]
    for path, methods in described.items():
        for method in METHODS:
            reply = web.request(method, re.sub(r"{\w+}", "x", path))
            assert (reply.status != 405) == (method.lower() in methods), (method, path)
    assert len(described) == len(make_routes(web.context))
    assert set(methods) <= {"parameters", *map(str.lower, METHODS)}


def test_it_is_openapi(web: Web) -> None:
    schemathesis.openapi.from_dict(description(web)).validate()


def test_every_status_of_an_answer_is_described(web: Web) -> None:
    """Those that the routes give here, where nothing is deployed and no worker is."""
    described = description(web)["paths"]
    for path, methods in described.items():
        for method in methods.keys() - {"parameters"}:
            for authorization in (None, "Basic eDp5"):
                url = re.sub(r"{\w+}", "x", path)
                reply = web.request(method.upper(), url, b"{", authorization=authorization)
                assert str(reply.status) in methods[method]["responses"], (method, path)
            reply = web.request(method.upper(), url, b"{")
            assert str(reply.status) in methods[method]["responses"], (method, path)


def test_it_needs_credentials_like_the_rest(web: Web) -> None:
    assert web.request("GET", "/openapi.json", authorization=None).status == 401
    described = description(web)
    assert described["security"] == [{"basic": []}]
    assert described["components"]["securitySchemes"] == {
        "basic": {"type": "http", "scheme": "basic"}
    }
    for path, methods in described["paths"].items():
        for method in methods.keys() - {"parameters"}:
            is_open = method == "options" or path in ("/healthz", "/readyz")
            assert ("401" in methods[method]["responses"]) is not is_open
            assert methods[method].get("security") == ([] if is_open else None)


def test_an_open_server_asks_for_none(serve: Serve) -> None:
    described = description(serve(gate=OpenGate()), authorization=None)
    assert described["security"] == []
    responses = described["paths"]["/info"]["get"]["responses"]
    assert "401" not in responses
    assert "406" in responses


def test_it_says_where_the_routes_lie(serve: Serve) -> None:
    described = description(serve(service=Service(name="Ours", prefix="/a/b")))
    assert described["servers"] == [{"url": "/a/b"}]
    assert described["info"]["title"] == "Ours"
    assert "/info" in described["paths"]


def test_every_method_says_what_it_does() -> None:
    ids = []
    for route in make_routes(make_context()):
        for _, found in operations(route.handler):
            assert found.summary
            assert found.replies
        described = document([route], prefix="", name="", methods=["basic-auth"])["paths"]
        for methods in described.values():
            ids += [each["operationId"] for key, each in methods.items() if key != "parameters"]
    assert len(ids) == len(set(ids))


def test_one_that_does_not_is_named() -> None:
    class Silent(BaseHandler):
        def get(self) -> None: ...

    with pytest.raises(KeyError, match=r"Silent\.get doesn't say"):
        document([Route("/x", Silent, {})], prefix="", name="", methods=["basic-auth"])


def test_a_path_has_its_parts_as_parameters() -> None:
    class Named(BaseHandler):
        @operation("Do", Reply(200, "Done"), errors=(404,))
        def get(self) -> None: ...

    described = document(
        [Route("/a/([^/]+)/b/?", Named, {})], prefix="", name="", methods=["basic-auth"]
    )
    assert described["paths"]["/a/{name}/b"]["parameters"] == [
        {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
    ]
    assert described["paths"]["/a/{name}/b"]["get"]["operationId"] == "get_a_name_b"
    responses = described["paths"]["/a/{name}/b"]["get"]["responses"]
    assert responses["404"] == {"$ref": "#/components/responses/404"}


def test_every_error_it_refers_to_is_there() -> None:
    assert {*openapi.ALWAYS, *openapi.SIGNED_IN, *openapi.OPEN} <= set(openapi.MEANINGS)
    assert set(openapi.HEADERS) <= set(openapi.MEANINGS)
