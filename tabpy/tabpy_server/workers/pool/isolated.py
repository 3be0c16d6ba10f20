"""The web process: workers that do one task each, and don't count in the pool."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tabpy.tabpy_server.errors import JobTimeoutError, WorkerDiedError
from tabpy.tabpy_server.workers.pool.executor import Executor
from tabpy.tabpy_server.workers.pool.hired import Worker
from tabpy.tabpy_server.workers.pool.job import Job, Outcome
from tabpy.tabpy_server.workers.pool.launchers import Launcher
from tabpy.tabpy_server.workers.pool.starter import START_TIMEOUT
from tabpy.tabpy_server.workers.protocol import Failure, Task


class IsolatedWorkers:
    """Starts a worker for each task, and kills it afterwards; `there` are those that run one."""

    def __init__(
        self,
        launcher: Launcher,
        executor: Executor,
        memory_mb: float,
        on_begin: Callable[[], None],
    ) -> None:
        """`memory_mb`: what each may take. `on_begin` is called when there is one more."""
        self._launcher = launcher
        self._executor = executor
        self._memory_mb = memory_mb
        self._on_begin = on_begin
        self.there: set[Worker] = set()

    @asynccontextmanager
    async def doing(self, task: Task, job: Job) -> AsyncIterator[bytes]:
        """Do `task`, with the body and the time of `job`; give JSON. The worker and the files that
        it has written are there until the context ends.

        Raises what the task raises, JobTimeoutError, WorkerDiedError and InternalError.
        """
        started = time.monotonic()
        try:
            worker = self._launcher.hire(lambda: None, self._memory_mb)
        except OSError as error:
            raise WorkerDiedError(f"could not be started: {error.strerror}") from None
        self.there.add(worker)
        self._on_begin()
        try:
            async with asyncio.timeout(START_TIMEOUT):  # no part of the task's time
                await worker.ready()
            started = time.monotonic()
            async with asyncio.timeout(job.timeout):
                outcome = await self._executor.run(worker, task, job)
            yield _body(outcome)
        except TimeoutError:
            raise JobTimeoutError(job.timeout, 0.0, time.monotonic() - started) from None
        finally:
            self.there.discard(worker)
            worker.kill()


def _body(outcome: Outcome) -> bytes:
    if isinstance(outcome.message, Failure):
        raise outcome.message.error()
    return outcome.body
