"""The memory of a process: how much it takes, and how it gives back what it no longer needs."""

import ctypes
import sys
from pathlib import Path

PAGE = 4096  # bytes: what /proc counts in


def resident(process: int | str = "self") -> int:
    """Return the bytes of a process in memory, by its pid; 0 where there's no /proc, or no such
    process."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1]) * PAGE
    except OSError:
        return 0


def trim() -> None:
    """Give freed memory back to the system: glibc keeps it otherwise, for as long as
    the process lives."""
    if sys.platform == "linux":
        malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if malloc_trim is not None:
            malloc_trim(0)
