"""Whatever happens, in any order: no worker has two owners, none is lost, every job has an end."""

import asyncio
import contextlib
import random
from collections.abc import Collection
from dataclasses import replace

import pytest

from tabpy.tabpy_server.errors import TabPyError
from tabpy.tabpy_server.isolation import Isolation
from tabpy.tabpy_server.workers.pool import job_queue, ownership, roster, shelves, starter
from tabpy.tabpy_server.workers.pool.job import Outcome
from tabpy.tabpy_server.workers.protocol import Need, Reference, Reply
from tests.workers.pool.fakes import MODELS, REFERENCE, Bench, FakeWorker, with_bench

EVENTS = 250
OWNERS = ("anna", "bob", "carl", "dora")
WEIGHTS = {
    "job": 8,
    "call": 4,
    "hang": 3,
    "finish": 4,
    "die": 1,
    "cancel": 2,
    "warm": 1,
    "refuse": 1,
    "renew": 2,
    "share": 2,
    "fill": 3,
    "empty": 1,
    "stop shelves": 1,
}


class Chaos:
    """Does random things to a pool."""

    def __init__(self, bench: Bench, seed: int) -> None:
        self._bench = bench
        self._random = random.Random(seed)
        self._jobs: list[asyncio.Task[Outcome]] = []
        self._renewing: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Do EVENTS of them, then let everything end, and see that it does."""
        for _ in range(EVENTS):
            self.happen(*self._random.choices([*WEIGHTS], [*WEIGHTS.values()]))
            for _ in range(self._random.randrange(3)):
                await asyncio.sleep(0)
        self._bench.launcher.refuses = self._bench.launcher.shelves_hang = False
        await self._bench.until(self.all_have_ended)
        for task in self._jobs:
            assert task.cancelled() or isinstance(task.exception(), TabPyError | None)
        await self._bench.settle()
        await self._bench.until(
            lambda: len(self._bench.launcher.there) == self._bench.pool._workers.size
        )
        for owner in OWNERS:
            assert (await self._bench.run(b"after", owner=owner)).body == b"after"

    def happen(self, event: str) -> None:
        there = self._bench.launcher.there
        match event:
            case "job" | "hang":
                body = b"hang" if event == "hang" else b"%d" % len(self._jobs)
                owner = self._random.choice(OWNERS)
                self._jobs.append(self._bench.begin(body, owner=owner))
            case "call":
                name = self._random.choice([*MODELS])
                owner = self._random.choice(OWNERS)
                self._jobs.append(self._bench.begin(b"call", owner=owner, function=name))
            case "finish":
                self.finish(self._random.choice(there)) if there else None
            case "die":
                self._random.choice(there).die() if there else None
            case "cancel":
                self._random.choice(self._jobs).cancel() if self._jobs else None
            case "warm":
                self._bench.launcher.origin = f"{self._random.random()}"
            case "renew":
                version = replace(REFERENCE, sha256=f"{self._random.random()}")
                self._renewing.append(asyncio.create_task(self._bench.pool.renew(version)))
            case "refuse":
                self._bench.launcher.refuses = not self._bench.launcher.refuses
            case _:
                self.happen_to_shelves(event)
        if self._random.random() < 0.2:
            self._bench.pool._look()

    def happen_to_shelves(self, event: str) -> None:
        launcher, shelves = self._bench.launcher, self._bench.pool.shelves
        match event:
            case "share":
                for owner, names in shelves.called.items():
                    shelves.put(owner, self.models(names))
            case "fill":
                launcher.fill(*self.models(MODELS))
            case "empty":
                there = [*launcher.shelves]
                launcher.shelves.pop(self._random.choice(there)) if there else None
            case "stop shelves":
                launcher.shelves_hang = not launcher.shelves_hang

    def models(self, names: Collection[str]) -> list[Reference]:
        """Some of these, if they are models."""
        there = sorted({*names} & MODELS.keys())
        count = self._random.randint(0, len(there))
        return [MODELS[each] for each in self._random.sample(there, count)]

    def finish(self, worker: FakeWorker) -> None:
        """End its job, ask for something, or break the protocol if it has none."""
        if worker.let_go.is_set():
            return
        with contextlib.suppress(OSError):  # it was let go, and hasn't noticed
            worker.send(Need("known") if self._random.random() < 0.2 else Reply())

    def all_have_ended(self) -> bool:
        for worker in self._bench.launcher.there:
            if worker.received:
                self.finish(worker)
        return all(task.done() for task in (*self._jobs, *self._renewing))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("isolation", [Isolation.USER, Isolation.JOB, Isolation.OFF])
@pytest.mark.parametrize("patience", [roster.PATIENCE, 0.002])
def test_whatever_happens(
    seed: int, size: int, isolation: Isolation, patience: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster, "PATIENCE", patience)
    monkeypatch.setattr(ownership, "TURN_SECONDS", 0.001)
    monkeypatch.setattr(starter, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(starter, "LAST_PAUSE", 0.002)
    monkeypatch.setattr(starter, "SHELF_TIMEOUT", 0.01)
    monkeypatch.setattr(shelves, "DISTRUST_SECONDS", 0.01)
    monkeypatch.setattr(job_queue, "WAITING_JOBS", 20)

    async def test(bench: Bench) -> None:
        await Chaos(bench, 10 * seed + size).run()

    with_bench(size, test, isolation)
