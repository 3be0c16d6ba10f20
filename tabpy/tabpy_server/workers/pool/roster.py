"""The web process: the workers of its pool, and what each of them is doing."""

import time
from collections import Counter
from collections.abc import Callable, Sequence

from tabpy.tabpy_server.metrics.counters import Counters
from tabpy.tabpy_server.workers.pool.hired import Worker
from tabpy.tabpy_server.workers.pool.ownership import best
from tabpy.tabpy_server.workers.pool.shelves import Shelves
from tabpy.tabpy_server.workers.pool.starter import Starter

SURGE = 1  # workers beyond the pool's size: a better one that comes, or the spare one
PATIENCE = 1.0  # seconds that as many jobs as the pool's size have to run for a spare worker


class Roster:
    """Workers are starting, idle or busy. One is outdated when a fork server answers now, or a
    shelf is there for its owner, that would fork a better one. Never more than `size` + SURGE are
    there.

    No more than `size` are busy, but for the *spare* one: while long jobs have all workers, it does
    those of owners who have none running, one after the other.
    """

    def __init__(
        self,
        shelves: Shelves,
        counters: Counters,
        size: int,
        memory_mb: float,
        on_change: Callable[[], None],
    ) -> None:
        """`on_change` is called when a worker has become ready or died, and when it's time to look
        again. `memory_mb`: what a script may take."""
        self._shelves = shelves
        self._counters = counters
        self.size = size
        self.starter = Starter(shelves, memory_mb, self._take_in, on_change)
        self.idle: list[Worker] = []  # the last used last: its caches are warm
        self.busy: dict[Worker, str] = {}  # and the owners of their jobs
        self.needs_spare = False  # somebody waits who may have it
        self._bereaved: list[str | None] = []  # owners whose workers have just ended

    @property
    def is_complete(self) -> bool:
        """Say whether as many are ready as should be."""
        return len(self.idle) + len(self.busy) >= self.size

    @property
    def is_settled(self) -> bool:
        """Say whether those are there that should be, and no others start."""
        if self.starter.starting or len(self.idle) + len(self.busy) != self.size:
            return False
        return not any(map(self.outdated, (*self.idle, *self.busy)))

    @property
    def free(self) -> int:
        """Return how many more jobs may run, whoever's they are."""
        return max(0, self.size - len(self.busy))

    @property
    def is_stuck(self) -> bool:
        """Say whether long jobs have all workers, so that the spare one may be used."""
        long = time.monotonic() - PATIENCE
        return 0 < self.size <= sum(each.busy_since <= long for each in self.busy)

    @property
    def has_spare(self) -> bool:
        """Say whether one more job may run, of an owner who has none running."""
        return len(self.busy) == self.size and self.is_stuck

    @property
    def missing(self) -> int:
        """Return how many workers can and should be started now."""
        if self.starter.is_pausing:
            return 0
        there = len(self.starter.starting) + len(self.idle) + len(self.busy)
        wanted = self.size + self.needs_spare
        return max(0, min(wanted - self._current, self.size + SURGE - there))

    @property
    def _current(self) -> int:
        """Return how many are there, or will be, that aren't outdated."""
        there = (*self.idle, *self.busy)
        return len(self.starter.starting) + sum(not self.outdated(each) for each in there)

    @property
    def coming(self) -> list[str | None]:
        """Return the owners of the workers that will soon be there; None for anybody's."""
        return [each.owner for each in self.starter.starting]

    @property
    def there(self) -> list[Worker]:
        """Return those that are idle or busy."""
        return [*self.idle, *self.busy]

    def outdated(self, worker: Worker) -> bool:
        """Say whether a better worker could be had now."""
        return self.outdated_for(worker, worker.owner)

    def outdated_for(self, worker: Worker, owner: str | None) -> bool:
        """Say whether an owner could have a better one."""
        origin = self._shelves.origin(owner)
        return bool(origin) and worker.origin != origin

    def replaceable(self, worker: Worker) -> bool:
        """Say whether another worker could be started in its place now."""
        return not (self.starter.is_pausing or self.outdated(worker))

    def start_missing(self, waiting: Sequence[str]) -> None:
        """Start the workers that are missing: first for owners who wait for one, then for those who
        have lost one or have an outdated one, else for anybody."""
        if count := self.missing:
            owners = [*waiting, *self._bereaved, *self._badly_off(), *(count * [None])]
            self.starter.start([self._shelves.source(each) for each in owners[:count]])
        self._bereaved.clear()

    def _badly_off(self) -> list[str | None]:
        """Return the owner of each outdated worker for which no other is on its way."""
        left = Counter(each.owner for each in (*self.idle, *self.busy) if self.outdated(each))
        return [*(left - Counter(self.coming)).elements()]

    def lease_at_once(self, owner: str) -> Worker | None:
        """Return a worker for a job of `owner` that is busy from now on, if there is one for it."""
        if not (self.free or (self.has_spare and owner not in self.busy.values())):
            return None
        worker = best(owner, self.idle, self.outdated_for)
        if worker is None or not worker.is_quiet():
            return None
        self.lease(worker, owner)
        return worker

    def lease(self, worker: Worker, owner: str) -> None:
        """Make an idle worker busy with a job of `owner`."""
        self.idle.remove(worker)
        self.busy[worker] = owner
        worker.busy_since = time.monotonic()

    def give_back(self, worker: Worker, end: str | None) -> None:
        """Take a worker back whose job is over. `end`: why it can't go on, None if it can."""
        del self.busy[worker]
        if end is None and worker.alive:
            self.idle.append(worker)
        else:
            self._bereaved.append(worker.owner)
            self._let_go(worker, end or worker.end)

    def remove_dead(self) -> None:
        """Let go of idle workers that have ended, as far as that has been noticed."""
        for worker in [each for each in self.idle if not each.alive]:
            self.remove([worker], worker.end)

    def remove_unquiet(self) -> None:
        """Let go of idle workers that have ended, or say something: see `Worker.is_quiet`."""
        for worker in [each for each in self.idle if not each.is_quiet()]:
            self.remove([worker], worker.end)

    def remove_excess(self) -> None:
        """Let go of idle workers beyond the pool's size: outdated ones once others are there in
        their place, and the spare one when it isn't needed any more."""
        if len(self.starter.starting) + len(self.idle) + len(self.busy) <= self.size:
            return  # the usual case, after each job
        for worker in [each for each in self.idle if self.outdated(each)]:
            if len(self.idle) + len(self.busy) <= self.size:
                return
            self.remove([worker], "replaced")
        if not self.is_stuck and self._current > self.size:
            self.remove(self.idle[:1], "spare")

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
