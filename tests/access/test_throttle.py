"""How long an address has to wait after failures."""

import multiprocessing
import sys
from itertools import pairwise

import pytest

from tabpy.tabpy_server.access import throttle
from tabpy.tabpy_server.access.throttle import FIRST_DELAY, FORGET, FREE, LAST_DELAY, Throttle


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


def fail(throttled: Throttle, address: str, times: float) -> None:
    """Book tries that aren't refunded, as long as they aren't refused."""
    for _ in range(int(times)):
        throttled.book(address)


def failures(throttled: Throttle, address: str, clock: Clock) -> int:
    offset, key = throttled._place(address)
    return round(throttled._read(offset, key, clock.now)[0])


@pytest.mark.usefixtures("clock")
def test_a_few_failures_cost_nothing() -> None:
    throttled = Throttle()
    assert [throttled.book("192.0.2.1") for _ in range(int(FREE))] == [0.0] * int(FREE)
    assert throttled.book("192.0.2.1") == FIRST_DELAY


def test_each_further_failure_doubles_the_wait(clock: Clock) -> None:
    throttled = Throttle()
    fail(throttled, "192.0.2.1", FREE)
    waits = []
    for _ in range(4):
        waits.append(throttled.book("192.0.2.1"))
        clock.now += waits[-1]
    assert waits[0] == FIRST_DELAY
    for shorter, longer in pairwise(waits):
        assert 1.5 * shorter < longer <= 2 * shorter


def test_tries_at_the_same_time_queue_up_as_if_each_had_failed_and_the_queue_has_an_end(
    clock: Clock,
) -> None:
    throttled = Throttle()
    fail(throttled, "192.0.2.1", FREE)
    waits = [throttled.book("192.0.2.1") for _ in range(100)]
    in_line = [wait for wait in waits if wait <= LAST_DELAY]
    assert in_line == [FIRST_DELAY * (2**turn - 1) for turn in range(1, len(in_line) + 1)]
    assert len(in_line) == 4
    assert all(wait > LAST_DELAY for wait in waits[len(in_line) :])
    assert failures(throttled, "192.0.2.1", clock) == FREE + len(in_line), (
        "refused ones don't count"
    )


def test_failures_are_forgotten(clock: Clock) -> None:
    throttled = Throttle()
    for _ in range(100):
        clock.now += throttled.book("192.0.2.1")
    assert failures(throttled, "192.0.2.1", clock) > throttle.MOST - 1
    clock.now += LAST_DELAY
    assert throttled.book("192.0.2.1") == LAST_DELAY
    clock.now += FORGET * throttle.MOST
    assert throttled.book("192.0.2.1") == 0.0


def test_what_was_right_does_not_count(clock: Clock) -> None:
    throttled = Throttle()
    for _ in range(100):
        assert throttled.book("192.0.2.1") == 0.0
        throttled.refund("192.0.2.1")
    fail(throttled, "192.0.2.1", 2)
    throttled.refund("192.0.2.1")
    assert failures(throttled, "192.0.2.1", clock) == 1


@pytest.mark.usefixtures("clock")
def test_other_addresses_do_not_wait() -> None:
    throttled = Throttle()
    fail(throttled, "192.0.2.1", 100)
    assert throttled.book("192.0.2.2") == 0.0
    assert throttled.book("2001:db8::1") == 0.0


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
    fail(throttled, address, FREE)
    assert throttled.book(same) > 0
    assert throttled.book(other) == 0.0


@pytest.mark.usefixtures("clock")
def test_an_address_that_lands_in_anothers_place_has_its_own_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(throttle, "SLOTS", 1)  # so they all do
    throttled = Throttle()
    fail(throttled, "192.0.2.1", 100)
    throttled.refund("192.0.2.2")  # changes nothing
    assert throttled.book("192.0.2.1") > 0.0
    assert throttled.book("192.0.2.2") == 0.0
    assert throttled.book("192.0.2.1") == 0.0  # its count had to go


def test_nobody_can_work_out_which_addresses_share_a_place() -> None:
    addresses = [f"192.0.2.{number}" for number in range(8)]
    places = [[Throttle()._place(address) for address in addresses] for _ in range(2)]
    assert places[0] != places[1]


@pytest.mark.skipif(
    sys.platform == "win32", reason="there is one web process where there's no fork"
)
def test_processes_forked_later_share_the_count() -> None:
    throttled = Throttle()
    process = multiprocessing.get_context("fork").Process(
        target=fail, args=(throttled, "192.0.2.1", FREE + 1)
    )
    process.start()
    process.join()
    assert throttled.book("192.0.2.1") > 0
