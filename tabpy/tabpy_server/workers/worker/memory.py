"""Both sides: how much it may take, and when it has grown too much to go on.

The web process looks at its workers' size many times a second and stops one that takes more than
it may. What it would be too slow for, one huge allocation, fails here.
"""

import sys
from pathlib import Path

from tabpy.tabpy_server.process_memory import PAGE, resident

MAX_JOBS = 10_000  # after so many a worker is replaced: libraries leak, a little each time
LOOK_EVERY = 20  # jobs between looks at the worker's size
# The kernel's limit counts what is only reserved, too: orjson reserves eight times a document's
# size to parse it, and ends the process where it can't have that.
RESERVE_FACTOR, RESERVE_MB = 2, 512


class Memory:
    """A worker's memory. `allowed_mb` comes on top of what it starts with."""

    def __init__(self, allowed_mb: float) -> None:
        self.allowed_mb = allowed_mb
        self._at_start = resident()
        self._jobs = 0

    def limit(self) -> None:
        """From now on an allocation far beyond what's allowed is a MemoryError in the script."""
        if sys.platform != "linux":
            return
        import resource

        # RLIMIT_DATA counts private writable memory, so neither libraries nor what is only
        # reserved (setrlimit(2), since Linux 4.7).
        used = int(Path("/proc/self/statm").read_text().split()[5]) * PAGE
        ceiling = used + int((self.allowed_mb * RESERVE_FACTOR + RESERVE_MB) * (1 << 20))
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        if hard == resource.RLIM_INFINITY or ceiling < hard:
            resource.setrlimit(resource.RLIMIT_DATA, (ceiling, ceiling))

    def worn_out(self, wanted: int) -> bool:
        """After each job: whether this worker should be replaced. `wanted`: bytes that it keeps on
        purpose, such as models."""
        self._jobs += 1
        if self._jobs >= MAX_JOBS:
            return True
        if self._jobs % LOOK_EVERY:
            return False
        grown = resident() - self._at_start - wanted
        return grown > self.allowed_mb * (1 << 20) / 2
