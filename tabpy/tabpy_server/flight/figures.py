"""What the flight process shows of itself: a few bytes of memory that it shares with all others."""

import mmap
import struct

SHOWN = struct.Struct("<QQQ")  # pid, tables, their bytes


class Figures:
    """Make it before any other process is forked."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, SHOWN.size)

    def show(self, pid: int, count: int, size: int) -> None:
        """Say who has the tables, how many there are and how many bytes they take."""
        SHOWN.pack_into(self._shared, 0, pid, count, size)

    @property
    def pid(self) -> int:
        """Return the flight process's pid; 0 before there is one."""
        return int(self._read()[0])

    @property
    def count(self) -> int:
        """Return how many tables there are."""
        return int(self._read()[1])

    @property
    def size(self) -> int:
        """Return how many bytes they take."""
        return int(self._read()[2])

    def _read(self) -> tuple[int, int, int]:
        return SHOWN.unpack_from(self._shared)
