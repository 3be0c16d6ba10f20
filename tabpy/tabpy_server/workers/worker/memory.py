"""The script worker: how much it may take, and when it has grown too much to go on.

The web process looks at its workers' size many times a second and stops one that takes more than
it may. What it would be too slow for, one huge allocation, fails here.
"""

import sys
from pathlib import Path

from tabpy.tabpy_server.errors import TabPyError
from tabpy.tabpy_server.process_memory import PAGE, resident

MAX_JOBS = 10_000  # after so many a worker is recycled: libraries leak, a little each time
SIZE_CHECK_JOBS = 20  # jobs between looks at the worker's size
# The kernel's limit counts what is only reserved, too: orjson reserves eight times a document's
# size to parse it, and ends the process where it can't have that.
RESERVE_FACTOR, RESERVE_MB = 2, 512


class Memory:
    """A worker's memory. `allowed_mb` comes on top of what it starts with."""

    def __init__(self, allowed_mb: float) -> None:
        self._allowed_mb = allowed_mb
        self._at_start = resident()
        self._jobs = 0

    def limit(self) -> None:
        """Make an allocation far beyond what's allowed a MemoryError in the script, from now on."""
        if sys.platform != "linux":
            return
        import resource

        # RLIMIT_DATA counts private writable memory, so neither libraries nor what is only
        # reserved (setrlimit(2), since Linux 4.7).
        used = int(Path("/proc/self/statm").read_text().split()[5]) * PAGE
        ceiling = used + int((self._allowed_mb * RESERVE_FACTOR + RESERVE_MB) * (1 << 20))
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        if hard == resource.RLIM_INFINITY or ceiling < hard:
            resource.setrlimit(resource.RLIMIT_DATA, (ceiling, ceiling))

    def should_recycle(self, wanted: int) -> bool:
        """Say, once after each job, whether this worker has run enough of them, or has grown.

        `wanted`: bytes that it keeps on purpose, such as models.
        """
        self._jobs += 1
        if self._jobs >= MAX_JOBS:
            return True
        if self._jobs % SIZE_CHECK_JOBS:
            return False
        grown = resident() - self._at_start - wanted
        return grown > self._allowed_mb * (1 << 20) / 2

    def explain(self, error: TabPyError) -> TabPyError:
        """Return `error` with a line on what is allowed, if memory is what it ran out of."""
        if not error.out_of_memory:
            return error
        *others, info = error.args
        allowed = f"{self._allowed_mb:.0f} MB"
        line = f"One script may take {allowed} here (TABPY_SCRIPT_MEMORY_MB)."
        told = type(error)(*others, f"{info}\n{line}")
        told.at = error.at
        return told
