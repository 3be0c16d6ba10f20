"""Request bodies that come compressed, taken apart a bounded piece at a time."""

import zlib
from collections.abc import Iterator

from tabpy.tabpy_server.errors import InvalidInputError

PIECE = 1 << 20  # bytes
STEP = 1 << 16  # bytes fed at once: what follows the end of a member is copied, for each of them
PADDING = b"\0"


class Gunzip:
    """Decompresses gzip as it arrives: all its members, one after the other (RFC 1952, 2.2)."""

    def __init__(self) -> None:
        self._member = _member()

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what `chunk` adds, in pieces of at most `PIECE` bytes.

        Raises InvalidInputError for what is no gzip. Zeros after a member are padding, as for
        gzip itself.
        """
        for start in range(0, len(chunk), STEP):
            yield from self._feed(chunk[start : start + STEP])

    def _feed(self, chunk: bytes) -> Iterator[bytes]:
        while chunk:
            if self._member.eof:
                chunk = chunk.lstrip(PADDING)
                if not chunk:
                    return
                self._member = _member()
            try:
                piece = self._member.decompress(chunk, PIECE)
            except zlib.error as error:
                raise _invalid(str(error)) from None
            if piece:
                yield piece
            chunk = self._member.unused_data or self._member.unconsumed_tail

    def finish(self) -> None:
        """Raise InvalidInputError if the end of the last member is missing."""
        if not self._member.eof:
            raise _invalid("it is cut off")


def _member() -> "zlib._Decompress":
    return zlib.decompressobj(16 + zlib.MAX_WBITS)


def _invalid(why: str) -> InvalidInputError:
    return InvalidInputError("Request body is not valid gzip.", f"Content-Encoding is gzip: {why}.")
