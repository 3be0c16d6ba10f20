"""The memory of a process: how much it takes, and how it gives back what it no longer needs."""

import ctypes
import os
import sys
from pathlib import Path

PAGE = 4096  # bytes: what /proc counts in
M_ARENA_MAX, ARENAS = -8, 2  # malloc.h; two are what Heroku recommends


def resident(process: int | str = "self") -> int:
    """Return the bytes of a process in memory, by its pid; 0 where there's no /proc, or no such
    process."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1]) * PAGE
    except OSError:
        return 0


def share_arenas() -> None:
    """Have all threads of this process, and of those forked from it, take memory from the same two
    places: glibc has eight for each processor, and each keeps what its threads have freed.
    MALLOC_ARENA_MAX, if it is set, says otherwise."""
    if sys.platform == "linux" and "MALLOC_ARENA_MAX" not in os.environ:
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # not in every C library
        if mallopt is not None:
            mallopt(M_ARENA_MAX, ARENAS)


def trim() -> None:
    """Give freed memory back to the system: glibc keeps it otherwise, for as long as
    the process lives."""
    if sys.platform == "linux":
        malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if malloc_trim is not None:
            malloc_trim(0)
