"""One job for several requests: each gets what it would get alone, and nothing runs for nobody."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tabpy.tabpy_server.errors import AllBusyError, JobTimeoutError, TabPyError, WorkerDiedError
from tabpy.tabpy_server.workers.pool.job import Job, Outcome, Timing
from tabpy.tabpy_server.workers.pool.shared_jobs import SharedJob, SharedJobs
from tabpy.tabpy_server.workers.protocol import Reply

KEY = b"a key"
OUTCOME = Outcome(Reply("0" * 32 + "-1", "printed"), b"result")


class FakePool:
    """Runs each job until its one of `ends`. `stopped` are those that were cancelled, and have
    ended when it `may_stop`."""

    def __init__(self, *, has_workers: bool = True) -> None:
        self._has_workers = has_workers
        self.jobs: list[Job] = []
        self.ends: list[asyncio.Future[Outcome]] = []
        self.stopped: list[Job] = []
        self.may_stop = asyncio.Event()
        self.may_stop.set()

    async def run(self, job: Job, timing: Timing) -> Outcome:
        self.jobs.append(job)
        end: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.ends.append(end)
        if self._has_workers:
            timing.queued_ms = 2.0
        try:
            return await end
        except asyncio.CancelledError:
            self.stopped.append(job)
            await self.may_stop.wait()
            raise
        finally:
            timing.queued_ms, timing.run_ms = 2.0, 3.0


async def settle() -> None:
    """Give everything that can go on a turn."""
    for _ in range(5):
        await asyncio.sleep(0)


class Caller:
    """A request that waits for a shared job, up to `seconds`."""

    def __init__(self, shared: SharedJob, seconds: float = 10.0) -> None:
        self.timing = Timing()
        self.task = asyncio.ensure_future(shared.wait(time.monotonic() + seconds, self.timing))

    @property
    def times(self) -> tuple[float, float]:
        return self.timing.queued_ms, self.timing.run_ms


def job(seconds: float = 10.0) -> Job:
    return Job([b"bo", b"dy"], seconds, "f")


def run(test: Callable[[FakePool, SharedJobs], Awaitable[None]], **options: Any) -> None:
    async def on_a_loop() -> None:
        pool = FakePool(**options)
        async with asyncio.timeout(10):
            await test(pool, SharedJobs(pool))

    asyncio.run(on_a_loop())


def test_all_who_wait_get_its_outcome_and_one_of_them_is_the_first() -> None:
    async def test(pool: FakePool, jobs: SharedJobs) -> None:
        callers = [Caller(jobs.begin(KEY, job()))]
        for _ in range(2):
            joined = jobs.find(KEY)
            assert joined is not None
            callers.append(Caller(joined))
        await settle()
        assert len(pool.jobs) == 1
        pool.ends[0].set_result(OUTCOME)
        got = [await each.task for each in callers]
        assert got == [(OUTCOME, True), (OUTCOME, False), (OUTCOME, False)]
        assert [each.times for each in callers] == [(2.0, 3.0), (0.0, 0.0), (0.0, 0.0)]

    run(test)


def test_its_failure_is_everybodys() -> None:
    async def test(pool: FakePool, jobs: SharedJobs) -> None:
        shared = jobs.begin(KEY, job())
        callers = [Caller(shared), Caller(shared)]
        await settle()
        pool.ends[0].set_exception(WorkerDiedError("was killed"))
        for each in callers:
            with pytest.raises(WorkerDiedError):
                await each.task

    run(test)


def test_it_has_the_body_of_a_request_that_is_over() -> None:
    async def test(pool: FakePool, jobs: SharedJobs) -> None:
        body = [b"bo", b"dy"]
        first = Caller(jobs.begin(KEY, Job(body, 10.0, "f")))
        body.clear()
        await settle()
        assert b"".join(pool.jobs[0].body) == b"body"
        first.task.cancel()
        await settle()

    run(test)


def test_nobody_joins_what_is_over() -> None:
    async def test(pool: FakePool, jobs: SharedJobs) -> None:
        caller = Caller(jobs.begin(KEY, job()))
        assert jobs.find(b"another key") is None
        await settle()
        pool.ends[0].set_result(OUTCOME)
        await caller.task
        assert jobs.find(KEY) is None
        assert len(jobs) == 0

    run(test)


def test_it_goes_on_for_the_others_when_the_first_has_gone() -> None:
    async def test(pool: FakePool, jobs: SharedJobs) -> None:
        shared = jobs.begin(KEY, job())
        first, second = Caller(shared), Caller(shared)
        await settle()
        first.task.cancel()
        await settle()
        assert first.task.cancelled()
        pool.ends[0].set_result(OUTCOME)
        assert await second.task == (OUTCOME, True)
        assert second.times == (2.0, 3.0)

    run(test)


def test_it_is_stopped_when_the_last_has_gone_and_nobody_joins_it_then() -> None:
    async def test(pool: FakePool, jobs: SharedJobs) -> None:
        shared = jobs.begin(KEY, job())
        callers = [Caller(shared), Caller(shared)]
        await settle()
        for each in callers:
            assert pool.stopped == []
            each.task.cancel()
            await settle()
        assert len(pool.stopped) == 1
        assert jobs.find(KEY) is None
        assert callers[-1].times == (2.0, 3.0)

    run(test)


def test_nobody_joins_what_is_being_stopped() -> None:
    async def test(pool: FakePool, jobs: SharedJobs) -> None:
        caller = Caller(jobs.begin(KEY, job()))
        await settle()
        pool.may_stop.clear()
        caller.task.cancel()
        await settle()
        assert (len(pool.stopped), jobs.find(KEY)) == (1, None)
        pool.may_stop.set()
        with pytest.raises(asyncio.CancelledError):
            await caller.task

    run(test)


@pytest.mark.parametrize(
    ("has_workers", "error"),
    [(True, JobTimeoutError), (False, AllBusyError)],
    ids=["ran", "queued"],
)
def test_each_has_its_own_deadline(has_workers: bool, error: type[TabPyError]) -> None:
    async def test(pool: FakePool, jobs: SharedJobs) -> None:
        shared = jobs.begin(KEY, job())
        first, second = Caller(shared, 0.01), Caller(shared)
        with pytest.raises(error):
            await first.task
        assert pool.stopped == []
        pool.ends[0].set_result(OUTCOME)
        assert await second.task == (OUTCOME, True)

    run(test, has_workers=has_workers)


def test_the_last_deadline_stops_it() -> None:
    async def test(pool: FakePool, jobs: SharedJobs) -> None:
        shared = jobs.begin(KEY, job())
        callers = [Caller(shared, 0.01), Caller(shared, 0.02)]
        for each in callers:
            with pytest.raises(JobTimeoutError):
                await each.task
        assert len(pool.stopped) == 1

    run(test)


def test_nobody_joins_what_has_had_the_time_of_one() -> None:
    """Or a job that hangs would go on for as long as somebody comes."""

    async def test(pool: FakePool, jobs: SharedJobs) -> None:
        late = Caller(jobs.begin(KEY, job(0.0)), 10.0)
        assert jobs.find(KEY) is None
        another = Caller(jobs.begin(KEY, job()))
        await settle()
        assert [each.timeout for each in pool.jobs] == [0.0, 20.0]
        pool.ends[0].set_result(OUTCOME)
        await late.task
        assert jobs.find(KEY) is not None, "the end of the old one is none of the new one's"
        pool.ends[1].set_result(OUTCOME)
        await another.task

    run(test)


def test_a_failure_that_nobody_waited_for_any_more_is_no_accident() -> None:
    async def test(pool: FakePool, jobs: SharedJobs) -> None:
        complaints: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, said: complaints.append(said))
        caller = Caller(jobs.begin(KEY, job()))
        await settle()
        pool.ends[0].set_exception(WorkerDiedError("was killed"))
        caller.task.cancel()
        await settle()
        assert caller.task.cancelled()
        pool.ends.clear()
        del caller
        await settle()
        assert complaints == []

    run(test)
