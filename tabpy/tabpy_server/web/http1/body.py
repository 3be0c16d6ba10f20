"""Bodies of requests: of a length that was said before, or in chunks (RFC 9112, section 7.1)."""

import re

from tornado.httputil import HTTPInputError

CHUNKS_A_PIECE = 256  # after so many, however short, others get a turn
MOST_SIZE_LINE = 17  # bytes: 15 digits, CR and LF
SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})\r\n")
SIZE_BEGINS = re.compile(rb"(?:[0-9A-Fa-f]{1,15}\r?)?")
LINE_END = b"\r\n"


class SizedBody:
    """So many bytes."""

    def __init__(self, length: int) -> None:
        self._left = length

    @property
    def is_over(self) -> bool:
        return not self._left

    def take(self, data: bytes, start: int) -> tuple[bytes, int]:
        """Return the next bytes of the body in `data`, from `start` on, and where they end."""
        piece = data[start : start + self._left]
        self._left -= len(piece)
        return piece, start + len(piece)


class ChunkedBody:
    """Chunks, each with its size before it, until an empty one.

    There are no extensions of chunks and no trailers: no client sends them, servers in a row read
    them in two ways, and they can be without end.
    """

    def __init__(self) -> None:
        self.is_over = False
        self._left: int | None = None  # of a chunk's bytes; None where a size has to come
        self._is_last = False

    def take(self, data: bytes, start: int) -> tuple[bytes, int]:
        """Return the next bytes of the body in `data`, from `start` on, and where what was read
        ends. Raises HTTPInputError for what are no chunks."""
        pieces: list[bytes] = []
        for _ in range(CHUNKS_A_PIECE):
            if self._left is None:
                size = SIZE_LINE.match(data, start)
                if size is None:
                    _check_size(data, start)
                    break
                self._left, start = int(size[1], 16), size.end()
                self._is_last = not self._left
            piece = data[start : start + self._left]
            pieces.append(piece)
            start += len(piece)
            self._left -= len(piece)
            if self._left:
                break
            end = data[start : start + 2]
            if not LINE_END.startswith(end):
                raise HTTPInputError("a chunk that is longer than its size")
            if len(end) < len(LINE_END):
                break
            start += len(end)
            self._left = None
            if self._is_last:
                self.is_over = True
                break
        return b"".join(pieces), start


def _check_size(data: bytes, start: int) -> None:
    """Refuse what no size begins with, before its end has come."""
    if not SIZE_BEGINS.fullmatch(data, start, start + MOST_SIZE_LINE):
        raise HTTPInputError("a chunk without a size")
