"""The web process: the pool whose workers are on the nodes of a Ray cluster.

Who may have which worker, the queue and the deadlines are those of every pool. Where an actor runs,
and how what is said gets there, is Ray's to decide.
"""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tabpy.tabpy_server.errors import AllBusyError, ClusterUnavailableError
from tabpy.tabpy_server.metrics.counters import Counters
from tabpy.tabpy_server.process_usage import Usage
from tabpy.tabpy_server.workers.pool.executor import Functions
from tabpy.tabpy_server.workers.pool.job import Job, Outcome, Timing
from tabpy.tabpy_server.workers.pool.launchers import Launcher
from tabpy.tabpy_server.workers.pool.pool import Limits, Pool
from tabpy.tabpy_server.workers.pool.watch import Kernel
from tabpy.tabpy_server.workers.protocol import Collect, Task
from tabpy.tabpy_server.workers.ray.cluster import Cluster
from tabpy.tabpy_server.workers.ray.launcher import RayLauncher
from tabpy.tabpy_server.workers.ray.seats import Seats

START_SECONDS = 60.0  # that a web process waits for its first workers before it answers


class NoKernel(Kernel):
    """Knows nothing of workers on other machines: each node looks at its own."""

    def usage(self, pid: int) -> Usage | None:
        return None

    def is_short(self) -> bool:
        return False


class RayPool(Pool):
    """Runs jobs below actors. While the cluster isn't there, it says so at once."""

    def __init__(
        self,
        cluster: Cluster,
        seats: Seats,
        functions: Functions,
        counters: Counters,
        limits: Limits,
    ) -> None:
        super().__init__(RayLauncher(seats), functions, counters, limits, NoKernel())
        self._cluster = cluster
        self._seats = seats
        self._keeping: asyncio.Task[None] | None = None
        self._here: Pool | None = None
        self._workers.starter.is_held_up = True

    def collect_here(self, launcher: Launcher, functions: Functions, limits: Limits) -> None:
        """Have workers of this machine read the checkout's modules: no node has those files."""
        none_else = dataclasses.replace(limits, size=0, least=0)
        self._here = Pool(launcher, functions, Counters(), none_else)

    @property
    def cannot_start(self) -> bool:
        is_lost = bool(self._cluster.problem) and not self._workers.there
        return is_lost or super().cannot_start

    async def start(self) -> None:
        """Connect, and wait for the first workers, but not for ever."""
        self._keeping = asyncio.get_running_loop().create_task(
            self._cluster.keep(self._cluster_changed)
        )
        try:
            async with asyncio.timeout(START_SECONDS):
                await super().start()
        except TimeoutError:
            pass  # whoever asks is told why

    def close(self) -> None:
        super().close()
        if self._here is not None:
            self._here.close()
        if self._keeping is not None:
            self._keeping.cancel()

    async def run(self, job: Job, timing: Timing) -> Outcome:
        """Do what `Pool.run` does. Raises ClusterUnavailableError, too."""
        if self._cluster.problem and not self._workers.there:
            raise ClusterUnavailableError(self._cluster.problem)
        try:
            return await super().run(job, timing)
        except AllBusyError:
            if self._cluster.problem:
                raise ClusterUnavailableError(self._cluster.problem) from None
            raise

    @asynccontextmanager
    async def isolated(
        self, task: Task, seconds: float, body: Sequence[bytes] = (), request_id: str = ""
    ) -> AsyncIterator[bytes]:
        if isinstance(task, Collect) and self._here is not None:
            async with self._here.isolated(task, seconds, body, request_id) as result:
                yield result
            return
        if self._cluster.problem:
            raise ClusterUnavailableError(self._cluster.problem)
        async with super().isolated(task, seconds, body, request_id) as result:
            yield result

    def _cluster_changed(self) -> None:
        """Try at once what couldn't be done before."""
        self._workers.starter.is_held_up = bool(self._cluster.problem)
        if self._cluster.problem:
            self._seats.forget()
            self._complete.set()  # whoever waits for the first workers waits for nothing
        self._reconcile()
