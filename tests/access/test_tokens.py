"""Which tokens are right, and whose they are."""

import asyncio
import base64
import json
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

pytest.importorskip("jwt", reason="PyJWT isn't installed: pip install '.[oauth]'")

import jwt

from tabpy.tabpy_server.access.gate import Person
from tabpy.tabpy_server.access.key_set import KeySet
from tabpy.tabpy_server.access.password_hashes import check_name
from tabpy.tabpy_server.access.tokens import LEEWAY, LONG, Admitted, TokenRules, Tokens
from tabpy.tabpy_server.errors import MissingScopeError, WrongTokenError
from tabpy.tabpy_server.rights import ALL, DEPLOY, EVALUATE, QUERY, Rights
from tests.issuer import AUDIENCE, PRIVATE, URL, Issuer

SCOPES = {QUERY: "tabpy:query", EVALUATE: "tabpy:evaluate", DEPLOY: "tabpy:deploy"}

Check = Callable[..., Admitted]


@pytest.fixture
def issuer() -> Issuer:
    made = Issuer()
    made.keys["rsa"] = ("RS256", PRIVATE["RS256"])
    made.keys["edwards"] = ("EdDSA", PRIVATE["EdDSA"])
    return made


@pytest.fixture
def check(issuer: Issuer) -> Check:
    """Check a token by rules that differ in something from the usual ones."""

    def check_one(token: str, **rules: Any) -> Admitted:
        usual: dict[str, Any] = {
            "issuer": URL,
            "audience": AUDIENCE,
            "required": (),
            "scopes": SCOPES,
            "enforced": False,
            "logged": False,
        }
        tokens = Tokens(KeySet(issuer.known), TokenRules(**{**usual, **rules}))
        return asyncio.run(tokens.check(token))

    return check_one


@pytest.mark.parametrize("key", ["first", "rsa", "edwards"])
def test_a_right_token_says_who_it_is_and_until_when(
    check: Check, issuer: Issuer, key: str
) -> None:
    ends = int(time.time()) + 100
    person, until = check(issuer.token(key, exp=ends))
    assert (person.name, person.rights) == ("oauth:ann", ALL)
    assert until == ends + LEEWAY


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": ["other", AUDIENCE]},
        {"exp": timedelta(seconds=-30)},
        {"nbf": timedelta(seconds=30)},
        {"iat": timedelta(seconds=30)},
        {"headers": {"typ": "at+jwt"}},
        {"sub": None},
        {"scope": "x y"},
    ],
    ids="-".join,
)
def test_what_is_right_too(check: Check, issuer: Issuer, changed: dict[str, Any]) -> None:
    assert check(issuer.token(**changed)).person.rights == ALL


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"iss": URL.rstrip("/")}, "of another issuer"),
        ({"iss": None}, "lacks"),
        ({"aud": "other"}, "for another audience"),
        ({"aud": None}, "lacks"),
        ({"exp": timedelta(seconds=-70)}, "has expired"),
        ({"exp": None}, "lacks"),
        ({"exp": "soon"}, "isn't valid"),
        ({"exp": 1e999}, "isn't valid"),
        ({"iat": None}, "lacks"),
        ({"iat": timedelta(seconds=90)}, "isn't valid yet"),
        ({"nbf": timedelta(seconds=90)}, "isn't valid yet"),
        ({"scope": {"tabpy": 1}}, "scope is neither"),
        ({"scope": [1]}, "scope is neither"),
        ({"scp": 7}, "scp is neither"),
        ({"sub": 7}, "isn't valid"),
        ({"sub": "ann\nbob"}, "printable"),
        ({"sub": "a" * 256}, "printable"),
        ({"headers": {"kid": None}}, "which key"),
        ({"headers": {"kid": ""}}, "which key"),
        ({"headers": {"kid": "other"}}, "none of its issuer's"),
        ({"headers": {"crit": ["x"], "x": 1}}, "isn't valid"),
    ],
    ids=lambda each: "-".join(each) if isinstance(each, dict) else "",
)
def test_what_is_wrong_is_refused_with_the_reason(
    check: Check, issuer: Issuer, changed: dict[str, Any], reason: str
) -> None:
    with pytest.raises(WrongTokenError) as refused:
        check(issuer.token(**changed))
    assert reason in refused.value.reason
    assert refused.value.message == "Invalid credentials provided."


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
def test_a_key_is_for_one_algorithm(check: Check, issuer: Issuer, algorithm: str) -> None:
    with pytest.raises(WrongTokenError) as refused:
        check(issuer.token("rsa", algorithm=algorithm))
    assert refused.value.reason == "The token isn't signed by the algorithm of its key"


def test_a_public_key_is_no_shared_secret(check: Check, issuer: Issuer) -> None:
    head, body, _ = issuer.token("rsa").split(".")
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"rsa"}').decode().rstrip("=")
    for signature in ("", "AAAA"):
        with pytest.raises(WrongTokenError):
            check(f"{head}.{body}.{signature}")


def test_an_unsigned_token_is_none(check: Check, issuer: Issuer) -> None:
    claims = jwt.decode(issuer.token(), options={"verify_signature": False})
    with pytest.raises(WrongTokenError):
        check(jwt.encode(claims, None, "none", {"kid": "first"}))  # type: ignore[arg-type]


def test_a_key_of_somebody_else_under_the_issuers_name_is_none(
    check: Check, issuer: Issuer
) -> None:
    with pytest.raises(WrongTokenError):
        check(issuer.forged("first"))


def test_a_long_token_is_checked_like_any_other_off_the_event_loop(
    check: Check, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    decode = jwt.decode

    def watched(*arguments: Any, **options: Any) -> Any:
        threads.append(threading.current_thread())
        return decode(*arguments, **options)

    monkeypatch.setattr(jwt, "decode", watched)
    assert check(issuer.token(padding="x" * LONG)).person.name == "oauth:ann"
    with pytest.raises(WrongTokenError):
        check(issuer.token(padding="x" * LONG, aud="other"))
    assert check(issuer.token()).person.name == "oauth:ann"
    assert [each is threading.main_thread() for each in threads] == [False, False, True]


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "..", "é.é.é", "[" * 60_000], ids=range(6))
def test_what_is_no_token_is_refused(check: Check, token: str) -> None:
    with pytest.raises(WrongTokenError):
        check(token)


def test_a_head_of_many_brackets_is_refused(check: Check) -> None:
    head = base64.urlsafe_b64encode(b"[" * 45_000).decode()
    with pytest.raises(WrongTokenError):
        check(f"{head}.e30.AAAA")


def test_without_an_audience_a_required_scope_is_enough(check: Check, issuer: Issuer) -> None:
    token = issuer.token(aud=None, scope="tabpy")
    assert check(token, audience=None, required=("tabpy",)).person.name == "oauth:ann"
    elsewhere = issuer.token(aud="other", scope="tabpy")
    assert check(elsewhere, audience=None, required=("tabpy",)).person.name == "oauth:ann"


@pytest.mark.parametrize(
    "claims",
    [
        {"scope": "a tabpy b"},
        {"scope": ["a", "tabpy"]},
        {"scp": "tabpy a"},
        {"scp": ["tabpy"]},
        {"scope": "a", "scp": ["tabpy"]},
    ],
    ids=json.dumps,
)
def test_scopes_are_read_in_every_usual_form(
    check: Check, issuer: Issuer, claims: dict[str, Any]
) -> None:
    assert check(issuer.token(**claims), required=("tabpy",)).person.rights == ALL


@pytest.mark.parametrize("claims", [{}, {"scope": "tabpyx"}, {"roles": ["tabpy"]}], ids=json.dumps)
def test_a_token_without_a_required_scope_is_refused_by_its_name(
    check: Check, issuer: Issuer, claims: dict[str, Any]
) -> None:
    with pytest.raises(WrongTokenError) as refused:
        check(issuer.token(**claims), required=("tabpy",))
    assert refused.value.reason == "The token doesn't have the scope tabpy"


@pytest.mark.parametrize(
    ("scope", "rights"),
    [
        ("", ()),
        ("tabpy:query", (QUERY,)),
        ("tabpy:deploy other tabpy:query", (QUERY, DEPLOY)),
        ("tabpy:query tabpy:evaluate tabpy:deploy", ALL),
    ],
)
def test_enforced_scopes_are_the_rights(
    check: Check, issuer: Issuer, scope: str, rights: Rights
) -> None:
    person = check(issuer.token(scope=scope), enforced=True).person
    assert person.rights == rights
    for right in ALL:
        if right in rights:
            person.need(right)
        else:
            with pytest.raises(MissingScopeError) as refused:
                person.need(right)
            assert refused.value.scope == SCOPES[right]


def test_no_user_of_a_password_can_have_the_name_of_a_tokens_owner(
    check: Check, issuer: Issuer
) -> None:
    name = check(issuer.token(sub="paolo")).person.name
    assert name == "oauth:paolo"
    with pytest.raises(ValueError, match="colons"):
        check_name(name)


def test_the_log_has_the_name_only_if_it_may(check: Check, issuer: Issuer) -> None:
    assert not check(issuer.token()).person.is_logged
    assert check(issuer.token(), logged=True).person == Person("oauth:ann", ALL, SCOPES, True)
