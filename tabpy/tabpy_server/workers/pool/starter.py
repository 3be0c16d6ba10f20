"""The web process: starting script workers, again after a pause where that fails."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

from tabpy.tabpy_server.errors import WorkerDiedError
from tabpy.tabpy_server.workers.pool.hired import Worker
from tabpy.tabpy_server.workers.pool.shelves import Shelves
from tabpy.tabpy_server.workers.pool.source import Source

logger = logging.getLogger(__name__)

START_TIMEOUT = 30.0  # seconds; a fork takes 20 ms
SHELF_TIMEOUT = 5.0  # the same for a worker from a shelf, where somebody's code has run
FIRST_PAUSE, LAST_PAUSE = 0.05, 2.0  # seconds between tries when workers don't start


class Starter:
    """Starts workers; those that aren't ready yet are in `starting`."""

    def __init__(
        self,
        shelves: Shelves,
        memory_mb: float,
        on_ready: Callable[[Worker], None],
        on_change: Callable[[], None],
    ) -> None:
        """`shelves` is told when one of them gives no worker. `memory_mb`: what a script may take.
        `on_change` is called after `on_ready`, and whenever it's time to look again."""
        self._shelves = shelves
        self._memory_mb = memory_mb
        self._on_ready = on_ready
        self._on_change = on_change
        self.starting: set[Worker] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.failed = 0  # tries in a row
        self._again_at = 0.0
        self.is_held_up = False  # by what others see to: it isn't tried meanwhile

    @property
    def is_pausing(self) -> bool:
        """Say whether it's too early to try again."""
        return self.is_held_up or time.monotonic() < self._again_at

    def start(self, sources: Iterable[Source | None]) -> None:
        """Start one from each, or as many as can be started now."""
        for source in sources:
            try:
                worker = self._shelves.launcher.hire(self._on_change, self._memory_mb, source)
            except OSError as error:  # the fork server is being replaced, and its socket is full
                self._note_failure(str(error))
                return
            self.starting.add(worker)
            task = asyncio.get_running_loop().create_task(self._bring_up(worker))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Stop starting, and kill what isn't ready."""
        for task in self._tasks:
            task.cancel()
        for worker in self.starting:
            worker.kill()

    async def _bring_up(self, worker: Worker) -> None:
        try:
            async with asyncio.timeout(SHELF_TIMEOUT if worker.source else START_TIMEOUT):
                await worker.ready()
        except (WorkerDiedError, TimeoutError) as error:
            worker.kill()
            how = error.how if isinstance(error, WorkerDiedError) else "did not answer"
            self._note_failure(f"it {how}", worker.source)
        else:
            self.failed, self._again_at = 0, 0.0
            self._on_ready(worker)
        finally:
            self.starting.discard(worker)
        self._on_change()

    def _note_failure(self, why: str, source: Source | None = None) -> None:
        logger.warning("A script worker can't be started: %s", why)
        if source is not None:  # the next one comes from elsewhere, and at once
            self._shelves.distrust(source)
            return
        pause = min(FIRST_PAUSE * 2**self.failed, LAST_PAUSE)
        self.failed += 1
        self._again_at = time.monotonic() + pause
        asyncio.get_running_loop().call_later(pause, self._on_change)
