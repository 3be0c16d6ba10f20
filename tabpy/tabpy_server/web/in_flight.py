"""The requests under way in this web process."""

import asyncio

from tabpy.tabpy_server import process_memory

LARGE = 1_000_000  # bytes
TRIM_AFTER = 0.5  # seconds


class Traffic:
    """Counts the requests under way, so that a stopping web process knows when it's done."""

    def __init__(self) -> None:
        self.draining = False
        self._busy = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._trim: asyncio.TimerHandle | None = None

    def enter(self) -> None:
        """Count one request in."""
        self._busy += 1
        self._quiet.clear()

    def leave(self) -> None:
        """Count one request out. Each that has entered leaves once."""
        self._busy -= 1
        if self._busy == 0:
            self._quiet.set()

    def passed(self, size: int) -> None:
        """Give back the memory of a request of `size` bytes, in and out: soon, once for many."""
        if size > LARGE and self._trim is None:
            self._trim = asyncio.get_running_loop().call_later(TRIM_AFTER, self._give_back)

    def _give_back(self) -> None:
        self._trim = None
        process_memory.trim()

    async def drained(self) -> None:
        """Wait until every request that has begun is over. From now on a reply closes its
        connection."""
        self.draining = True
        await self._quiet.wait()
