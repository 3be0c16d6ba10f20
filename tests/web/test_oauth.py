"""What HTTP says to those with tokens: the challenges, and where to get a token."""

import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import pytest

from tabpy.tabpy_server.access.gate import Person
from tabpy.tabpy_server.errors import KeysUnavailableError, TabPyError, WrongTokenError
from tabpy.tabpy_server.rights import ALL, QUERY, Rights
from tabpy.tabpy_server.web.error_reply import OAUTH_RESOURCE
from tabpy.tabpy_server.web.server_info import Service
from tests.web.harness import SIGNED_IN, Web

Serve = Callable[..., Web]

METHOD = {"required_scopes": [], "endpoint_scopes": ["q"], "endpoint_scopes_enforced": True}
SCOPES = {"query": "q", "evaluate": "e", "deploy": "d"}
OAUTH = {
    "oauth_enabled": True,
    "oauth_issuer": "https://issuer.example/",
    "oauth_required_scopes": ("tabpy",),
}


class FakeTokenGate:
    """Lets in a person with a token of some `rights`, or raises `error`."""

    required = True
    methods: Mapping[str, object] = MappingProxyType({"oauth-jwt": METHOD})

    def __init__(self, error: TabPyError | None = None, rights: Rights = ALL, log: bool = False):
        self._error = error
        self._person = Person("oauth:ann", rights, SCOPES, log)

    def remembered(self, _: str | None) -> Person | None:
        return None

    async def admit(self, _: str | None, __: str) -> Person:
        if self._error is not None:
            raise self._error
        return self._person


def challenge(web: Web, *, path: str = "/info", status: int = 401) -> str:
    reply = web.request("POST" if path == "/evaluate" else "GET", path)
    assert reply.status == status
    return str(reply.headers["WWW-Authenticate"])


def test_who_has_no_token_is_told_which_server_asks_and_where_to_learn_more(serve: Serve) -> None:
    web = serve(OAUTH, gate=FakeTokenGate(WrongTokenError()), service=Service(prefix="/a"))
    where = f"http://127.0.0.1:{web.port}/a{OAUTH_RESOURCE}"
    said = challenge(web, path="/a/info")
    assert said == f'Bearer realm="TabPy Server", resource_metadata="{where}"'


def test_whose_token_is_wrong_is_told_why(serve: Serve) -> None:
    web = serve(OAUTH, gate=FakeTokenGate(WrongTokenError("The token has expired")))
    said = challenge(web)
    assert ', error="invalid_token", error_description="The token has expired", ' in said
    assert web.request("GET", "/info").error == (
        401,
        "Invalid credentials provided.",
        "Unauthorized request.",
    )


def test_whose_token_lacks_a_scope_is_told_which(serve: Serve) -> None:
    web = serve(OAUTH, gate=FakeTokenGate(rights=(QUERY,)))
    said = challenge(web, path="/evaluate", status=403)
    assert said.startswith(
        'Bearer realm="TabPy Server", error="insufficient_scope", scope="e", resource_metadata='
    )
    assert web.request("POST", "/evaluate").error == (
        403,
        "Token is missing a required endpoint scope.",
        "Forbidden request. To evaluate here, a token needs the scope 'e': ask for it where you "
        "get the token.",
    )


def test_whose_token_cannot_be_checked_is_told_to_try_again(serve: Serve) -> None:
    reply = serve(OAUTH, gate=FakeTokenGate(KeysUnavailableError())).request("GET", "/info")
    assert reply.status == 503
    assert reply.headers["Retry-After"] == "5"
    assert "WWW-Authenticate" not in reply.headers


@pytest.mark.parametrize(("may_log", "logged"), [(False, "oauth:"), (True, "oauth:ann")])
def test_the_log_has_the_name_only_if_it_may(
    serve: Serve, caplog: pytest.LogCaptureFixture, may_log: bool, logged: str
) -> None:
    with caplog.at_level(logging.INFO, logger="tabpy.request"):
        serve(OAUTH, gate=FakeTokenGate(log=may_log)).request("GET", "/info")
    fields: dict[str, Any] = vars(caplog.records[-1])["fields"]
    assert fields["user"] == logged


def test_where_to_get_a_token_is_open_to_all(serve: Serve) -> None:
    web = serve(OAUTH, gate=FakeTokenGate(WrongTokenError()), service=Service(prefix="/a"))
    reply = web.request("GET", f"/a{OAUTH_RESOURCE}", authorization=None)
    assert reply.status == 200
    assert reply.json == {
        "resource": f"http://127.0.0.1:{web.port}/a",
        "resource_name": "TabPy Server",
        "authorization_servers": ["https://issuer.example/"],
        "scopes_supported": ["tabpy", "tabpy:query", "tabpy:evaluate", "tabpy:deploy"],
        "bearer_methods_supported": ["header"],
    }


def test_behind_a_proxy_with_tls_the_addresses_are_https(serve: Serve) -> None:
    web = serve(OAUTH, gate=FakeTokenGate(WrongTokenError()))
    sent = {"X-Forwarded-Proto": "https", "Host": "tabpy.example"}
    reply = web.request("GET", OAUTH_RESOURCE, headers=sent, authorization=None)
    assert reply.json["resource"] == "https://tabpy.example"


def test_without_oauth_there_is_no_such_route(web: Web) -> None:
    assert web.request("GET", OAUTH_RESOURCE, authorization=None).status == 401
    assert web.request("GET", OAUTH_RESOURCE, authorization=SIGNED_IN).status == 404


def test_info_and_description_name_the_way_to_sign_in(serve: Serve) -> None:
    web = serve(OAUTH, gate=FakeTokenGate())
    features = web.request("GET", "/info").json["versions"]["v1"]["features"]
    assert features["authentication"] == {"required": True, "methods": {"oauth-jwt": METHOD}}
    described = web.request("GET", "/openapi.json").json
    assert described["security"] == [{"bearer": []}]
    assert described["components"]["securitySchemes"] == {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    assert described["paths"][OAUTH_RESOURCE]["get"]["security"] == []
