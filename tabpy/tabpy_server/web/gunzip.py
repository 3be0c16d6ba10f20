"""Request bodies that come compressed, taken apart a bounded piece at a time."""

import zlib
from collections.abc import Iterator

from tabpy.tabpy_server.errors import RequestError

PIECE = 1 << 20  # bytes


class Gunzip:
    """Decompresses gzip (RFC 1952) as it arrives."""

    def __init__(self) -> None:
        self._decompressor = zlib.decompressobj(16 + zlib.MAX_WBITS)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """What `chunk` adds, in pieces of at most `PIECE` bytes. Raises RequestError 400."""
        while chunk:
            try:
                piece = self._decompressor.decompress(chunk, PIECE)
            except zlib.error as problem:
                raise RequestError(
                    400, "Request body is not valid gzip.", f"Content-Encoding is gzip: {problem}."
                ) from None
            if piece:
                yield piece
            chunk = self._decompressor.unconsumed_tail

    def finish(self) -> None:
        """Raises RequestError 400 if the end is missing."""
        if not self._decompressor.eof:
            raise RequestError(
                400, "Request body is not valid gzip.", "Content-Encoding is gzip: it is cut off."
            )
