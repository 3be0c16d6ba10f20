"""How long somebody who guesses at a name from an address has to wait."""

import multiprocessing
import sys

import pytest

from tabpy.tabpy_server.access import throttle
from tabpy.tabpy_server.access.throttle import FORGET, FREE, MOST, PAUSE, Throttle


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(throttle, "time", made)
    return made


NAME = "ann"
ADDRESS = "192.0.2.1"


def fail(throttled: Throttle, address: str, times: float, name: str = NAME) -> None:
    """Book tries that aren't refunded."""
    for _ in range(int(times)):
        throttled.book(name, address)


def failures(throttled: Throttle, address: str, clock: Clock) -> int:
    offset, key = throttled._place(NAME, address)
    return round(throttled._read(offset, key, clock.now)[0])


@pytest.mark.usefixtures("clock")
def test_failures_that_people_and_workbooks_make_cost_nothing() -> None:
    throttled = Throttle()
    assert [throttled.book(NAME, ADDRESS) for _ in range(int(FREE))] == [0.0] * int(FREE)


@pytest.mark.usefixtures("clock")
def test_after_these_there_is_a_pause_between_one_try_and_the_next() -> None:
    throttled = Throttle()
    fail(throttled, ADDRESS, FREE)
    assert [throttled.book(NAME, ADDRESS) for _ in range(4)] == [0, PAUSE, 2 * PAUSE, 3 * PAUSE]


def test_who_comes_after_a_pause_does_not_wait(clock: Clock) -> None:
    throttled = Throttle()
    fail(throttled, ADDRESS, FREE + 1)
    clock.now += PAUSE
    assert throttled.book(NAME, ADDRESS) == 0.0


def test_a_guesser_gets_7200_tries_an_hour_beside_the_first_ones(clock: Clock) -> None:
    throttled = Throttle()
    start, tries = clock.now, 0
    while clock.now < start + 3600:
        clock.now += throttled.book(NAME, ADDRESS)
        tries += 1
    assert tries == pytest.approx(7200 + FREE, abs=2)


def test_failures_are_forgotten(clock: Clock) -> None:
    throttled = Throttle()
    fail(throttled, ADDRESS, 1000)
    assert failures(throttled, ADDRESS, clock) == MOST
    clock.now += FORGET * (MOST - FREE + 1)
    fail(throttled, ADDRESS, 2)
    assert throttled.book(NAME, ADDRESS) == PAUSE
    clock.now += FORGET * MOST
    assert [throttled.book(NAME, ADDRESS) for _ in range(int(FREE))] == [0.0] * int(FREE)


def test_what_was_right_does_not_count(clock: Clock) -> None:
    throttled = Throttle()
    for _ in range(100):
        assert throttled.book(NAME, ADDRESS) == 0.0
        throttled.refund(NAME, ADDRESS)
    fail(throttled, ADDRESS, 2)
    throttled.refund(NAME, ADDRESS)
    assert failures(throttled, ADDRESS, clock) == 1


@pytest.mark.usefixtures("clock")
def test_neither_other_addresses_nor_other_names_wait() -> None:
    throttled = Throttle()
    fail(throttled, ADDRESS, 100)
    assert throttled.book(NAME, ADDRESS) > 0.0
    assert throttled.book(NAME, "192.0.2.2") == 0.0
    assert throttled.book(NAME, "2001:db8::1") == 0.0
    assert throttled.book("bob", ADDRESS) == 0.0


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("address", "same", "other"),
    [
        ("2001:db8::1", "2001:db8::ffff:0:0:1", "2001:db8:0:1::1"),
        ("::ffff:192.0.2.1", "192.0.2.1", "::ffff:192.0.2.2"),
        ("", "", "192.0.2.1"),
        ("@socket", "@socket", "@other"),
    ],
)
def test_a_network_of_ipv6_is_one_address(address: str, same: str, other: str) -> None:
    throttled = Throttle()
    fail(throttled, address, FREE + 1)
    assert throttled.book(NAME, same) > 0
    assert throttled.book(NAME, other) == 0.0


@pytest.mark.usefixtures("clock")
def test_what_lands_in_anothers_place_has_its_own_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "SLOTS", 1)  # so they all do
    throttled = Throttle()
    fail(throttled, ADDRESS, 100)
    throttled.refund(NAME, "192.0.2.2")  # changes nothing
    assert throttled.book(NAME, ADDRESS) > 0.0
    assert throttled.book(NAME, "192.0.2.2") == 0.0
    assert throttled.book(NAME, ADDRESS) == 0.0  # its count had to go


def test_nobody_can_work_out_which_ones_share_a_place() -> None:
    addresses = [f"192.0.2.{number}" for number in range(8)]
    places = [[Throttle()._place(NAME, address) for address in addresses] for _ in range(2)]
    assert places[0] != places[1]


@pytest.mark.skipif(
    sys.platform == "win32", reason="there is one web process where there's no fork"
)
def test_processes_forked_later_share_the_count() -> None:
    throttled = Throttle()
    process = multiprocessing.get_context("fork").Process(
        target=fail, args=(throttled, ADDRESS, FREE + 1)
    )
    process.start()
    process.join()
    assert throttled.book(NAME, ADDRESS) > 0
