"""How many workers there should be."""

import time

import pytest

from tabpy.tabpy_server.workers.pool.demand import KEEP_SECONDS, Demand


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "monotonic", made)
    return made


def test_on_one_machine_it_is_always_the_same() -> None:
    demand = Demand(4, 4)
    assert [demand.size(jobs) for jobs in (0, 9, 2)] == [4, 4, 4]


def test_it_follows_the_jobs_within_its_bounds(clock: Clock) -> None:
    demand = Demand(1, 4)
    assert [demand.size(jobs) for jobs in (0, 2, 3, 9)] == [1, 2, 3, 4]


def test_it_stays_for_a_while_when_jobs_have_ended(clock: Clock) -> None:
    demand = Demand(1, 4)
    demand.size(4)
    clock.now += KEEP_SECONDS / 2
    assert demand.size(0) == 4


def test_it_goes_down_to_what_was_needed_lately(clock: Clock) -> None:
    demand = Demand(1, 4)
    demand.size(4)
    clock.now += KEEP_SECONDS + 1
    demand.size(2)  # the four count for the minute that is over
    clock.now += KEEP_SECONDS + 1
    assert demand.size(0) == 2
    clock.now += KEEP_SECONDS + 1
    assert demand.size(0) == 1
