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
    for _ in range(int(times)):
        throttled.failed(address)


@pytest.mark.usefixtures("clock")
def test_a_few_failures_cost_nothing() -> None:
    throttled = Throttle()
    fail(throttled, "192.0.2.1", FREE - 1)
    assert throttled.delay("192.0.2.1") == 0.0


def test_each_further_failure_doubles_the_wait(clock: Clock) -> None:
    throttled = Throttle()
    fail(throttled, "192.0.2.1", FREE)
    waits = []
    for _ in range(4):
        waits.append(throttled.delay("192.0.2.1"))
        clock.now += waits[-1]
        throttled.failed("192.0.2.1")
    assert waits[0] == FIRST_DELAY
    for shorter, longer in pairwise(waits):
        assert 1.5 * shorter < longer <= 2 * shorter


@pytest.mark.usefixtures("clock")
def test_tries_at_the_same_time_queue_up_and_the_queue_has_an_end() -> None:
    throttled = Throttle()
    fail(throttled, "192.0.2.1", FREE)
    waits = [throttled.delay("192.0.2.1") for _ in range(100)]
    in_line = [wait for wait in waits if wait <= LAST_DELAY]
    assert in_line == [FIRST_DELAY * turn for turn in range(1, len(in_line) + 1)]
    assert set(waits[len(in_line) :]) == {LAST_DELAY + FIRST_DELAY}


def test_failures_are_forgotten(clock: Clock) -> None:
    throttled = Throttle()
    fail(throttled, "192.0.2.1", 1000)
    assert throttled.delay("192.0.2.1") == LAST_DELAY
    clock.now += FORGET * throttle.MOST
    assert throttled.delay("192.0.2.1") == 0.0


@pytest.mark.usefixtures("clock")
def test_other_addresses_do_not_wait() -> None:
    throttled = Throttle()
    fail(throttled, "192.0.2.1", 100)
    assert throttled.delay("192.0.2.2") == 0.0
    assert throttled.delay("2001:db8::1") == 0.0


@pytest.mark.usefixtures("clock")
def test_an_address_that_lands_in_anothers_place_has_its_own_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(throttle, "SLOTS", 1)  # so they all do
    throttled = Throttle()
    fail(throttled, "192.0.2.1", 100)
    assert throttled.delay("192.0.2.2") == 0.0
    throttled.failed("192.0.2.2")
    assert throttled.delay("192.0.2.2") == 0.0
    assert throttled.delay("192.0.2.1") == 0.0  # its count had to go


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
    assert throttled.delay("192.0.2.1") > 0
