"""Who calls, by the headers of a Flight call."""

import asyncio
import base64
from pathlib import Path

import pytest

from tabpy.tabpy_server.access.gate import Gate, OpenGate
from tabpy.tabpy_server.access.password_file import User
from tabpy.tabpy_server.access.password_hashes import CHEAPEST, hash_password
from tabpy.tabpy_server.access.throttle import Throttle
from tabpy.tabpy_server.access.users import Users
from tabpy.tabpy_server.errors import WrongCredentialsError
from tabpy.tabpy_server.flight.sign_in import Caller, NoCredentialsError, SignIn

PASSWORD = "not: a real pässword"


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@pytest.fixture
def sign_in(tmp_path: Path) -> SignIn:
    users = {"ann": User(hash_password("ann", PASSWORD, CHEAPEST))}
    return SignIn(Gate(Users(None, users), Throttle()))


def admit(sign_in: SignIn, *headers: str) -> Caller:
    return asyncio.run(sign_in.admit({"authorization": headers} if headers else {}))


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
def test_a_password_may_have_colons_and_gives_a_token(sign_in: SignIn, scheme: str) -> None:
    caller = admit(sign_in, basic("Ann", PASSWORD).replace("Basic", scheme))
    assert (caller.owner, caller.in_log) == ("ann", "ann")
    by_token = admit(sign_in, f"Bearer {caller.bearer}")
    assert by_token.person == caller.person
    assert by_token.bearer == ""
    assert admit(sign_in, f"bearer  {caller.bearer}").person == caller.person


@pytest.mark.parametrize(
    "headers",
    [[], ["Negotiate x"], ["Basic"], ["Basic %%%"], ["x"], [basic("ann", PASSWORD), "Bearer x"]],
    ids=["none", "another scheme", "no credentials", "no base64", "one word", "two headers"],
)
def test_what_is_no_credential_is_none(sign_in: SignIn, headers: list[str]) -> None:
    with pytest.raises(NoCredentialsError):
        admit(sign_in, *headers)


@pytest.mark.parametrize("header", [basic("ann", "wrong"), basic("eve", PASSWORD), "Bearer x"])
def test_what_is_wrong_is_refused(sign_in: SignIn, header: str) -> None:
    with pytest.raises(WrongCredentialsError) as refused:
        admit(sign_in, header)
    assert type(refused.value) is WrongCredentialsError


def test_a_header_that_came_twice_counts_once(sign_in: SignIn) -> None:
    assert admit(sign_in, basic("ann", PASSWORD), basic("ann", PASSWORD)).owner == "ann"


@pytest.mark.parametrize("headers", [[], ["Bearer x"], [basic("ann", "any")], ["a", "b"]])
def test_an_open_server_looks_at_no_header(headers: list[str]) -> None:
    caller = admit(SignIn(OpenGate()), *headers)
    assert (caller.owner, caller.in_log, caller.bearer) == ("", None, "")
