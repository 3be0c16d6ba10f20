"""Which workers there should be, and who may have the spare one; without sockets and processes."""

import time
from collections.abc import Iterable
from typing import Any

import pytest

from tabpy.tabpy_server.metrics.counters import Counters
from tabpy.tabpy_server.workers.pool.hired import Received, Worker
from tabpy.tabpy_server.workers.pool.roster import PATIENCE, Roster
from tabpy.tabpy_server.workers.pool.shelves import Shelves
from tabpy.tabpy_server.workers.pool.source import Source
from tabpy.tabpy_server.workers.protocol import Reference
from tests.workers.pool.fakes import FakeLauncher


class StillWorker(Worker):
    """One that is there, from wherever `origin` says, and says nothing."""

    held = 0

    def __init__(self, owner: str | None, origin: str) -> None:
        super().__init__(None)
        self.owner = owner
        self.origin = origin

    async def ready(self) -> None:
        raise NotImplementedError

    async def give_memory(self) -> Any:
        raise NotImplementedError

    async def ask(self, *_: Any) -> Received:
        raise NotImplementedError

    def is_quiet(self) -> bool:
        return True

    def kill(self, because: str | None = None) -> None:
        self.alive = False


class House:
    """A roster, and for whom it has had workers started: these are coming, and never come.

    Each of `with_shelf` has a shelf, so that its workers that come from none are outdated.
    """

    def __init__(self, size: int, monkeypatch: pytest.MonkeyPatch, *with_shelf: str) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        launcher = FakeLauncher()
        shelves = Shelves(launcher, by_owner=True)
        for owner in with_shelf:
            reference = Reference(owner, 1, f"{owner}1", "/archive", "3.11.7")
            launcher.fill(reference)
            shelves.note(owner, owner)
            shelves.put(owner, [reference])
        self.roster = Roster(shelves, Counters(), size, 100.0, lambda: None)
        self.started: list[str | None] = []
        monkeypatch.setattr(self.roster.starter, "start", self._start)

    def _start(self, sources: Iterable[Source | None]) -> None:
        owners = [each.owner if each else None for each in sources]
        self.started += owners
        self.roster.starter.starting |= {StillWorker(each, "one") for each in owners}

    def idle(self, *owners: str | None) -> list[Worker]:
        made: list[Worker] = [StillWorker(each, "one") for each in owners]
        self.roster.idle += made
        return made

    def busy(self, *owners: str) -> None:
        for owner, worker in zip(owners, self.idle(*owners), strict=True):
            self.roster.lease(worker, owner)


def test_the_spare_worker_is_there_once_all_have_been_busy_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = House(2, monkeypatch)
    house.busy("anna")
    house.now += 0.1
    house.busy("anna")
    house.now += PATIENCE - 0.05
    assert not house.roster.has_spare, "one of them has only been so for less"
    house.now += 0.1
    assert house.roster.has_spare
    house.busy("bob")
    assert not house.roster.has_spare, "bob has it"
    assert house.roster.is_stuck


def test_one_long_job_is_no_reason_for_a_spare_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(2, monkeypatch)
    house.busy("anna")
    house.now += 10 * PATIENCE
    house.busy("carl")
    house.idle("bob")
    assert not house.roster.has_spare
    assert house.roster.lease_at_once("bob") is None


def test_who_has_jobs_running_does_not_get_the_spare_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = House(1, monkeypatch)
    house.busy("anna")
    house.idle(None)
    house.now += PATIENCE
    assert house.roster.lease_at_once("anna") is None
    assert house.roster.lease_at_once("bob") is not None


def test_who_has_lost_a_worker_has_one_started_and_only_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = House(1, monkeypatch, "anna")
    [worker] = house.idle("anna")
    house.roster.lease(worker, "anna")
    house.roster.give_back(worker, "worn out")
    house.roster.start_missing([])
    assert house.started == ["anna"]
    house.roster.starter.starting.clear()  # it didn't come, or has gone as a spare one
    house.roster.start_missing([])
    assert house.started == ["anna", None]


def test_an_outdated_worker_has_one_successor(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(3, monkeypatch, "anna")
    house.idle("anna")
    house.roster.start_missing([])
    assert house.started == ["anna", None, None]
    house.roster.starter.starting.clear()
    house.started.clear()
    house.roster.starter.starting.add(StillWorker("anna", "one"))
    house.roster.start_missing([])
    assert house.started == [None, None]
