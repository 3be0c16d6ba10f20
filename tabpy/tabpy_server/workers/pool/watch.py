"""The web process: looking at what its workers take, and saying which have to go.

A busy worker, with all that it has started, may take no more than a script may. A look at one takes
30 us, 60 with the threads of a linear algebra library and 35 more for each child process.

One that has run something and is idle now may not work: a script has left a thread or a process
behind. Looking twice a second, that is noticed within two seconds, and costs 0.1 ms a second for
each worker. What libraries still do when a job has just ended isn't held against it.

When the container itself runs short of memory, the kernel would soon kill somebody, so the worker
that takes most goes, with an error that says so: an idle one, as long as one has grown. What grows
faster than this can see, or isn't any worker's, is left to the kernel.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tabpy.tabpy_server import process_usage
from tabpy.tabpy_server.container_memory import ContainerMemory
from tabpy.tabpy_server.process_usage import Usage
from tabpy.tabpy_server.workers.pool.hired import Worker

logger = logging.getLogger(__name__)

CHECK_SECONDS = 0.04  # between looks at busy workers
IDLE_SECONDS = 0.5  # between looks at idle ones
SHARE_OF_TIME = 0.1  # that looking may take
IDLE_CPU = 0.05  # seconds of processor time between two looks that are work
RELIEF_SECONDS = 0.15  # in which the kernel has the memory of a killed worker back
RELIEFS = 4  # workers killed in a row: if that doesn't help, no worker has the memory
# A worker that has taken so much of what it may goes at once, a smaller one only when memory has
# been short for so many seconds: another web process may have a larger one.
LARGE, PATIENCE = 0.25, 0.1
WORTH_IT = 8 << 20  # bytes that an idle worker has grown by, and that ending it gives back


class Kernel:
    """What is asked of the kernel; tests have their own."""

    def __init__(self) -> None:
        self._container = ContainerMemory()

    def usage(self, pid: int) -> Usage | None:
        """Return what a process and all below it take, shared memory once for each."""
        return process_usage.usage(pid)

    def own_memory(self, pid: int) -> int:
        """Return the same of the memory, shared memory counted once."""
        return process_usage.own_memory(pid, self._container.shared())

    def is_short(self) -> bool:
        """Say whether the container has hardly any memory left."""
        return self._container.is_short()


class Finding(NamedTuple):
    """A worker that has to go: the reason for the metrics, and what its client is told."""

    worker: Worker
    end: str
    because: str


class Watch:
    """Looks at workers that take part in the pool, and at those that don't."""

    def __init__(self, memory_mb: float, kernel: Kernel | None = None) -> None:
        """`memory_mb`: what a script may take."""
        self._memory = memory_mb * (1 << 20)
        self._kernel = kernel or Kernel()
        self._next_idle_look = 0.0
        self._short_since: float | None = None
        self._relieved_at = 0.0
        self._reliefs = 0  # since memory has become short
        self._took = 0.0  # seconds, the last look

    def pause(self, busy: bool) -> float:
        """Return the seconds until the next look: soon while a script may take too much."""
        return max(CHECK_SECONDS if busy else IDLE_SECONDS, self._took / SHARE_OF_TIME)

    def look(self, busy: Iterable[Worker], idle: Sequence[Worker]) -> list[Finding]:
        """Return the workers that have to go, each once."""
        begun = time.monotonic()
        sizes: dict[Worker, float] = {}
        findings = {each.worker: each for each in self._too_large(busy, sizes)}
        if begun >= self._next_idle_look:
            self._next_idle_look = begun + IDLE_SECONDS
            findings |= {each.worker: each for each in self._restless(idle, sizes)}
        if not findings and (found := self._crowded(sizes, idle, begun)) is not None:
            findings[found.worker] = found
        self._took = time.monotonic() - begun
        return list(findings.values())

    def _too_large(self, busy: Iterable[Worker], sizes: dict[Worker, float]) -> Iterator[Finding]:
        for worker in busy:
            usage = self._kernel.usage(worker.pid)
            if usage is not None:
                sizes[worker] = usage.memory - worker.size_at_start
                if self._is_too_large(worker, usage):
                    yield self._large(worker)

    def _restless(self, idle: Sequence[Worker], sizes: dict[Worker, float]) -> Iterator[Finding]:
        for worker in idle:
            usage = self._kernel.usage(worker.pid) if worker.used else None
            if usage is None:
                continue
            sizes[worker] = usage.memory - worker.size_at_start
            if self._is_too_large(worker, usage):
                yield self._large(worker)
            elif len(worker.rested) == 2 and _works(worker.rested[-1], usage):
                yield Finding(worker, "not idle", "was stopped, as it worked without a job,")
            worker.rested = (*worker.rested, usage)[-2:]

    def _is_too_large(self, worker: Worker, usage: Usage) -> bool:
        if usage.memory - worker.size_at_start <= self._memory:
            return False
        if usage.processes == 1:
            return True
        return self._kernel.own_memory(worker.pid) - worker.size_at_start > self._memory

    def _large(self, worker: Worker) -> Finding:
        allowed = f"{self._memory / (1 << 20):.0f} MB (TABPY_SCRIPT_MEMORY_MB)"
        return Finding(worker, "memory", f"was stopped, as it took more than {allowed},")

    def _crowded(
        self, sizes: dict[Worker, float], idle: Sequence[Worker], now: float
    ) -> Finding | None:
        """Return the largest worker if the container runs short of memory."""
        if not self._kernel.is_short():
            self._short_since, self._reliefs = None, 0
            return None
        if self._short_since is None:
            self._short_since = now
        if now < self._relieved_at + RELIEF_SECONDS or self._reliefs >= RELIEFS:
            return None
        for worker in idle:
            if worker.used and worker not in sizes and (usage := self._kernel.usage(worker.pid)):
                sizes[worker] = usage.memory - worker.size_at_start
        # One that is idle costs nobody a request, and the next begins without what it has grown by.
        grown = {each for each in idle if sizes.get(each, 0) >= WORTH_IT}
        largest = max(grown or sizes, key=lambda each: sizes[each] + each.held, default=None)
        if largest is None:
            return None
        if (
            not grown
            and sizes[largest] < LARGE * self._memory
            and now < self._short_since + PATIENCE
        ):
            return None
        self._relieved_at = now
        self._reliefs += 1
        if self._reliefs == RELIEFS:
            logger.error(
                "Memory is short, and stopping script workers doesn't help. What else takes it? "
                "Files in /dev/shm count."
            )
        return Finding(
            largest,
            "container",
            "was stopped, as the server's memory ran short and it took most of it (lower "
            "TABPY_WORKERS or TABPY_SCRIPT_MEMORY_MB),",
        )


def _works(before: Usage, now: Usage) -> bool:
    """Say whether an idle worker uses the processor, or has processes that stay."""
    return now.cpu - before.cpu >= IDLE_CPU or min(before.processes, now.processes) > 1
