"""What the bytes of a connection say: heads, pieces of bodies and their ends, one after the other.

It is asked for the next one, and so never gets ahead of who answers. Where the bytes are cut makes
no difference to what it says.
"""

from enum import Enum

from tornado.httputil import HTTPInputError

from tabpy.tabpy_server.web.http1 import head
from tabpy.tabpy_server.web.http1.body import ChunkedBody, SizedBody
from tabpy.tabpy_server.web.http1.head import Head, HeadersTooLargeError

TLS_HANDSHAKE = 0x16  # RFC 8446, section 5.1: how a client's first record begins


class SpeaksTLSError(HTTPInputError):
    """What came is the beginning of a handshake."""


class End(Enum):
    """The end of a request, which has a body or not."""

    OF_REQUEST = "end"


Event = Head | bytes | End


class Parser:
    """Takes bytes and has events.

    After an HTTPInputError it has no more: where another request would begin isn't known.
    """

    def __init__(self) -> None:
        self._data = b""
        self._at = 0  # where in it what wasn't read yet begins
        self._searched = 0  # so far there is no end of a head
        self._body: SizedBody | ChunkedBody | None = None

    @property
    def held(self) -> int:
        """Return how many bytes it has that aren't read yet."""
        return len(self._data) - self._at

    def feed(self, data: bytes) -> None:
        """Take what came."""
        self._searched = max(0, self._searched - self._at)
        self._data = self._data[self._at :] + data if self.held else data
        self._at = 0

    def next(self) -> Event | None:
        """Return the next event; None if more has to come first. Raises HTTPInputError."""
        if self._body is None:
            return self._next_head()
        if self._body.is_over:
            self._body = None
            return End.OF_REQUEST
        piece, end = self._body.take(self._data, self._at)
        self._go_to(end)
        if piece:
            return piece
        return self.next() if self._body.is_over else None

    def _next_head(self) -> Head | None:
        if not self.held:
            return None
        if self._data[self._at] == TLS_HANDSHAKE:
            raise SpeaksTLSError("https, to a port that speaks http")
        if head.BEGINS_NONE.match(self._data, self._at):
            raise HTTPInputError("no HTTP")
        end = head.END.search(self._data, max(self._at, self._searched))
        size = (end.end() if end else len(self._data)) - self._at
        if size > head.MOST_BYTES:
            raise HeadersTooLargeError(f"{head.MOST_BYTES} bytes without an end of the headers")
        if end is None:
            self._searched = max(self._at, len(self._data) - 2)
            return None
        found = head.parse(self._data[self._at : end.end()])
        self._body = ChunkedBody() if found.length is None else SizedBody(found.length)
        self._go_to(end.end())
        return found

    def _go_to(self, end: int) -> None:
        if end == len(self._data):  # an idle connection keeps nothing
            self._data, end = b"", 0
        self._at = self._searched = end
