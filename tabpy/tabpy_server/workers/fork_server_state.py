"""What the fork server says to all web processes at once: a few bytes of memory that they share.

Comparing costs nothing, so a pool compares what it has with what it could have all the time, and
no notice can get lost when a process dies.

It is a hint, and nothing more: whoever reads a row in the moment that it changes asks for a shelf
that isn't there, and gets a worker from none.
"""

import contextlib
import mmap
import os
from collections.abc import Mapping

ORIGIN_SIZE = 8  # bytes of a fork server's name
KEY_SIZE = 16  # bytes of a shelf's key
ROW_SIZE = KEY_SIZE + ORIGIN_SIZE
SHELVES = 8
SIZE = ORIGIN_SIZE + SHELVES * ROW_SIZE
ROWS = range(ORIGIN_SIZE, SIZE, ROW_SIZE)
NO_KEY, NO_ORIGIN = bytes(KEY_SIZE), bytes(ORIGIN_SIZE)


class ForkServerState:
    """`origin` names the fork server that answers now, a cold or a warm one, and `shelf_origin`
    one that has models. A worker that another one has forked is to be recycled.

    Made by the arbiter; the fork server gets it as a descriptor.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        """`descriptor`: of memory that another process has made; it may be closed afterwards."""
        own = os.memfd_create("tabpy") if descriptor is None else descriptor
        if descriptor is None:
            os.truncate(own, SIZE)
        self._memory = mmap.mmap(own, SIZE)
        self._seen = bytes(SIZE)
        self._shelves: Mapping[str, str] = {}  # of what was seen
        self.descriptor = own

    @property
    def origin(self) -> str:
        """Return the name of the fork server that answers now; "" before the first one does."""
        return _text(self._memory[:ORIGIN_SIZE])

    def shelf_origin(self, key: str) -> str:
        """Return the name of the fork server that has that shelf's models; "" if none has."""
        if self._seen != (now := self._memory[:]):
            rows = [now[start : start + ROW_SIZE] for start in ROWS]
            self._shelves = {row[:KEY_SIZE].hex(): _text(row[KEY_SIZE:]) for row in rows}
            self._seen = now
        return self._shelves.get(key, "")

    def new_origin(self) -> str:
        """Make up the name of the next fork server."""
        return os.urandom(ORIGIN_SIZE).hex()

    def set_origin(self, origin: str) -> None:
        """Say that the fork server of that name answers from now on."""
        self._memory[:ORIGIN_SIZE] = bytes.fromhex(origin)

    def add_shelf(self, key: str, origin: str) -> None:
        """Say that workers can come from a shelf. There must be fewer than SHELVES."""
        start = self._row(NO_KEY)
        middle = start + KEY_SIZE
        self._memory[middle : start + ROW_SIZE] = bytes.fromhex(origin)
        self._memory[start:middle] = bytes.fromhex(key)

    def remove_shelf(self, key: str) -> None:
        """Say that a shelf isn't there any more, if it was."""
        with contextlib.suppress(StopIteration):
            start = self._row(bytes.fromhex(key))
            self._memory[start : start + ROW_SIZE] = bytes(ROW_SIZE)

    def reset(self) -> None:
        """Say that no fork server is there: another is about to start."""
        self._memory[:] = bytes(SIZE)

    def close(self) -> None:
        """Let go of the memory, in a process that has no business with it."""
        self._memory.close()

    def _row(self, key: bytes) -> int:
        return next(each for each in ROWS if self._memory[each : each + KEY_SIZE] == key)


def _text(value: bytes) -> str:
    return "" if value == NO_ORIGIN else value.hex()
