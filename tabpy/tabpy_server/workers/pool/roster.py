"""The web process: the workers of its pool, and what each of them is doing."""

from collections.abc import Callable, Sequence

from tabpy.tabpy_server.metrics.counters import Counters
from tabpy.tabpy_server.workers.pool.launchers import Launcher
from tabpy.tabpy_server.workers.pool.ownership import best
from tabpy.tabpy_server.workers.pool.starter import Starter
from tabpy.tabpy_server.workers.pool.worker import Worker

SURGE = 1  # workers beyond the pool's size, while better ones take the place of others


class Roster:
    """Workers are starting, idle or busy. One is outdated when a fork server answers now that would
    fork a better one. Never more than `size` are busy, `size` + SURGE there, or `size` there that
    aren't outdated."""

    def __init__(
        self,
        launcher: Launcher,
        counters: Counters,
        size: int,
        memory_mb: float,
        on_change: Callable[[], None],
    ) -> None:
        """`on_change` is called when a worker has become ready or died, and when it's time to look
        again. `memory_mb`: what a script may take."""
        self._launcher = launcher
        self._counters = counters
        self.size = size
        self.starter = Starter(launcher, memory_mb, self._take_in, on_change)
        self.idle: list[Worker] = []  # the last used last: its caches are warm
        self.busy: dict[Worker, str] = {}  # and the owners of their jobs

    @property
    def is_complete(self) -> bool:
        """Say whether as many are ready as should be."""
        return len(self.idle) + len(self.busy) >= self.size

    @property
    def free(self) -> int:
        """Return how many more jobs may run."""
        return self.size - len(self.busy)

    @property
    def missing(self) -> int:
        """Return how many workers can and should be started now."""
        if self.starter.is_pausing:
            return 0
        starting = len(self.starter.starting)
        there = [*self.idle, *self.busy]
        current = starting + sum(not self.outdated(each) for each in there)
        return max(0, min(self.size - current, self.size + SURGE - starting - len(there)))

    @property
    def coming(self) -> int:
        """Return how many workers will soon be there, once the missing ones are started."""
        return len(self.starter.starting) + self.missing

    def outdated(self, worker: Worker) -> bool:
        """Say whether a better worker could be had now."""
        origin = self._launcher.origin
        return bool(origin) and worker.origin != origin

    def replaceable(self, worker: Worker) -> bool:
        """Say whether another worker could be started in its place now."""
        return not (self.starter.is_pausing or self.outdated(worker))

    def start_missing(self) -> None:
        """Start the workers that are missing."""
        self.starter.start(self.missing)

    def lease_at_once(self, owner: str) -> Worker | None:
        """Return a worker for a job of `owner` that is busy from now on, if there is one for it."""
        worker = best(owner, self.idle, self.outdated) if self.free > 0 else None
        if worker is None or not worker.is_quiet():
            return None
        self.lease(worker, owner)
        return worker

    def lease(self, worker: Worker, owner: str) -> None:
        """Make an idle worker busy with a job of `owner`."""
        self.idle.remove(worker)
        self.busy[worker] = owner

    def give_back(self, worker: Worker, end: str | None) -> None:
        """Take a worker back whose job is over. `end`: why it can't go on, None if it can."""
        del self.busy[worker]
        if end is None and worker.alive:
            self.idle.append(worker)
        else:
            self._let_go(worker, end or worker.end)

    def remove_dead(self) -> None:
        """Let go of idle workers that have ended, as far as that has been noticed."""
        for worker in [each for each in self.idle if not each.alive]:
            self.remove([worker], worker.end)

    def remove_unquiet(self) -> None:
        """Let go of idle workers that have ended, or say something: see `Worker.is_quiet`."""
        for worker in [each for each in self.idle if not each.is_quiet()]:
            self.remove([worker], worker.end)

    def remove_outdated(self) -> None:
        """Recycle idle workers, once others are there in their place."""
        for worker in [each for each in self.idle if self.outdated(each)]:
            if len(self.idle) + len(self.busy) <= self.size:
                return
            self.remove([worker], "replaced")

    def remove(self, workers: Sequence[Worker], end: str) -> None:
        """Let go of idle workers. `end`: the reason, for the metrics."""
        for worker in workers:
            self.idle.remove(worker)
            self._let_go(worker, end)

    def close(self) -> None:
        """Kill all of them, whatever they do."""
        self.starter.close()
        for worker in (*self.idle, *self.busy):
            worker.kill()

    def _take_in(self, worker: Worker) -> None:
        self._counters.starts += 1
        self.idle.append(worker)

    def _let_go(self, worker: Worker, end: str) -> None:
        worker.kill()
        self._counters.ends[end] += 1
