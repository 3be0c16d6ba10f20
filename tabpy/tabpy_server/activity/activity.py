"""What one web process notes, and what all of its machine have noted."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from tabpy.tabpy_server.activity.board import Board
from tabpy.tabpy_server.activity.history import History, Request, Sample
from tabpy.tabpy_server.container_memory import memory_in_use
from tabpy.tabpy_server.json_codec import dumps, loads

INTERVAL = 1.0  # seconds between looks at how things stand


class Pool(Protocol):
    """Who runs this web process's jobs."""

    @property
    def waiting(self) -> int:
        """Jobs without a worker."""

    @property
    def running(self) -> int:
        """Jobs on a worker."""


class Activity:
    """A web process's own history, which it shows to all by a place on the board.

    Who takes the place of one that has ended goes on with its history.
    """

    def __init__(self, board: Board, place: int, clock: Callable[[], float] = time.time) -> None:
        self._board, self._place, self._clock = board, place, clock
        kept = board.read(place)
        self._history = History() if kept is None else History.read(loads(kept))

    def note(self, request: Request, *, signed_in: bool) -> None:
        """Note a request that is over. `signed_in`: its sender has."""
        self._history.note(request, signed_in=signed_in)

    async def keep(self, pool: Pool, workers: int) -> None:
        """Note how things stand, again and again, and show it. `workers`: how many the pool has."""
        while True:
            sample = Sample(pool.running, pool.waiting, workers, memory_in_use())
            self._history.take_sample(self._clock(), sample)
            self.show()
            await asyncio.sleep(INTERVAL)

    def show(self) -> None:
        """Let the others see what has happened here."""
        self._board.write(self._place, dumps(self._history.written()))

    def of_all(self) -> list[History]:
        """Return the histories of all web processes of this machine: this one's as it is now, the
        others' as they were not longer ago than INTERVAL. It can take milliseconds."""
        return [History.read(loads(each)) for each in self._board.read_all()]
