"""The web process: a fixed number of script workers and the jobs that wait for them.

Events (a death, a time-out, other models, a fork server that has become warm) start and stop
nothing by themselves. Each calls `_reconcile`, which compares the workers that are there with
those that should be.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tabpy.tabpy_server.errors import (
    AllBusyError,
    DrainingError,
    FunctionNotReadyError,
    InternalError,
    JobTimeoutError,
    WorkerDiedError,
)
from tabpy.tabpy_server.metrics.counters import Counters
from tabpy.tabpy_server.workers import protocol
from tabpy.tabpy_server.workers.pool.executor import Executor, Functions
from tabpy.tabpy_server.workers.pool.job import Job, Outcome, Timing
from tabpy.tabpy_server.workers.pool.launchers import Launcher
from tabpy.tabpy_server.workers.pool.worker import Worker
from tabpy.tabpy_server.workers.protocol import (
    Evaluate,
    Failure,
    Query,
    Reference,
    Task,
)

logger = logging.getLogger(__name__)

CHECK_MEMORY_SECONDS = 0.04  # between looks at the size of busy workers, which take 20 us each
RECONCILE_SECONDS = 1.0  # between looks at what nobody tells us: who forks workers now
SHORTEST = 0.1  # seconds that have to be left when a job gets its worker: else it didn't get one
START_TIMEOUT = 30.0  # seconds; a fork takes 20 ms
FIRST_PAUSE, LAST_PAUSE = 0.05, 2.0  # seconds between tries when workers don't start
SURGE = 1  # workers beyond the pool's size, while better ones take the place of others


@dataclass(frozen=True)
class Limits:
    """`size`: workers, and so jobs at a time. `memory_mb`: what a worker may take while it runs a
    job. `model_memory`: bytes of models that each keeps loaded."""

    size: int
    memory_mb: float
    model_memory: int


class Pool:
    """Runs jobs, each on a worker of its own: `size` at a time, the others in turn.

    A worker is starting, idle or busy. It is outdated when a fork server answers now that would
    fork a better one. Never more than `size` are busy, `size` + SURGE there, or `size` there that
    aren't outdated.
    """

    def __init__(
        self,
        launcher: Launcher,
        functions: Functions,
        counters: Counters,
        limits: Limits,
    ) -> None:
        self._launcher = launcher
        self._size = limits.size
        self._functions = functions
        self._executor = Executor(functions, limits.model_memory)
        self._counters = counters
        self._memory_mb = limits.memory_mb
        self._starting: set[Worker] = set()
        self._idle: list[Worker] = []  # the last used last: its caches are warm
        self._busy: set[Worker] = set()
        self._isolated: set[Worker] = set()  # not of the pool: for `run_isolated`
        self._waiting: deque[asyncio.Future[Worker]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed_starts = 0  # in a row
        self._start_again_at = 0.0
        self._preload_request: bytes | None = None
        self._tick: asyncio.TimerHandle | None = None
        self._complete = asyncio.Event()
        self._closed = False

    @property
    def waiting(self) -> int:
        """Return the number of jobs that have no worker yet."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Return the number of jobs that have one."""
        return len(self._busy)

    async def start(self) -> None:
        """Start the workers, and wait until every one is ready."""
        self._reconcile()
        await self._complete.wait()

    def preload_models(self, references: Sequence[Reference]) -> None:
        """Have workers start with these models; the present ones are recycled in turn."""
        self._preload_request = protocol.preload_request(references)
        self._reconcile()

    def close(self) -> None:
        """Kill all workers, whatever they do, and refuse the jobs that wait."""
        self._closed = True
        if self._tick is not None:
            self._tick.cancel()
        for task in self._tasks:
            task.cancel()
        for worker in (*self._starting, *self._idle, *self._busy, *self._isolated):
            worker.kill()
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_exception(DrainingError())

    # Running jobs

    async def run(self, job: Job, timing: Timing) -> Outcome:
        """Run `job`; how long it waited and ran goes to `timing`.

        Raises TabPyError: AllBusyError if no worker came free in time, JobTimeoutError if the
        script took too long, WorkerDiedError, DrainingError if this process stops before it could
        run, InternalError, and what looking up the function raises. Cancelling kills the worker,
        and so does a time-out.
        """
        started = time.monotonic()
        deadline = started + job.timeout
        task = await self._task(job, deadline)
        queued = time.monotonic()
        try:
            worker = await self._lease(job, deadline)
        finally:
            leased = time.monotonic()
            timing.queued_ms = (leased - queued) * 1000
        end: str | None = "client gone"
        try:
            async with asyncio.timeout(deadline - leased):
                outcome = await self._executor.run(worker, task, job)
            end = "worn out" if outcome.message.recycle else None
        except TimeoutError:
            end = "time-out"
            ran = time.monotonic() - leased
            raise JobTimeoutError(job.timeout, leased - started, ran) from None
        except WorkerDiedError:
            end = "memory" if worker.grown_too_much else "died"
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
        started = time.monotonic()
        try:
            worker = Worker(self._launcher, lambda: None)
        except OSError as error:
            raise WorkerDiedError(f"could not be started: {error.strerror}") from None
        self._isolated.add(worker)
        self._keep_ticking()
        try:
            async with asyncio.timeout(seconds):
                await worker.ready()
                outcome = await self._executor.run(worker, task, job)
            if isinstance(outcome.message, Failure):
                raise outcome.message.error()
            yield outcome.body
        except TimeoutError:
            raise JobTimeoutError(seconds, 0.0, time.monotonic() - started) from None
        except WorkerDiedError:
            if self._closed:
                raise DrainingError from None
            raise
        finally:
            self._isolated.discard(worker)
            worker.kill()

    async def _task(self, job: Job, deadline: float) -> Task:
        if job.function is None:
            return Evaluate()
        try:
            async with asyncio.timeout(deadline - SHORTEST - time.monotonic()):
                return Query(await self._functions.reference(job.function))
        except TimeoutError:
            raise FunctionNotReadyError(job.function, job.timeout) from None

    async def _lease(self, job: Job, deadline: float) -> Worker:
        """Wait for a worker. Raises AllBusyError and DrainingError."""
        if self._closed:
            raise DrainingError
        waiter: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        self._hand_out()
        self._keep_ticking()
        if waiter.done():
            return waiter.result()
        try:
            async with asyncio.timeout(deadline - SHORTEST - time.monotonic()):
                return await asyncio.shield(waiter)
        except TimeoutError:
            self._abandon(waiter)
            raise AllBusyError(job.timeout) from None
        except asyncio.CancelledError:
            self._abandon(waiter)
            raise

    def _abandon(self, waiter: asyncio.Future[Worker]) -> None:
        """Leave the queue; a worker that was handed over in the same instant goes to the next."""
        if not waiter.done():
            self._waiting.remove(waiter)
        elif waiter.exception() is None:
            self._give_back(waiter.result(), None)

    def _give_back(self, worker: Worker, end: str | None) -> None:
        """Take a worker back whose job is over. `end`: why it can't go on, None if it can."""
        self._busy.discard(worker)
        if end is None and worker.alive:
            self._idle.append(worker)
        else:
            self._let_go(worker, end or "died")
        self._reconcile()

    # What is there, and what should be

    def _reconcile(self) -> None:
        """Make the workers that are there those that should be; safe to call at any time."""
        if self._closed:
            return
        if self._preload_request is not None:
            self._launcher.ensure_preload(self._preload_request)
        self._remove_dead()
        self._remove_outdated()
        self._hand_out()
        self._start_missing()
        if len(self._idle) + len(self._busy) >= self._size:
            self._complete.set()
        self._keep_ticking()

    def _remove_dead(self) -> None:
        for worker in [each for each in self._idle if not each.alive]:
            self._idle.remove(worker)
            self._let_go(worker, "died")

    def _remove_outdated(self) -> None:
        """Recycle workers that do nothing, once others are there in their place."""
        for worker in [each for each in self._idle if self._outdated(each)]:
            if len(self._idle) + len(self._busy) <= self._size:
                return
            self._idle.remove(worker)
            self._let_go(worker, "replaced")

    def _hand_out(self) -> None:
        while self._waiting and self._idle and len(self._busy) < self._size:
            waiter = self._waiting.popleft()
            if not waiter.done():
                worker = self._best_idle()
                self._busy.add(worker)
                waiter.set_result(worker)

    def _best_idle(self) -> Worker:
        """Take the last used one, if possible one that isn't outdated."""
        for position in range(len(self._idle) - 1, -1, -1):
            if not self._outdated(self._idle[position]):
                return self._idle.pop(position)
        return self._idle.pop()

    def _start_missing(self) -> None:
        if time.monotonic() < self._start_again_at:
            return
        there = [*self._starting, *self._idle, *self._busy]
        current = len(self._starting) + sum(
            not self._outdated(each) for each in (*self._idle, *self._busy)
        )
        missing = min(self._size - current, self._size + SURGE - len(there))
        for _ in range(missing):
            if not self._start_one():
                return

    def _start_one(self) -> bool:
        try:
            worker = Worker(self._launcher, self._reconcile)
        except OSError as error:  # the fork server is being replaced, and its socket is full
            self._note_failed_start(str(error))
            return False
        self._starting.add(worker)
        task = asyncio.get_running_loop().create_task(self._bring_up(worker))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _bring_up(self, worker: Worker) -> None:
        try:
            async with asyncio.timeout(START_TIMEOUT):
                await worker.ready()
        except (WorkerDiedError, TimeoutError) as error:
            worker.kill()
            how = error.how if isinstance(error, WorkerDiedError) else "did not answer"
            self._note_failed_start(f"it {how}")
        else:
            self._failed_starts = 0
            self._counters.starts += 1
            self._idle.append(worker)
        finally:
            self._starting.discard(worker)
        self._reconcile()

    def _note_failed_start(self, why: str) -> None:
        logger.warning("A script worker can't be started: %s", why)
        pause = min(FIRST_PAUSE * 2**self._failed_starts, LAST_PAUSE)
        self._failed_starts += 1
        self._start_again_at = time.monotonic() + pause
        asyncio.get_running_loop().call_later(pause, self._reconcile)

    def _outdated(self, worker: Worker) -> bool:
        origin = self._launcher.origin
        return bool(origin) and worker.origin != origin

    def _let_go(self, worker: Worker, end: str) -> None:
        """`end`: the reason, for the metrics."""
        worker.kill()
        self._counters.ends[end] += 1

    # Looking after them

    def _keep_ticking(self) -> None:
        """See to it that there's a next look: soon while a script may take too much memory."""
        seconds = CHECK_MEMORY_SECONDS if self._busy or self._isolated else RECONCILE_SECONDS
        loop = asyncio.get_running_loop()
        if self._tick is not None:
            if self._tick.when() <= loop.time() + seconds:
                return
            self._tick.cancel()
        self._tick = loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._tick = None
        self._check_memory()
        self._reconcile()

    def _check_memory(self) -> None:
        """Stop scripts that take more than they may."""
        for worker in (*self._busy, *self._isolated):
            if worker.grown > self._memory_mb * (1 << 20):
                worker.grown_too_much = True
                worker.kill(
                    f"was stopped, as it took more than {self._memory_mb:.0f} MB "
                    "(TABPY_SCRIPT_MEMORY_MB),"
                )
