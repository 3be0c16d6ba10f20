"""Jobs with large bodies, where memory is short: one after the other, over all web processes."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tabpy.tabpy_server import machine
from tabpy.tabpy_server.errors import AllBusyError
from tabpy.tabpy_server.settings import Settings
from tabpy.tabpy_server.web.heavy_jobs import HeavyJobs, heavy_jobs
from tabpy.tabpy_server.workers.pool.job import Job, Outcome, Timing
from tabpy.tabpy_server.workers.protocol import Reply
from tests.web.harness import SIGNED_IN, FakePool, Web

LIGHT, HEAVY = 100, 101
MIB = 1 << 20


@pytest.fixture
def jobs(tmp_path: Path) -> HeavyJobs:
    return HeavyJobs(LIGHT, tmp_path / "heavy.lock")


async def work(jobs: HeavyJobs, notes: list[str], name: str, seconds: float = 5.0) -> None:
    async with jobs.turn(seconds):
        notes.append(f"{name} begins")
        for _ in range(5):
            await asyncio.sleep(0)
        notes.append(f"{name} ends")


def test_heavy_ones_run_in_the_order_they_came(jobs: HeavyJobs) -> None:
    notes: list[str] = []

    async def run() -> None:
        await asyncio.gather(*(work(jobs, notes, name) for name in "abc"))

    asyncio.run(run())
    assert notes == [f"{name} {what}" for name in "abc" for what in ("begins", "ends")]


def test_another_web_process_waits_too(jobs: HeavyJobs, tmp_path: Path) -> None:
    """What excludes it is the file: here, another object that has it open."""
    other = HeavyJobs(LIGHT, tmp_path / "heavy.lock")
    notes: list[str] = []

    async def run() -> None:
        async with jobs.turn(5.0):
            waiting = asyncio.ensure_future(work(other, notes, "other"))
            await asyncio.sleep(0)
            assert notes == []
        await waiting

    asyncio.run(run())
    assert notes == ["other begins", "other ends"]


def test_only_large_bodies_take_turns(jobs: HeavyJobs) -> None:
    assert not jobs.are(LIGHT)
    assert jobs.are(HEAVY)


def test_waiting_is_a_part_of_the_time_that_a_job_has(jobs: HeavyJobs) -> None:
    async def run() -> None:
        async with jobs.turn(5.0) as waited:
            assert 0 < waited < 5.0
            with pytest.raises(AllBusyError, match="Every script worker is busy"):
                async with jobs.turn(0.01):
                    raise AssertionError("it has a turn")

    asyncio.run(run())


@pytest.mark.parametrize("how", [ValueError, asyncio.CancelledError])
def test_a_turn_that_fails_is_over(jobs: HeavyJobs, how: type[BaseException]) -> None:
    notes: list[str] = []

    async def run() -> None:
        with pytest.raises(how):
            async with jobs.turn(5.0):
                raise how
        await work(jobs, notes, "next")

    asyncio.run(run())
    assert notes == ["next begins", "next ends"]


@pytest.mark.parametrize(
    ("memory", "workers", "most_light"), [(512.0, 2, 8.8), (8192.0, 4, 100.4), (160.0, 2, 0.0)]
)
def test_what_is_heavy_follows_from_the_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, memory: float, workers: int, most_light: float
) -> None:
    monkeypatch.setattr(machine, "memory_mb", lambda: memory)
    settings = Settings(workers=workers, web_processes=2, model_memory_mb=1.0, state_path=tmp_path)
    light = int(most_light * MIB)

    jobs = heavy_jobs(settings)
    assert not jobs.are(light)
    assert jobs.are(light + 1)


class CountingPool(FakePool):
    """Knows how many jobs it has run at a time, at most."""

    def __init__(self) -> None:
        super().__init__()
        self.running = self.most = 0

    async def run(self, job: Job, _: Timing) -> Outcome:
        self.jobs.append(job)
        self.running += 1
        self.most = max(self.most, self.running)
        for _turn in range(20):
            await asyncio.sleep(0)
        self.running -= 1
        return Outcome(Reply(), b"1")


@pytest.mark.parametrize(("memory", "at_a_time"), [(100.0, 1), (float("inf"), 3)])
def test_requests_run_their_jobs_in_turn_where_memory_is_short(
    serve: Callable[..., Web],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    memory: float,
    at_a_time: int,
) -> None:
    monkeypatch.setattr(machine, "memory_mb", lambda: memory)
    pool = CountingPool()
    web = serve({"state_path": tmp_path}, pool=pool)
    body = b'{"script": "return 1", "data": {}}'
    text = (
        b"POST /evaluate HTTP/1.1\r\nHost: x\r\nAuthorization: %b\r\nContent-Length: %d\r\n\r\n%b"
    )

    async def exchange() -> None:
        async def one() -> None:
            async with web.connection() as connection:
                await connection.send(text % (SIGNED_IN.encode(), len(body), body))
                assert (await connection.reply()).status == 200

        await asyncio.gather(one(), one(), one())

    web.run(exchange())
    assert len(pool.jobs) == 3
    assert pool.most == at_a_time
    assert [each.waited > 0 for each in pool.jobs] == [at_a_time == 1] * 3
    assert {each.timeout for each in pool.jobs} == {web.context.settings.evaluate_timeout}
