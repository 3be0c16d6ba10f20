"""Jobs with large bodies, one after the other over all web processes where memory is short.

A job takes about ten times its body: as bytes, as the values that the script gets and returns, and
as bytes again. If all workers had one at the same time, a small machine would run out of memory,
and the kernel would kill somebody.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tabpy.tabpy_server import machine
from tabpy.tabpy_server.errors import AllBusyError
from tabpy.tabpy_server.functions.file_lock import locked
from tabpy.tabpy_server.settings import Settings

TAKES = 10  # times its body (measured: a million floats doubled, 18 MB, 150 MB in all processes)
LOOK_SECONDS = 0.02  # between looks at whether another web process's job is over


class HeavyJobs:
    """Gives jobs of more than `light` bytes their turns."""

    def __init__(self, light: float, file: Path) -> None:
        """`file`: locked while one has its turn, by whichever web process."""
        self._light = light
        self._file = file
        self._turn = asyncio.Lock()  # in this process: first come, first served

    def are(self, size: int) -> bool:
        """Say whether jobs with bodies of `size` bytes take turns."""
        return size > self._light

    @asynccontextmanager
    async def turn(self, seconds: float) -> AsyncIterator[float]:
        """Wait for a turn, and have it as long as the context. Gives the seconds that this took.
        Raises AllBusyError after `seconds`."""
        began = time.monotonic()
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(seconds):
                    await held.enter_async_context(self._turn)
                    await held.enter_async_context(locked(self._file, LOOK_SECONDS))
            except TimeoutError:
                raise AllBusyError(seconds) from None
            yield time.monotonic() - began


def heavy_jobs(settings: Settings) -> HeavyJobs:
    """Return the turns of this machine: bodies are light if all its workers can have one at a time
    in what the server leaves of the memory."""
    workers = settings.workers * settings.web_processes
    light = (machine.memory_mb() - machine.SERVER_MB) * (1 << 20) / TAKES / workers
    return HeavyJobs(light, settings.state_path / "heavy.lock")
