"""The script worker: how much it may take, and when it has grown too much to go on."""

import ctypes
import sys
from pathlib import Path

PAGE = 4096  # bytes: what /proc counts in
MAX_JOBS = 10_000  # after so many a worker is replaced: libraries leak, a little each time
LOOK_EVERY = 20  # jobs between looks at the worker's size


class Memory:
    """A worker's memory. `allowed_mb` comes on top of what it starts with."""

    def __init__(self, allowed_mb: float) -> None:
        self.allowed_mb = allowed_mb
        self._at_start = resident()
        self._jobs = 0

    def limit(self) -> None:
        """From now on an allocation beyond what's allowed is a MemoryError in the script, and not
        the end of the whole container."""
        if sys.platform != "linux":
            return
        import resource

        # RLIMIT_DATA counts private writable memory, so neither libraries nor what is only
        # reserved (setrlimit(2), since Linux 4.7).
        used = int(Path("/proc/self/statm").read_text().split()[5]) * PAGE
        ceiling = used + int(self.allowed_mb * (1 << 20))
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


def resident() -> int:
    """Bytes of this process in memory; 0 where there's no /proc."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
    except OSError:
        return 0


def trim() -> None:
    """Give freed memory back to the system: glibc keeps it otherwise, a worker for ever."""
    if sys.platform == "linux":
        malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if malloc_trim is not None:
            malloc_trim(0)
