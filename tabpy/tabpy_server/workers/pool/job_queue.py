"""The web process: the jobs that wait for a worker.

Their number is bounded, since each holds its request's body, a connection and its handler in the
memory of the web process. WAITING_JOBS of 30 ms each are what one worker does in the 30 s that a
job may wait: those behind them would have waited for nothing.

When there is too much, the owner who has most of it has a job refused: the last one if it's their
number, the largest if it's their bytes. So who sends a thousand calls, or a huge one, is in nobody
else's way.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tabpy.tabpy_server.workers.pool.hired import Worker

WAITING_JOBS = 1000


@dataclass(eq=False)
class Waiter:
    """A job that waits: `size` is that of its body in bytes, `worker` is what it waits for."""

    owner: str
    size: int
    worker: asyncio.Future[Worker] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class JobQueue:
    """Jobs by owner: in turn between owners, first come first served within one."""

    def __init__(self, waiting_bytes: float) -> None:
        """`waiting_bytes`: what the bodies of all may take; a single job may always wait."""
        self._waiting_bytes = waiting_bytes
        self._owners: OrderedDict[str, deque[Waiter]] = OrderedDict()  # the next one first
        self._count = 0
        self._size = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Waiter]:
        for waiters in self._owners.values():
            yield from waiters

    @property
    def by_owner(self) -> Mapping[str, int]:
        """Return the number of jobs by owner, who was served longest ago first."""
        return {owner: len(waiters) for owner, waiters in self._owners.items()}

    @property
    def only_owner(self) -> str | None:
        """Return whose jobs wait; None if nobody's do, or those of several."""
        return next(iter(self._owners)) if len(self._owners) == 1 else None

    def add(self, waiter: Waiter) -> None:
        """Add a job at the end."""
        self._owners.setdefault(waiter.owner, deque()).append(waiter)
        self._count += 1
        self._size += waiter.size

    def pop(self, owner: str) -> Waiter:
        """Take an owner's first job; the others' are before its next. Raises KeyError."""
        waiter = self._owners[owner][0]
        self._owners.move_to_end(owner)
        self.remove(waiter)
        return waiter

    def remove(self, waiter: Waiter) -> None:
        """Take out a job. Raises KeyError or ValueError if it isn't there."""
        waiters = self._owners[waiter.owner]
        waiters.remove(waiter)
        if not waiters:
            del self._owners[waiter.owner]
        self._count -= 1
        self._size -= waiter.size

    def clear(self) -> list[Waiter]:
        """Take out all jobs."""
        waiters = list(self)
        self._owners.clear()
        self._count = self._size = 0
        return waiters

    def drop_excess(self) -> list[Waiter]:
        """Take out what is too much."""
        dropped = []
        while self._count > 1:
            if self._size > self._waiting_bytes:
                owner = max(self._owners.values(), key=_size)
                waiter = max(reversed(owner), key=lambda each: each.size)
            elif self._count > WAITING_JOBS:
                waiter = max(self._owners.values(), key=len)[-1]
            else:
                break
            self.remove(waiter)
            dropped.append(waiter)
        return dropped


def _size(waiters: Iterable[Waiter]) -> int:
    return sum(each.size for each in waiters)
