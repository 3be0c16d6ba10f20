"""The web process: jobs that several requests wait for, since each of them would run the same."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from tabpy.tabpy_server.errors import AllBusyError, JobTimeoutError
from tabpy.tabpy_server.workers.pool.job import Job, Outcome, Timing


class Runner(Protocol):
    """Who runs jobs (`Pool`)."""

    async def run(self, job: Job, timing: Timing) -> Outcome:
        """Run a job; how long it waited and ran goes to `timing`. Raises TabPyError. Cancelling
        stops it."""
        ...


class SharedJob:
    """A job that runs on its own, and is stopped when nobody waits for it any more.

    Each request has as long as its own job would have had. Only requests that come in the time of
    the first one may join, so a job that hangs is stopped after twice that time.
    """

    def __init__(self, pool: Runner, job: Job, on_end: Callable[["SharedJob"], None]) -> None:
        """Start it. `on_end` is called when nobody may join any more, perhaps twice."""
        # A request empties its body with its end, and the first one may end before the job does.
        own = replace(job, body=(b"".join(job.body),), timeout=2 * job.timeout)
        self._timing = Timing()
        self._timeout = job.timeout
        self._began = time.monotonic()
        self._on_end = on_end
        self._waiting = 0
        self._is_told = False
        self._task = asyncio.get_running_loop().create_task(pool.run(own, self._timing))
        self._task.add_done_callback(self._ended)

    @property
    def may_be_joined(self) -> bool:
        """Say whether one more request may wait for it."""
        return not self._task.done() and time.monotonic() < self._began + self._timeout

    async def wait(self, deadline: float, timing: Timing) -> tuple[Outcome, bool]:
        """Return what comes of it, and whether that is told for the first time: who is told first
        notes what is to be noted once, and gets the job's `timing`.

        Raises what `Pool.run` raises, and at `deadline`, of the monotonic clock, what it would
        raise then, though the job may go on for others. Cancelling ends only the waiting.
        """
        self._waiting += 1
        late = None
        try:
            await asyncio.wait((self._task,), timeout=deadline - time.monotonic())
            if not self._task.done():
                late = self._late()
        finally:
            self._waiting -= 1
            if not self._waiting and not self._task.done():
                await self._stop()
                self._tell(timing)
        if late is not None:
            raise late
        return self._task.result(), self._tell(timing)

    def _tell(self, timing: Timing) -> bool:
        """Say how long it took to who asks first."""
        if self._is_told:
            return False
        self._is_told = True
        timing.queued_ms, timing.run_ms = self._timing.queued_ms, self._timing.run_ms
        return True

    def _late(self) -> AllBusyError | JobTimeoutError:
        queued = self._timing.queued_ms / 1000
        if not queued:
            return AllBusyError(self._timeout)
        return JobTimeoutError(self._timeout, queued, time.monotonic() - self._began - queued)

    async def _stop(self) -> None:
        self._on_end(self)
        self._task.cancel()
        await asyncio.wait((self._task,))

    def _ended(self, task: asyncio.Task[Outcome]) -> None:
        self._on_end(self)
        if not task.cancelled():
            task.exception()  # or asyncio would complain that those who wanted it have gone


class SharedJobs:
    """Those that may be joined, by a key that says all that they depend on."""

    def __init__(self, pool: Runner) -> None:
        self._pool = pool
        self._open: dict[bytes, SharedJob] = {}

    def __len__(self) -> int:
        return len(self._open)

    def find(self, key: bytes) -> SharedJob | None:
        """Return the job of that key, if it may be joined."""
        found = self._open.get(key)
        return found if found is not None and found.may_be_joined else None

    def begin(self, key: bytes, job: Job) -> SharedJob:
        """Start the job that those who come with `key` may join from now on. It has to be waited
        for at once."""

        def end(ended: SharedJob) -> None:
            if self._open.get(key) is ended:
                del self._open[key]

        self._open[key] = begun = SharedJob(self._pool, job, end)
        return begun
