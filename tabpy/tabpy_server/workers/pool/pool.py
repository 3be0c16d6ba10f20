"""The web process: a fixed number of script workers and the jobs that wait for them."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from tabpy.tabpy_server import errors
from tabpy.tabpy_server.errors import RequestError, TabPyError
from tabpy.tabpy_server.metrics.counters import Counters
from tabpy.tabpy_server.workers import protocol, wire
from tabpy.tabpy_server.workers.pool.job import Job, Timing
from tabpy.tabpy_server.workers.pool.launchers import Launcher
from tabpy.tabpy_server.workers.pool.worker import Worker, WorkerDiedError

logger = logging.getLogger(__name__)

LOOK_EVERY = 0.04  # seconds between looks at the workers' size, which take 20 us each
SHORTEST = 0.1  # seconds that have to be left when a job gets its worker: else it didn't get one
START_TIMEOUT = 30.0  # seconds; a fork takes 20 ms
FIRST_PAUSE, LAST_PAUSE = 0.05, 2.0  # seconds between tries when workers don't start


class Functions(Protocol):
    """Who knows the deployed functions (`catalog`), as far as a job needs them."""

    @property
    def change_token(self) -> str: ...

    async def reference(self, name: str, *, damaged: str = "") -> protocol.Reference: ...


class Pool:
    """Runs jobs, each on a worker of its own: `size` at a time, the others in turn."""

    def __init__(
        self,
        launcher: Launcher,
        size: int,
        memory_mb: float,
        functions: Functions,
        counters: Counters,
    ) -> None:
        """`memory_mb`: what a worker may take while it runs a job."""
        self._counters = counters
        self._launcher = launcher
        self._memory_mb = memory_mb
        self._watching: asyncio.TimerHandle | None = None
        self._functions = functions
        self._size = size
        self._idle: list[Worker] = []  # the last used first: its caches are warm
        self._busy: set[Worker] = set()
        self._isolated: set[Worker] = set()  # not of the pool: for `run_isolated`
        self._waiting: deque[asyncio.Future[Worker]] = deque()
        self._starting: set[asyncio.Task[None]] = set()
        self._stopping = False

    @property
    def waiting(self) -> int:
        """Jobs that have no worker yet."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Jobs that have one."""
        return len(self._busy)

    async def start(self) -> None:
        """Until every worker is ready."""
        await asyncio.gather(*(self._bring_up(None) for _ in range(self._size)))

    def share(self, references: Sequence[Mapping[str, Any]]) -> None:
        """Replace the workers by ones that share these models (`Catalog.reference`), each when it
        has nothing to do."""
        try:
            if not self._launcher.share(references):
                return
        except OSError as problem:  # the template is being replaced, and its socket is full
            logger.warning("Models can't be shared now: %s", problem)
            return
        for worker in (*self._idle, *self._busy):
            self._start_worker(instead_of=worker)

    def preload_models(self, references: Sequence[protocol.Reference]) -> None:
        self.share([vars(each) for each in references])

    def close(self) -> None:
        """Kill all workers, whatever they do."""
        self._stopping = True
        for task in self._starting:
            task.cancel()
        for worker in (*self._idle, *self._busy, *self._isolated):
            worker.kill()

    def refuse_waiting(self) -> None:
        """Run no jobs but those that have a worker: this web process is about to stop."""
        self._stopping = True
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_exception(restarting())

    async def run(self, job: Job, timing: Timing) -> wire.Frame:
        """The RESULT or ERROR frame of `job`; how long it waited and ran goes to `timing`.

        Raises RequestError: 503 if no worker came free in time, 408 if the script took too long,
        500 if its worker died. Cancelling, like a time-out, kills the worker.
        """
        started = time.monotonic()
        deadline = started + job.timeout
        try:
            worker = await self._lease(job, deadline)
        finally:
            leased = time.monotonic()
            timing.queued_ms = (leased - started) * 1000
        end: str | None = "client gone"
        try:
            async with asyncio.timeout(deadline - leased):
                frame = await self._run_on(worker, job)
            end = "worn out" if "retire" in frame.meta else None
        except TimeoutError:
            end = "time-out"
            raise RequestError(
                408,
                f"User defined script timed out. Timeout is set to {job.timeout} s.",
                f"It waited {leased - started:.1f} s for a free worker and ran for "
                f"{time.monotonic() - leased:.1f} s, then it was stopped.",
            ) from None
        except WorkerDiedError as death:
            end = "memory" if worker.grown_too_much else "died"
            if self._stopping:
                raise restarting() from None
            raise RequestError(
                500, "Error processing script", f"The script's process {death} before it returned."
            ) from None
        finally:
            timing.run_ms = (time.monotonic() - leased) * 1000
            self._give_back(worker, end)
        return frame

    async def run_isolated(
        self, task: protocol.Task, limit: float, body: Sequence[bytes] = ()
    ) -> bytes:
        """Like `run`, on a worker that does nothing before and nothing after."""
        worker = Worker(self._launcher, lambda _: None)
        self._isolated.add(worker)
        self._keep_watching()
        meta = {"do": protocol.TASK_NAMES[type(task)], "task": dict(vars(task))}
        try:
            async with asyncio.timeout(limit):
                await worker.ready()
                frame = await self._run_on(worker, Job(meta, body, limit))
        except TimeoutError:
            raise errors.JobTimeoutError(limit, 0, limit) from None
        except WorkerDiedError as death:
            raise errors.WorkerDiedError(str(death)) from None
        finally:
            self._isolated.discard(worker)
            worker.kill()
        if frame.kind == wire.ERROR:
            raise protocol.Failure(frame.meta["error_name"], frame.meta["facts"]).error()
        return bytes(frame.body)

    async def _run_on(self, worker: Worker, job: Job) -> wire.Frame:
        """The job's RESULT or ERROR frame, after what it wants to know on the way."""
        meta = {**job.meta, "change_token": self._functions.change_token}
        frame = await worker.run(meta, job.body)
        while frame.kind == wire.NEED:
            answer: dict[str, object]
            try:
                answer = {"reference": vars(await self._functions.reference(frame.meta["name"]))}
            except TabPyError as problem:
                answer = dict(vars(protocol.Refusal.of(problem)))
            frame = await worker.answer(answer)
        return frame

    async def _lease(self, job: Job, deadline: float) -> Worker:
        self._keep_watching()
        if self._idle:
            worker = self._idle.pop()
            self._busy.add(worker)
            return worker
        if self._stopping:
            raise restarting()
        waiter: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(deadline - SHORTEST - time.monotonic()):
                return await asyncio.shield(waiter)
        except TimeoutError:
            self._abandon(waiter)
            raise RequestError(
                503,
                "Every script worker is busy.",
                f"The script waited {job.timeout} s for one and was not run. Try again later.",
                {"Retry-After": "5"},
            ) from None
        except asyncio.CancelledError:
            self._abandon(waiter)
            raise

    def _watch_memory(self) -> None:
        """Stop scripts that take more than they may, as long as any run."""
        for worker in (*self._busy, *self._isolated):
            if worker.grown > self._memory_mb * (1 << 20):
                worker.grown_too_much = True
                worker.kill(
                    f"was stopped, as it took more than {self._memory_mb:.0f} MB "
                    "(TABPY_SCRIPT_MEMORY_MB),"
                )
        self._watching = None
        if self._busy or self._isolated or self._waiting:
            self._keep_watching()

    def _keep_watching(self) -> None:
        if self._watching is None:
            loop = asyncio.get_running_loop()
            self._watching = loop.call_later(LOOK_EVERY, self._watch_memory)

    def _abandon(self, waiter: asyncio.Future[Worker]) -> None:
        """Leave the queue; a worker that was handed over in the same instant goes to the next."""
        if not waiter.done():
            self._waiting.remove(waiter)
        elif waiter.exception() is None:
            self._give_back(waiter.result(), None)

    def _give_back(self, worker: Worker, end: str | None) -> None:
        """`end`: why the worker has to go; None if it can go on."""
        self._busy.discard(worker)
        if end is None and worker.alive and not worker.outdated:
            self._hand_out(worker)
            return
        worker.kill()
        self._counters.ends[end or "replaced"] += 1
        if not worker.outdated and not self._stopping:
            self._start_worker()

    def _hand_out(self, worker: Worker) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                self._busy.add(worker)
                waiter.set_result(worker)
                return
        self._idle.append(worker)

    def _start_worker(self, instead_of: Worker | None = None) -> None:
        task = asyncio.get_running_loop().create_task(self._bring_up(instead_of))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _bring_up(self, instead_of: Worker | None) -> None:
        """Start a worker, again if need be: the template process may be being replaced itself."""
        pause = FIRST_PAUSE
        while (worker := await self._try_to_start()) is None:
            await asyncio.sleep(pause)
            pause = min(pause * 2, LAST_PAUSE)
        if instead_of is not None:
            self._retire(instead_of)
        self._hand_out(worker)

    async def _try_to_start(self) -> Worker | None:
        try:
            worker = Worker(self._launcher, self._replace_idle)
        except OSError as problem:
            logger.warning("A script worker can't be started: %s", problem)
            return None
        try:
            async with asyncio.timeout(START_TIMEOUT):
                warm = await worker.ready()
        except (WorkerDiedError, TimeoutError) as problem:
            worker.kill()
            logger.warning("A script worker did not start: %s", problem or "no answer")
            return None
        except asyncio.CancelledError:
            worker.kill()
            raise
        self._counters.starts += 1
        if not warm:
            self._start_worker(instead_of=worker)
        return worker

    def _replace_idle(self, worker: Worker) -> None:
        """One has died; if it had a job, that job's end replaces it."""
        if worker in self._idle:
            self._idle.remove(worker)
            self._counters.ends["died"] += 1
            if not self._stopping:
                self._start_worker()

    def _retire(self, worker: Worker) -> None:
        """No more jobs for it; if it has one, that is its last."""
        worker.outdated = True
        if worker in self._idle:
            self._idle.remove(worker)
            worker.kill()
            self._counters.ends["replaced"] += 1


def restarting() -> RequestError:
    return RequestError(
        503, "The server is restarting.", "Try again in a few seconds.", {"Retry-After": "2"}
    )
