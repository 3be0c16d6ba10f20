"""Who is let in by a token, beside those with a password, and what is remembered of it."""

import asyncio
import logging
import time

import pytest

pytest.importorskip("jwt", reason="PyJWT isn't installed: pip install '.[oauth]'")

from tabpy.tabpy_server.access import token_gate, tokens
from tabpy.tabpy_server.access.gate import Gate
from tabpy.tabpy_server.access.key_set import KeySet
from tabpy.tabpy_server.access.password_file import User
from tabpy.tabpy_server.access.throttle import Throttle
from tabpy.tabpy_server.access.token_gate import TokenGate
from tabpy.tabpy_server.access.tokens import TokenRules, Tokens
from tabpy.tabpy_server.access.users import Users
from tabpy.tabpy_server.errors import WrongCredentialsError, WrongTokenError
from tests.access.test_gate import ADDRESS, ANN, HASH, basic
from tests.access.test_tokens import SCOPES
from tests.issuer import AUDIENCE, URL, Issuer


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


def gate_of(issuer: Issuer, users: dict[str, User]) -> TokenGate:
    rules = TokenRules(
        issuer=URL, audience=AUDIENCE, required=(), scopes=SCOPES, enforced=True, logged=False
    )
    passwords = Gate(Users(None, users), Throttle())
    return TokenGate(Tokens(KeySet(issuer.known), rules), passwords)


@pytest.fixture
def opened(issuer: Issuer) -> TokenGate:
    return gate_of(issuer, {"ann": User(HASH)})


@pytest.fixture
def tokens_only(issuer: Issuer) -> TokenGate:
    return gate_of(issuer, {})


def admit(opened: TokenGate, header: str | None) -> str | None:
    return asyncio.run(opened.admit(header, ADDRESS)).name


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_picks_the_method(opened: TokenGate, issuer: Issuer, scheme: str) -> None:
    assert admit(opened, f"{scheme} {issuer.token()}") == "oauth:ann"
    assert admit(opened, ANN) == "ann"


def test_a_token_that_was_right_is_remembered(opened: TokenGate, issuer: Issuer) -> None:
    header = f"Bearer {issuer.token()}"
    assert opened.remembered(header) is None
    admit(opened, header)
    person = opened.remembered(header)
    assert person is not None
    assert person.name == "oauth:ann"
    assert opened.remembered(f"Bearer {issuer.token(sub='bob')}") is None
    assert issuer.token() not in repr(vars(opened))


def test_a_long_token_is_checked_each_time(opened: TokenGate, issuer: Issuer) -> None:
    header = f"Bearer {issuer.token(padding='x' * tokens.LONG)}"
    assert admit(opened, header) == "oauth:ann"
    assert opened.remembered(header) is None


def test_a_password_is_remembered_too(opened: TokenGate) -> None:
    admit(opened, ANN)
    assert opened.remembered(ANN) is not None


def test_a_token_is_forgotten_when_its_time_is_over(
    opened: TokenGate, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = f"Bearer {issuer.token(exp=int(time.time()) - 30)}"
    admit(opened, header)
    assert opened.remembered(header)
    later = time.time() + tokens.LEEWAY
    monkeypatch.setattr(time, "time", lambda: later)
    assert opened.remembered(header) is None


def test_a_token_is_forgotten_when_its_key_is_withdrawn(opened: TokenGate, issuer: Issuer) -> None:
    header = f"Bearer {issuer.token()}"
    admit(opened, header)
    issuer.rotate("second")
    admit(opened, f"Bearer {issuer.token('second')}")
    assert opened.remembered(header) is None
    with pytest.raises(WrongTokenError):
        admit(opened, header)


def test_only_so_many_are_remembered_the_last_used_ones(
    opened: TokenGate, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_gate, "REMEMBERED", 2)
    first, second, third = (f"Bearer {issuer.token(sub=name)}" for name in ("a", "b", "c"))
    admit(opened, first)
    admit(opened, second)
    assert opened.remembered(first)  # so it is the last used one
    admit(opened, third)
    kept = [header for header in (first, second, third) if opened.remembered(header)]
    assert kept == [first, third]


@pytest.mark.parametrize("header", [None, "Digest x", "x", basic("ann", "wrong")])
def test_without_a_token_it_is_a_password_that_is_missing_where_there_are_any(
    opened: TokenGate, header: str | None
) -> None:
    with pytest.raises(WrongCredentialsError):
        admit(opened, header)


@pytest.mark.parametrize("header", [None, "", "Basic x", "Bearer", "Bearer ", "Bearer a b", ANN])
def test_without_passwords_it_is_a_token_that_is_missing(
    tokens_only: TokenGate, header: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(WrongTokenError) as refused:
        admit(tokens_only, header)
    assert refused.value.reason == ""
    logged = [each.getMessage() for each in caplog.records]
    expected = 'Authorization header did not match the expected "Bearer" scheme'
    assert logged == ([] if header is None else [expected])


def test_many_wrong_tokens_keep_out_nobody_else(opened: TokenGate, issuer: Issuer) -> None:
    async def exchange() -> None:
        for _ in range(100):
            with pytest.raises(WrongTokenError):
                await opened.admit(f"Bearer {issuer.forged('first')}", ADDRESS)
        assert await opened.admit(f"Bearer {issuer.token()}", ADDRESS)
        assert await opened.admit(ANN, ADDRESS)

    asyncio.run(exchange())


def test_it_says_how_to_sign_in(opened: TokenGate, tokens_only: TokenGate) -> None:
    by_token = {
        "required_scopes": [],
        "endpoint_scopes": ["tabpy:query", "tabpy:evaluate", "tabpy:deploy"],
        "endpoint_scopes_enforced": True,
    }
    assert opened.methods == {"basic-auth": {}, "oauth-jwt": by_token}
    assert tokens_only.methods == {"oauth-jwt": by_token}
