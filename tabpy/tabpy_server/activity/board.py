"""Memory that all web processes of a machine share: each writes to its own place, all read.

A process can be killed while it writes. So each place has two halves, written in turn, and what
isn't whole doesn't count: the half before it does.
"""

import mmap
import struct
import zlib

HEADER = struct.Struct("!QII")  # a serial number, the length of what follows, a check of both
HALF = 1 << 20  # bytes; those that nothing was written to take no memory


class Board:
    """Make it before the web processes are forked."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._shared = mmap.mmap(-1, places * 2 * HALF)

    def write(self, place: int, content: bytes) -> None:
        """Put `content` in the place of what was there. Only one process at a time may.

        Raises ValueError for more than there is room for.
        """
        if len(content) > HALF - HEADER.size:
            raise ValueError(f"{len(content)} bytes are too many")
        latest = self._latest(place)
        serial = latest[0] + 1 if latest else 1
        start = self._start(place, serial % 2)
        self._shared[start + HEADER.size : start + HEADER.size + len(content)] = content
        header = HEADER.pack(serial, len(content), _check(serial, content))
        self._shared[start : start + HEADER.size] = header

    def read(self, place: int) -> bytes | None:
        """Return what was written last; None if nothing was."""
        latest = self._latest(place)
        return latest[1] if latest else None

    def read_all(self) -> list[bytes]:
        """Return what stands in each place where something does."""
        found = map(self.read, range(self._places))
        return [each for each in found if each is not None]

    def _latest(self, place: int) -> tuple[int, bytes] | None:
        whole = (self._half(place, half) for half in (0, 1))
        return max((each for each in whole if each is not None), default=None)

    def _half(self, place: int, half: int) -> tuple[int, bytes] | None:
        start = self._start(place, half)
        serial, length, check = HEADER.unpack(self._shared[start : start + HEADER.size])
        if not serial or length > HALF - HEADER.size:
            return None
        content = self._shared[start + HEADER.size : start + HEADER.size + length]
        return (serial, content) if _check(serial, content) == check else None

    def _start(self, place: int, half: int) -> int:
        return (2 * place + half) * HALF


def _check(serial: int, content: bytes) -> int:
    return zlib.crc32(content, serial & 0xFFFFFFFF)
