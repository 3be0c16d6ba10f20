"""The description of all routes in OpenAPI 3.1, made from the routes themselves.

https://spec.openapis.org/oas/v3.1.1.html
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any, NamedTuple

from tornado.web import RequestHandler

from tabpy import __version__
from tabpy.tabpy_server.web.handlers.base import BaseHandler
from tabpy.tabpy_server.web.handlers.job import JobHandler
from tabpy.tabpy_server.web.operation import Body, Operation, Reply, operation_of
from tabpy.tabpy_server.web.schemas import ERROR, HTML, JSON, TEXT

METHODS = [method.lower() for method in RequestHandler.SUPPORTED_METHODS]
SCHEMES: Mapping[str, tuple[str, Mapping[str, str]]] = {  # by TabPy's words for them
    "basic-auth": ("basic", {"type": "http", "scheme": "basic"}),
    "oauth-jwt": ("bearer", {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}),
}
# What every route may answer, and those that need credentials.
ALWAYS = (301, 400, 403, 413, 500)
SIGNED_IN = (401, 415, 429, 503)
OPEN = (406, 415, 503)  # on a server without passwords
HEADERS: Mapping[int, str] = {301: "Location", 401: "WWW-Authenticate", 429: "Retry-After"}
MEANINGS: Mapping[int, str] = {
    301: "On Heroku: the same, by https",
    400: "The request can't be understood, or what it says can't be right",
    401: "No credentials, or wrong ones",
    403: "Another web site's page asks, the server is called by a name that isn't its own, or "
    "plain http is used on Heroku, or a right is missing",
    404: "There is none",
    406: "Credentials, where none are needed",
    408: "The time for it was over, and it was stopped",
    413: "The body is too large",
    415: "The body is packed in a way that isn't accepted",
    429: "Too many guesses at this user's password, from this address, wait",
    500: "What ran for the request failed, or the server did; `message` says which",
    503: "It was not done, and may be tried again later",
}


Handler = type[BaseHandler] | type[JobHandler]


class Route(NamedTuple):
    """A pattern of paths, who answers them, and what that handler is given."""

    pattern: str
    handler: Handler
    arguments: dict[str, Any]


def document(
    routes: Sequence[Route], *, prefix: str, name: str, methods: Iterable[str]
) -> dict[str, Any]:
    """Return the description of `routes`, which lie below `prefix` on the service `name`.

    `methods`: how to sign in, as `/info` calls it; none on an open server.
    """
    schemes = dict(SCHEMES[each] for each in methods)
    closed = bool(schemes)
    return {
        "openapi": "3.1.0",
        "info": {"title": name, "version": __version__},
        "servers": [{"url": prefix or "/"}],
        "security": [{scheme: []} for scheme in schemes],
        "paths": {_path(route.pattern): _methods(route, closed) for route in routes},
        "components": {
            "schemas": {"Error": ERROR},
            "responses": {str(status): _error(status) for status in MEANINGS},
            "securitySchemes": schemes or dict([SCHEMES["basic-auth"]]),
        },
    }


def operations(handler: Handler) -> Iterator[tuple[str, Operation]]:
    """Yield the methods that a handler has, in lower case, and what each does.

    Raises KeyError for one of which nothing is said.
    """
    for method in METHODS:
        function = getattr(handler, method, None)
        if function in (None, getattr(RequestHandler, method)):
            continue
        found = operation_of(function)
        if found is None and method == "head":  # does as GET does
            get = operation_of(getattr(handler, "get", function))
            if get is None:
                continue
            found = replace(get, replies=tuple(map(_without_body, get.replies)))
        if found is None:
            raise KeyError(f"{handler.__name__}.{method} doesn't say what it takes and answers.")
        yield method, found


def _without_body(reply: Reply) -> Reply:
    return replace(reply, schema=None)


def _path(pattern: str) -> str:
    """Return a pattern as OpenAPI has it: a part is a name, and a rest is a path."""
    named = pattern.replace("([^/]+)", "{name}")
    return re.sub(r"\(\.[*+]\)", "{path}", named).removesuffix("/?")


def _methods(route: Route, closed: bool) -> dict[str, Any]:
    path = _path(route.pattern)
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": TEXT}
        for name in re.findall(r"{(\w+)}", path)
    ]
    described: dict[str, Any] = {"parameters": parameters} if parameters else {}
    for method, found in operations(route.handler):
        is_closed = not route.handler.open_to_all and method != "options"
        described[method] = _operation(method, path, found)
        errors = {*ALWAYS, *found.errors}
        if is_closed:
            errors |= {*(SIGNED_IN if closed else OPEN)}
        else:
            described[method]["security"] = []
        described[method]["responses"] |= {
            str(status): {"$ref": f"#/components/responses/{status}"}
            for status in sorted(errors - {each.status for each in found.replies})
        }
    return described


def _operation(method: str, path: str, found: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": "_".join([method, *re.findall(r"\w+", path)]),
        "summary": found.summary,
        "responses": {str(each.status): _reply(each) for each in found.replies},
    }
    if found.query:
        described["parameters"] = [{**vars(each), "in": "query"} for each in found.query]
    if found.body is not None:
        described["requestBody"] = _body(found.body)
    return described


def _body(body: Body) -> dict[str, Any]:
    content = {kind: {"schema": schema} for kind, schema in body.content.items()}
    return {"required": body.required, "content": content}


def _reply(reply: Reply) -> dict[str, Any]:
    described: dict[str, Any] = {"description": reply.description}
    if reply.schema is not None:
        described["content"] = {reply.content_type: {"schema": reply.schema}}
    if reply.headers:
        described["headers"] = {
            name: {"description": says, "schema": TEXT} for name, says in reply.headers.items()
        }
    return described


def _error(status: int) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": f"{HTTPStatus(status).phrase}: {MEANINGS[status]}",
        "content": {
            JSON: {"schema": {"$ref": "#/components/schemas/Error"}},
            HTML: {"schema": TEXT},  # to a GET that asks for it by name, as browsers do
        },
    }
    if status in HEADERS:
        described["headers"] = {HEADERS[status]: {"required": True, "schema": TEXT}}
    return described
