"""How OAuth has to be set: whatever is wrong stops the start, and says what would be right."""

import logging
import socket
import sys
from typing import Any

import pytest

pytest.importorskip("jwt", reason="PyJWT isn't installed: pip install '.[oauth]'")

from tabpy.tabpy_server.access import first_user, oauth
from tabpy.tabpy_server.access.token_gate import TokenGate
from tabpy.tabpy_server.errors import StartError
from tabpy.tabpy_server.settings import Settings
from tests.issuer import AUDIENCE, URL

USUAL: dict[str, Any] = {
    "oauth_enabled": True,
    "oauth_issuer": URL,
    "oauth_jwks_uri": "https://issuer.example/keys",
    "oauth_audience": AUDIENCE,
    "pwd_file": None,
}


@pytest.fixture(autouse=True)
def addresses(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses of each host."""
    found = ["8.8.8.8"]
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda *_, **__: [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in found
        ],
    )
    return found


def tokens(confined: bool = True, **changed: Any) -> None:
    oauth.tokens(Settings(**{**USUAL, **changed}), confined=confined)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"oauth_issuer": ""}, "missing required setting(s): TABPY_OAUTH_ISSUER"),
        (
            {"oauth_issuer": "", "oauth_jwks_uri": ""},
            "missing required setting(s): TABPY_OAUTH_ISSUER, TABPY_OAUTH_JWKS_URI",
        ),
        ({"oauth_audience": ""}, "configure TABPY_OAUTH_AUDIENCE, or TABPY_OAUTH_REQUIRED_SCOPES"),
        ({"oauth_issuer": "http://x"}, "TABPY_OAUTH_ISSUER must use https"),
        ({"oauth_jwks_uri": "file:///etc/x"}, "TABPY_OAUTH_JWKS_URI must use https"),
        ({"oauth_jwks_uri": "https://"}, "TABPY_OAUTH_JWKS_URI is 'https://'"),
        ({"oauth_jwks_uri": "https://x:y/"}, "expected https://host/path"),
        ({"oauth_query_scope": ""}, "TABPY_OAUTH_QUERY_SCOPE must be valid, non-empty"),
        ({"oauth_deploy_scope": "a b"}, "TABPY_OAUTH_DEPLOY_SCOPE must be valid"),
        ({"oauth_evaluate_scope": 'a"'}, "TABPY_OAUTH_EVALUATE_SCOPE must be valid"),
    ],
    ids=range(10),
)
def test_what_is_wrong_is_named(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(StartError) as refused:
        tokens(**changed)
    assert said in str(refused.value)


def test_a_required_scope_does_without_an_audience() -> None:
    tokens(oauth_audience="", oauth_required_scopes=("tabpy",))


def test_https_is_read_in_any_case() -> None:
    tokens(oauth_issuer="HTTPS://issuer.example")


def test_scopes_that_are_the_same_are_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    tokens(oauth_query_scope="x", oauth_deploy_scope="x")
    [record] = caplog.records
    assert "(TABPY_OAUTH_QUERY_SCOPE=x, TABPY_OAUTH_DEPLOY_SCOPE=x)" in record.getMessage()


def test_keys_of_a_private_network_are_refused_unless_that_is_meant(
    addresses: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    addresses.append("127.0.0.1")
    with pytest.raises(StartError, match=r"non-public address \(127\.0\.0\.1\): refusing"):
        tokens()
    with caplog.at_level(logging.WARNING):
        tokens(oauth_allow_nonpublic_jwks=True)
    assert "non-public address (127.0.0.1)" in caplog.text


def test_a_host_without_address_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(StartError, match='Unable to resolve TABPY_OAUTH_JWKS_URI host "issuer'):
        tokens()


def test_without_the_package_the_start_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "jwt", None)
    with pytest.raises(StartError, match=r"pip install '.\[oauth\]'"):
        tokens()


@pytest.mark.parametrize(("confined", "warns"), [(True, False), (False, True)])
def test_scopes_that_a_script_could_get_round_are_a_warning(
    caplog: pytest.LogCaptureFixture, confined: bool, warns: bool
) -> None:
    tokens(confined, oauth_enforce_endpoint_scopes=True)
    assert ("only prevent accidents" in caplog.text) is warns


def test_with_tokens_no_user_is_needed_and_no_password_made() -> None:
    sign_in = first_user.resolve(
        Settings(**USUAL), {}, may_generate=True, may_open=True, confined=True
    )
    assert isinstance(sign_in.gate, TokenGate)
    assert sign_in.password is None
    assert sign_in.users == (f"whoever has a token of {URL}",)
    assert list(sign_in.gate.methods) == ["oauth-jwt"]


def test_users_stay_beside_tokens() -> None:
    settings = Settings(**USUAL, username="ann", password="fake")
    sign_in = first_user.resolve(settings, {}, may_generate=False, may_open=False, confined=True)
    assert sign_in.users == ("ann", f"whoever has a token of {URL}")
    assert list(sign_in.gate.methods) == ["basic-auth", "oauth-jwt"]
