"""Who is let in by a header, and what is remembered of it."""

import asyncio
import base64
import logging
from collections.abc import Mapping
from pathlib import Path

import pytest

from tabpy.tabpy_server.access import gate, password_file, throttle, users
from tabpy.tabpy_server.access.gate import NOBODY, Gate, OpenGate, Person, parse_basic
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

ADDRESS = "192.0.2.1"
HASH = hash_password("ann", "fake", CHEAPEST)


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


ANN = basic("ann", "fake")


def admit(opened: Gate, header: str | None, address: str = ADDRESS) -> str | None:
    return asyncio.run(opened.admit(header, address)).name


def remembered(opened: Gate, header: str | None) -> str | None:
    person = opened.remembered(header)
    return None if person is None else person.name


@pytest.fixture
def opened() -> Gate:
    return Gate(Users(None, {"ann": User(HASH)}), Throttle())


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns in the queue of failures come at once."""
    monkeypatch.setattr(throttle, "FIRST_DELAY", 0.0)


@pytest.fixture
def no_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever would have to wait for a turn is refused."""
    monkeypatch.setattr(throttle, "FIRST_DELAY", 20.0)
    monkeypatch.setattr(throttle, "LAST_DELAY", 20.0)


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


@pytest.mark.usefixtures("no_waiting")
def test_after_many_failures_an_address_is_told_to_wait(
    opened: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    for guess in range(int(FREE) + 1):
        with pytest.raises(WrongCredentialsError):
            admit(opened, basic("ann", f"wrong {guess}"))
    monkeypatch.setattr(throttle, "FIRST_DELAY", 20.0)
    monkeypatch.setattr(throttle, "LAST_DELAY", 20.0)
    with pytest.raises(TooManySignInsError) as refused:
        admit(opened, ANN)
    assert refused.value.wait == pytest.approx(20.0, abs=1)
    assert admit(opened, ANN, "192.0.2.2") == "ann"  # from elsewhere


def count_verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that are verified from now on."""
    verified: list[str] = []

    def verify(_: Mapping[str, User], name: str, password: str) -> bool:
        verified.append(password)
        return (name, password) == ("ann", "fake")

    monkeypatch.setattr(gate, "_verify", verify)
    return verified


async def admit_all(opened: Gate, headers: list[str], addresses: list[str]) -> list[object]:
    tries = zip(headers, addresses, strict=True)
    return await asyncio.gather(
        *(opened.admit(header, address) for header, address in tries), return_exceptions=True
    )


@pytest.mark.usefixtures("no_turns")
@pytest.mark.parametrize(
    "addresses", [[ADDRESS] * 400, [f"2001:db8::{number:x}" for number in range(400)]]
)
def test_many_guesses_at_once_are_no_more_than_one_after_the_other(
    opened: Gate, monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    verified = count_verified(monkeypatch)
    headers = [basic("ann", f"wrong {number}") for number in range(400)]
    found = asyncio.run(admit_all(opened, headers, addresses))
    assert len(verified) == FREE
    assert sum(isinstance(each, WrongCredentialsError) for each in found) == FREE
    assert sum(isinstance(each, TooManySignInsError) for each in found) == 400 - FREE


@pytest.mark.usefixtures("no_turns")
def test_guesses_count_while_another_process_verifies_them(
    opened: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified = count_verified(monkeypatch)
    for _ in range(int(FREE)):
        opened._throttle.book(ADDRESS)
    with pytest.raises(TooManySignInsError):
        admit(opened, basic("ann", "wrong"))
    assert verified == []


def test_a_guess_that_has_waited_for_its_turn_is_verified(
    opened: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "FIRST_DELAY", 0.001)
    for guess in range(int(FREE)):
        with pytest.raises(WrongCredentialsError):
            admit(opened, basic("ann", f"wrong {guess}"))
    assert admit(opened, ANN) == "ann"
    with pytest.raises(WrongCredentialsError):
        admit(opened, basic("ann", "wrong again"))


@pytest.mark.usefixtures("no_turns")
def test_many_people_behind_one_address_may_sign_in_at_once(
    opened: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified = count_verified(monkeypatch)
    # All of them are right, and others: blanks around the credentials make other headers.
    headers = [ANN + " " * number for number in range(20)]
    found = asyncio.run(admit_all(opened, headers * 2, [ADDRESS] * 40))
    assert found == [Person("ann", ALL)] * 40
    assert len(verified) == 20, "the second request of each finds it remembered"


@pytest.mark.usefixtures("no_waiting")
def test_what_is_no_credential_costs_nothing(opened: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(int(FREE) + 1):
        with pytest.raises(WrongCredentialsError):
            admit(opened, None)
    monkeypatch.setattr(throttle, "FIRST_DELAY", 20.0)
    assert admit(opened, ANN) == "ann"


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
    assert NOBODY.rights == ALL
    with pytest.raises(UnexpectedCredentialsError):
        asyncio.run(opened.admit(ANN, ADDRESS))
