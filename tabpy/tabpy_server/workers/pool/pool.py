"""The web process: a fixed number of script workers and the jobs that wait for them.

Events (a death, a time-out, a shelf, a fork server that has become warm) start and stop
nothing by themselves. Each calls `_reconcile`, which compares the workers that are there with
those that should be.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tabpy.tabpy_server.errors import (
    AllBusyError,
    DrainingError,
    FunctionNotReadyError,
    InternalError,
    JobTimeoutError,
    QueueFullError,
    WorkerDiedError,
)
from tabpy.tabpy_server.isolation import Isolation
from tabpy.tabpy_server.metrics.counters import Counters
from tabpy.tabpy_server.workers.pool.demand import Demand
from tabpy.tabpy_server.workers.pool.executor import Executor, Functions
from tabpy.tabpy_server.workers.pool.hired import Worker
from tabpy.tabpy_server.workers.pool.isolated import IsolatedWorkers
from tabpy.tabpy_server.workers.pool.job import Job, Outcome, Timing
from tabpy.tabpy_server.workers.pool.job_queue import JobQueue, Waiter
from tabpy.tabpy_server.workers.pool.launchers import Launcher
from tabpy.tabpy_server.workers.pool.ownership import Situation, allocate
from tabpy.tabpy_server.workers.pool.renewals import Renewals, versions_of
from tabpy.tabpy_server.workers.pool.roster import Roster
from tabpy.tabpy_server.workers.pool.shelves import Shelves
from tabpy.tabpy_server.workers.pool.watch import Kernel, Watch
from tabpy.tabpy_server.workers.protocol import Evaluate, Query, Reference, Task

SEVERAL = 3  # tries to start a worker: one alone may meet a fork server that is replaced
SHORTEST = 0.1  # seconds that have to be left when a job gets its worker: else it didn't get one


@dataclass(frozen=True)
class Limits:
    """`size`: workers, and so jobs at a time. `memory_mb`: what a worker may take while it runs a
    job. `model_memory`: bytes of models that each keeps loaded. `waiting_mb`: what the bodies of
    jobs that wait may take. `isolation`: who may have a worker after whom. `least`: workers when
    there are no jobs; None: `size`."""

    size: int
    memory_mb: float
    model_memory: int
    waiting_mb: float
    isolation: Isolation
    least: int | None = None


class Pool:
    """Runs jobs, each on a worker of its own: `size` at a time, the others in turn.

    No worker runs jobs of two owners, unless isolation is off.
    """

    def __init__(
        self,
        launcher: Launcher,
        functions: Functions,
        counters: Counters,
        limits: Limits,
        kernel: Kernel | None = None,
    ) -> None:
        least = limits.size if limits.least is None else limits.least
        self._demand = Demand(least, limits.size)
        self._isolation = limits.isolation
        self._functions = functions
        self.shelves = Shelves(launcher, limits.isolation.keeps_owners_apart)
        self._executor = Executor(functions, limits.model_memory, self.shelves.note)
        self._workers = Roster(self.shelves, counters, least, limits.memory_mb, self._reconcile)
        self._isolated = IsolatedWorkers(
            launcher,
            Executor(functions, limits.model_memory),
            limits.memory_mb,
            self._keep_ticking,
        )
        self._renewals = Renewals(self._executor, self._end_after, self._give_back)
        self._queue = JobQueue(limits.waiting_mb * (1 << 20))
        self._watch = Watch(limits.memory_mb, kernel)
        self._tick: asyncio.TimerHandle | None = None
        self._complete = asyncio.Event()
        self._closed = False

    @property
    def waiting(self) -> int:
        """Return the number of jobs that have no worker yet."""
        return len(self._queue)

    @property
    def running(self) -> int:
        """Return the number of jobs that have one."""
        return len(self._workers.busy)

    @property
    def has_started(self) -> bool:
        """Say whether as many workers as should be have been there at the same time."""
        return self._complete.is_set()

    @property
    def cannot_start(self) -> bool:
        """Say whether no worker is there, and several tries to start one have failed."""
        there = len(self._workers.idle) + len(self._workers.busy)
        return there == 0 and self._workers.starter.failed >= SEVERAL

    @property
    def isolation(self) -> str:
        """Return whose jobs a worker may do."""
        return self._isolation.value

    async def start(self) -> None:
        """Start the workers, and wait until every one is ready."""
        self._reconcile()
        await self._complete.wait()

    def close(self) -> None:
        """Kill all workers, whatever they do, and refuse the jobs that wait."""
        self._closed = True
        if self._tick is not None:
            self._tick.cancel()
        self._workers.close()
        for worker in self._isolated.there:
            worker.kill()
        for waiter in self._queue.clear():
            waiter.worker.set_exception(DrainingError())

    # Running jobs

    async def run(self, job: Job, timing: Timing) -> Outcome:
        """Run `job`; how long it waited and ran goes to `timing`.

        Raises TabPyError: AllBusyError if no worker came free in time, QueueFullError if too many
        wait for one, JobTimeoutError if the script took too long, WorkerDiedError, DrainingError if
        this process stops before it could run, InternalError, and what looking up the function
        raises. Cancelling kills the worker, and so does a time-out.
        """
        started = time.monotonic() - job.waited
        deadline = started + job.timeout
        task = await self._task(job, deadline)
        queued = time.monotonic()
        try:
            worker = await self._lease(job, deadline)
        finally:
            leased = time.monotonic()
            timing.queued_ms = (leased - queued + job.waited) * 1000
        end: str | None = "client gone"
        worker.begin(job.owner if self._isolation.keeps_owners_apart else None)
        try:
            async with asyncio.timeout(deadline - leased):
                outcome = await self._executor.run(worker, task, job)
            end = self._end_after(outcome)
        except TimeoutError:
            end = "time-out"
            ran = time.monotonic() - leased
            raise JobTimeoutError(job.timeout, leased - started, ran) from None
        except WorkerDiedError:
            end = worker.end
            if self._closed:
                raise DrainingError from None
            raise
        except InternalError:
            end = "died"
            raise
        finally:
            timing.run_ms = (time.monotonic() - leased) * 1000
            self._give_back(worker, end)
        return outcome

    async def run_isolated(
        self, task: Task, seconds: float, body: Sequence[bytes] = (), request_id: str = ""
    ) -> bytes:
        """Do `task` on a worker that does nothing before and nothing after; return JSON.

        Raises what the task raises, JobTimeoutError after `seconds`, WorkerDiedError,
        InternalError, DrainingError.
        """
        async with self.isolated(task, seconds, body, request_id) as result:
            return result

    @asynccontextmanager
    async def isolated(
        self, task: Task, seconds: float, body: Sequence[bytes] = (), request_id: str = ""
    ) -> AsyncIterator[bytes]:
        """Do the same; the worker, and the files that it has written, go at the context's end."""
        job = Job(body, seconds, request_id=request_id)
        try:
            async with self._isolated.doing(task, job) as result:
                yield result
        except WorkerDiedError:
            if self._closed:
                raise DrainingError from None
            raise

    async def _task(self, job: Job, deadline: float) -> Task:
        if job.function is None:
            return Evaluate(has_tables=job.tables is not None, as_numpy=job.as_numpy)
        try:
            async with asyncio.timeout(deadline - SHORTEST - time.monotonic()):
                return Query(await self._functions.reference(job.function))
        except TimeoutError:
            raise FunctionNotReadyError(job.function, job.timeout) from None

    def _end_after(self, outcome: Outcome) -> str | None:
        """Return why a worker that has done a job can't go on, None if it can."""
        if outcome.message.recycle:
            return "worn out"
        return "one job" if self._isolation is Isolation.JOB else None

    async def _lease(self, job: Job, deadline: float) -> Worker:
        """Wait for a worker. Raises AllBusyError, QueueFullError and DrainingError."""
        if self._closed:
            raise DrainingError
        # The usual case, and it's quick.
        if not self._queue and (worker := self._workers.lease_at_once(job.owner)) is not None:
            self._keep_ticking()
            return worker
        waiter = Waiter(job.owner, job.size)
        self._queue.add(waiter)
        if not self._has_to_wait(job.owner):
            self._reconcile()  # somebody else's worker may have to go
        for dropped in self._queue.drop_excess():
            dropped.worker.set_exception(QueueFullError())
        if waiter.worker.done():
            return waiter.worker.result()
        try:
            async with asyncio.timeout(deadline - SHORTEST - time.monotonic()):
                return await asyncio.shield(waiter.worker)
        except TimeoutError:
            self._abandon(waiter)
            raise AllBusyError(job.timeout) from None
        except asyncio.CancelledError:
            self._abandon(waiter)
            raise

    def _has_to_wait(self, owner: str) -> bool:
        """Say whether a job of `owner` gets a worker when one of their own ends, and not before."""
        workers = self._workers
        return workers.is_settled and not workers.free and owner in workers.busy.values()

    def _abandon(self, waiter: Waiter) -> None:
        """Leave the queue; a worker that was handed over in the same instant goes to the next, and
        to anybody if it was never used."""
        if not waiter.worker.done():
            self._queue.remove(waiter)
        elif waiter.worker.exception() is None:
            self._give_back(waiter.worker.result(), None)

    def _give_back(self, worker: Worker, end: str | None) -> None:
        """Take a worker back whose job is over. `end`: why it can't go on, None if it can."""
        if end is None and not self._closed and self._renewals.start([worker]) is not None:
            return  # it comes back when it has loaded what it has to
        self._workers.give_back(worker, end)
        if (
            self._renewals
            or not self._workers.is_settled
            or (self._queue and not self._hand_on(worker))
        ):
            self._reconcile()

    def _hand_on(self, worker: Worker) -> bool:
        """Give a worker that has just come back to the next job, where nobody else may have it."""
        owner = worker.owner
        if owner is None or self._queue.only_owner != owner or not worker.is_quiet():
            return False
        self._workers.lease(worker, owner)
        self._queue.pop(owner).worker.set_result(worker)
        return True

    # Loading new versions

    @property
    def called(self) -> Mapping[str, Collection[str]]:
        """Return the functions that workers have called or loaded, and the SHA-256 of each."""
        return versions_of(self._workers.there)

    async def renew(self, reference: Reference) -> None:
        """Have the workers that have called another version of a function load this one, one after
        the other, and wait until they have. Being cancelled ends only the waiting."""
        done = self._renewals.begin(reference, self._workers.there)
        self._reconcile()
        await done.wait()

    def _renew_idle(self) -> None:
        """Have an idle worker load what it has to, if nobody waits for one."""
        idle = [each for each in self._workers.idle if each.is_quiet()] if self._renewals else []
        if not self._queue and (worker := self._renewals.start(idle)) is not None:
            self._workers.lease(worker, worker.owner or "")

    # What is there, and what should be

    def _reconcile(self) -> None:
        """Make the workers that are there those that should be; safe to call at any time."""
        if self._closed:
            return
        workers = self._workers
        workers.size = self._demand.size(len(workers.busy) + len(self._queue))
        self.shelves.ask(each.owner for each in (*workers.idle, *workers.busy))
        workers.remove_dead()
        workers.remove_excess()
        started = self._hand_out()
        self._renew_idle()
        workers.start_missing(started)
        if workers.is_complete:
            self._complete.set()
        self._keep_ticking()

    def _hand_out(self) -> list[str]:
        """Give jobs that wait their workers, and kill those that are in the way of others. Return
        the owners for whom workers are to be started."""
        workers = self._workers
        waiting = self._queue.by_owner
        workers.needs_spare = workers.is_stuck and not waiting.keys() <= {*workers.busy.values()}
        if not waiting or not (workers.free or workers.has_spare):
            return []  # as each job finds it that comes while all are busy
        workers.remove_unquiet()
        allocation = allocate(
            Situation(
                waiting=waiting,
                running=Counter(workers.busy.values()),
                free=workers.free,
                spare=workers.has_spare,
                idle=workers.idle,
                coming=workers.coming,
                missing=workers.missing,
                replaceable=workers.replaceable,
                outdated_for=workers.outdated_for,
            )
        )
        for owner, worker in allocation.given:
            workers.lease(worker, owner)
            self._queue.pop(owner).worker.set_result(worker)
        workers.remove(allocation.replaced, "other user")
        return allocation.started

    # Looking after them

    def _keep_ticking(self) -> None:
        """See to it that there's a next look: soon while a script may take too much memory, and
        now and then at what nobody tells us, such as who forks workers now."""
        seconds = self._watch.pause(bool(self._workers.busy or self._isolated.there))
        loop = asyncio.get_running_loop()
        if self._tick is not None:
            if self._tick.when() <= loop.time() + seconds:
                return
            self._tick.cancel()
        self._tick = loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._tick = None
        busy = (*self._workers.busy, *self._isolated.there)
        for worker, end, because in self._watch.look(busy, self._workers.idle):
            worker.end = end
            worker.kill(because)
        self._reconcile()
