"""Who is let in by a header, and what is remembered of it."""

import asyncio
import base64
import functools
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tabpy.tabpy_server.access import gate, password_file, throttle, users
from tabpy.tabpy_server.access.gate import NOBODY, Gate, OpenGate, Person, parse_basic
from tabpy.tabpy_server.access.line import MOST_WAITING
from tabpy.tabpy_server.access.password_file import User
from tabpy.tabpy_server.access.password_hashes import CHEAPEST, hash_password
from tabpy.tabpy_server.access.throttle import FREE, Throttle
from tabpy.tabpy_server.access.users import Users
from tabpy.tabpy_server.errors import (
    TooManySignInsError,
    UnexpectedCredentialsError,
    WrongCredentialsError,
)
from tabpy.tabpy_server.rights import ALL, DEPLOY, EVALUATE, QUERY, Rights
from tests.running import PATIENCE

ADDRESS = "192.0.2.1"
HASH = hash_password("ann", "fake", CHEAPEST)


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


ANN = basic("ann", "fake")


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test that waits on an event loop of its own."""

    @functools.wraps(test)
    def run(*arguments: Any, **fixtures: Any) -> None:
        asyncio.run(test(*arguments, **fixtures))

    return run


def admit(opened: Gate, header: str | None, address: str = ADDRESS) -> str | None:
    return asyncio.run(opened.admit(header, address)).name


def remembered(opened: Gate, header: str | None) -> str | None:
    person = opened.remembered(header)
    return None if person is None else person.name


@pytest.fixture
def opened() -> Gate:
    return Gate(Users(None, {"ann": User(HASH)}), Throttle())


# --- right and wrong ---


def test_who_was_right_is_remembered_from_then_on(opened: Gate) -> None:
    assert opened.remembered(ANN) is None
    assert admit(opened, ANN) == "ann"
    assert remembered(opened, ANN) == "ann"
    assert opened.remembered(basic("ann", "other")) is None
    assert opened.remembered(None) is None


def test_a_name_has_no_case(opened: Gate) -> None:
    assert admit(opened, basic("Ann", "fake")) == "ann"


@pytest.mark.parametrize(
    "header", [None, "", "Basic", "Basic !!!", "Bearer x", basic("ann", "x"), basic("bob", "fake")]
)
def test_who_is_wrong_is_refused_and_not_remembered(opened: Gate, header: str | None) -> None:
    for _ in range(2):
        with pytest.raises(WrongCredentialsError):
            admit(opened, header)
    assert opened.remembered(header) is None


def test_a_remembered_header_is_not_verified_again(
    opened: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    admit(opened, ANN)
    monkeypatch.setattr(gate, "_verify", lambda *_: pytest.fail("verified"))
    assert admit(opened, ANN) == "ann"


def test_neither_the_header_nor_the_password_is_kept(opened: Gate) -> None:
    admit(opened, ANN)
    kept = repr(vars(opened))
    assert ANN not in kept
    assert "fake" not in kept


@pytest.mark.parametrize(
    ("header", "parsed"),
    [
        (ANN, ("ann", "fake")),
        (ANN.replace("Basic ", "basic  "), ("ann", "fake")),
        (basic("ann", "with:colons:"), ("ann", "with:colons:")),
        ("Basic YW5uOmbka2U=", ("ann", "fäke")),  # in Latin-1, as older clients send it
        ("Basic " + base64.b64encode(b"ann").decode(), None),
        ("Digest username=ann", None),
        (f"{ANN}\xe4", None),
    ],
)
def test_a_basic_header_has_a_name_and_a_password(
    header: str, parsed: tuple[str, str] | None
) -> None:
    assert parse_basic(header) == parsed


# --- rights ---


@pytest.mark.parametrize("rights", [ALL, (QUERY, EVALUATE), (DEPLOY,)])
def test_a_persons_rights_are_those_of_the_file(rights: Rights) -> None:
    opened = Gate(Users(None, {"ann": User(HASH, rights)}), Throttle())
    assert asyncio.run(opened.admit(ANN, ADDRESS)) == Person("ann", rights)
    assert opened.remembered(ANN) == Person("ann", rights)


def test_who_was_signed_in_already_gets_other_rights_at_once(file: Path) -> None:
    opened = Gate(Users(file, {}), Throttle())
    admit(opened, ANN)
    password_file.update(file, "ann", may=(QUERY,))
    assert opened.remembered(ANN) is None
    assert asyncio.run(opened.admit(ANN, ADDRESS)).rights == (QUERY,)


# --- when the users change ---


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A password file whose edits are seen at once."""
    monkeypatch.setattr(users, "CHECK_FILE_SECONDS", 0.0)
    path = tmp_path / "users.txt"
    password_file.add(path, "ann", HASH)
    return path


def test_who_is_taken_out_is_forgotten(file: Path) -> None:
    opened = Gate(Users(file, {}), Throttle())
    admit(opened, ANN)
    password_file.add(file, "bob", HASH)
    assert opened.remembered(ANN) is None
    assert admit(opened, ANN) == "ann"
    password_file.delete(file, "ann")
    assert opened.remembered(ANN) is None
    with pytest.raises(WrongCredentialsError):
        admit(opened, ANN)


def test_who_was_right_under_an_older_file_only_is_not_remembered(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Gate(Users(file, {}), Throttle())

    def verify_while_somebody_edits(known: Mapping[str, User], name: str, password: str) -> bool:
        password_file.update(file, "ann", hash_password("ann", "another fake", CHEAPEST))
        assert opened.remembered("Basic of somebody else") is None  # whose request sees the edit
        return (name, password) == ("ann", "fake") and "ann" in known

    monkeypatch.setattr(gate, "_verify", verify_while_somebody_edits)
    admit(opened, ANN)  # it began before the edit
    assert opened.remembered(ANN) is None


def test_who_was_wrong_under_an_older_file_only_is_verified_anew(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Gate(Users(file, {}), Throttle())
    verify = gate._verify

    def verify_while_somebody_edits(known: Mapping[str, User], name: str, password: str) -> bool:
        right = verify(known, name, password)
        password_file.update(file, "ann", hash_password("ann", "new fake", CHEAPEST))
        assert opened.remembered("Basic of somebody else") is None  # whose request sees the edit
        return right

    monkeypatch.setattr(gate, "_verify", verify_while_somebody_edits)
    with pytest.raises(WrongCredentialsError):
        admit(opened, basic("ann", "new fake"))  # it began before the edit
    assert admit(opened, basic("ann", "new fake")) == "ann"


def test_only_so_many_are_remembered_the_last_used_ones(
    opened: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "REMEMBERED", 3)
    # All of them are right: blanks around the credentials make other headers.
    headers = [ANN + " " * number for number in range(5)]
    for header in headers[:3]:
        admit(opened, header)
    assert remembered(opened, headers[0]) == "ann"  # so it is the last used one
    for header in headers[3:]:
        admit(opened, header)
    kept = [header for header in headers if remembered(opened, header)]
    assert kept == [headers[0], *headers[3:]]


# --- guessing ---


def count_verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that are verified from now on."""
    verified: list[str] = []

    def verify(_: Mapping[str, User], name: str, password: str) -> bool:
        verified.append(password)
        return (name, password) == ("ann", "fake")

    monkeypatch.setattr(gate, "_verify", verify)
    return verified


async def admit_all(opened: Gate, headers: Sequence[str]) -> list[object]:
    tries = (opened.admit(header, ADDRESS) for header in headers)
    return await asyncio.gather(*tries, return_exceptions=True)


def guesses(number: float, name: str = "ann") -> list[str]:
    return [basic(name, f"wrong {each}") for each in range(int(number))]


@in_loop
async def test_24_wrong_ones_from_an_address_delay_and_refuse_no_right_one(
    opened: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:  # differences 4
    count_verified(monkeypatch)
    monkeypatch.setattr(throttle, "PAUSE", 3600.0)
    found = await asyncio.wait_for(admit_all(opened, [*guesses(24), ANN]), PATIENCE)
    assert [type(each) for each in found] == [WrongCredentialsError] * 24 + [Person]


@in_loop
async def test_a_workbook_with_an_old_password_is_one_guess_however_often_it_asks(
    opened: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:  # differences 4
    verified = count_verified(monkeypatch)
    monkeypatch.setattr(throttle, "PAUSE", 3600.0)
    for _ in range(3):
        found = await asyncio.wait_for(admit_all(opened, [basic("ann", "old")] * 100), PATIENCE)
        assert {type(each) for each in found} == {WrongCredentialsError}
    assert verified == ["old"]
    assert await asyncio.wait_for(opened.admit(ANN, ADDRESS), PATIENCE) == Person("ann", ALL)


@in_loop
async def test_who_guesses_at_one_name_does_not_delay_the_others_at_the_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # differences 4
    opened = Gate(Users(None, {"ann": User(HASH)}), Throttle())
    count_verified(monkeypatch)
    monkeypatch.setattr(throttle, "PAUSE", 3600.0)
    flood = asyncio.gather(
        *(opened.admit(each, ADDRESS) for each in guesses(FREE + 20, "bob")), return_exceptions=True
    )
    try:
        assert await asyncio.wait_for(opened.admit(ANN, ADDRESS), PATIENCE) == Person("ann", ALL)
        assert not flood.done()
    finally:
        flood.cancel()


@in_loop
async def test_in_a_flood_of_guesses_at_ones_own_name_the_newest_try_is_next(
    opened: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:  # differences 4
    verified = count_verified(monkeypatch)
    monkeypatch.setattr(throttle, "PAUSE", 0.001)
    await admit_all(opened, guesses(FREE + 1))
    verified.clear()
    found = await admit_all(opened, [*guesses(FREE + 31)[int(FREE) + 1 :], ANN])
    assert found[-1] == Person("ann", ALL)
    assert verified.index("fake") == 1, "after the one that was at work"


@in_loop
async def test_of_a_flood_those_that_wait_longest_are_told_to_come_again(
    opened: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified = count_verified(monkeypatch)
    monkeypatch.setattr(throttle, "PAUSE", 0.0)
    found = await admit_all(opened, guesses(100))
    refused = [each for each in found if isinstance(each, TooManySignInsError)]
    assert len(refused) == 100 - 1 - MOST_WAITING
    assert refused == found[1 : len(refused) + 1]
    assert len(verified) == 1 + MOST_WAITING


@in_loop
async def test_guesses_of_a_flood_are_no_more_than_one_for_each_pause(
    opened: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified = count_verified(monkeypatch)
    monkeypatch.setattr(throttle, "PAUSE", 3600.0)
    for _ in range(int(FREE) + 1):
        opened._throttle.book("ann", ADDRESS)  # in another process
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(opened.admit(basic("ann", "wrong"), ADDRESS), 0.01)
    assert verified == []


@in_loop
async def test_who_stops_waiting_holds_nobody_up(
    opened: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    count_verified(monkeypatch)
    tries = [asyncio.ensure_future(opened.admit(each, ADDRESS)) for each in guesses(10)]
    await asyncio.sleep(0)
    for each in tries[::2]:
        each.cancel()
    found = await asyncio.gather(*tries, return_exceptions=True)
    assert [type(each) for each in found[1::2]] == [WrongCredentialsError] * 5
    assert await asyncio.wait_for(opened.admit(ANN, ADDRESS), PATIENCE) == Person("ann", ALL)


@in_loop
async def test_many_people_behind_one_address_may_sign_in_at_once(
    opened: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified = count_verified(monkeypatch)
    monkeypatch.setattr(throttle, "PAUSE", 3600.0)
    # All of them are right, and others: blanks around the credentials make other headers.
    headers = [ANN + " " * number for number in range(60)]
    found = await asyncio.wait_for(admit_all(opened, headers * 2), PATIENCE)
    assert found == [Person("ann", ALL)] * 120
    assert len(verified) == 60, "the second request of each finds it remembered"


@in_loop
async def test_what_is_no_credential_costs_nothing(
    opened: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "PAUSE", 3600.0)
    for _ in range(int(FREE) + 1):
        with pytest.raises(WrongCredentialsError):
            await opened.admit(None, ADDRESS)
    assert await asyncio.wait_for(opened.admit(ANN, ADDRESS), PATIENCE) == Person("ann", ALL)


@in_loop
async def test_the_password_that_the_server_was_told_is_known_from_its_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # differences 4: a dyno forgets daily who was right
    opened = Gate(Users(None, {"ann": User(HASH)}), Throttle(), {"Ann": "fake"})
    monkeypatch.setattr(gate, "_verify", lambda *_: pytest.fail("verified"))
    for _ in range(100):
        opened._throttle.book("ann", ADDRESS)
    assert await asyncio.wait_for(opened.admit(ANN, ADDRESS), PATIENCE) == Person("ann", ALL)
    assert remembered(opened, ANN) == "ann"


def test_a_wrong_password_beside_the_one_the_server_was_told_is_verified_like_any_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened = Gate(Users(None, {"ann": User(HASH)}), Throttle(), {"ann": "fake"})
    verified = count_verified(monkeypatch)
    with pytest.raises(WrongCredentialsError):
        admit(opened, basic("ann", "wrong"))
    assert verified == ["wrong"]


def test_what_was_wrong_is_forgotten_when_the_users_change(file: Path) -> None:
    opened = Gate(Users(file, {}), Throttle())
    with pytest.raises(WrongCredentialsError):
        admit(opened, basic("ann", "new fake"))
    password_file.update(file, "ann", hash_password("ann", "new fake", CHEAPEST))
    assert admit(opened, basic("ann", "new fake")) == "ann"


def test_a_failure_is_logged_with_its_address_and_no_name(
    opened: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(WrongCredentialsError):
        admit(opened, basic("ann", "wrong"))
    [record] = caplog.records
    assert record.getMessage() == "Wrong credentials."
    assert vars(record)["fields"] == {"address": ADDRESS}


# --- an open server ---


def test_an_open_gate_lets_in_whoever_brings_no_credentials() -> None:
    opened = OpenGate()
    assert not opened.required
    assert opened.remembered(None) is None
    assert opened.remembered(ANN) is None
    assert asyncio.run(opened.admit(None, ADDRESS)) == NOBODY
    for other in ("Bearer x", "Negotiate x", "Basic !!!", ""):  # differences 18: a gateway's
        assert asyncio.run(opened.admit(other, ADDRESS)) == NOBODY
    assert NOBODY.rights == ALL
    with pytest.raises(UnexpectedCredentialsError):
        asyncio.run(opened.admit(ANN, ADDRESS))
