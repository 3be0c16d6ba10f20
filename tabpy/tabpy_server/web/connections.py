"""The connections of a web process: how many there may be, and how long each may stand still.

A connection costs a descriptor, and whoever can reach the port can open many. So there is a limit
below that of the process, and when it's reached, the one goes first that waits for nothing of ours.
"""

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from tornado.httputil import HTTPConnection
from tornado.iostream import IOStream, SSLIOStream, UnsatisfiableReadError

from tabpy.tabpy_server.tls.served import ServedCertificate

logger = logging.getLogger(__name__)

LOOK_EVERY = 1.0  # seconds
HEADER_SECONDS = 15.0  # from a connection's start, or a later request's first byte, to its headers
STILL_SECONDS = 60.0  # in which a body or a reply has to get on by a byte
REPLY_SECONDS = 300.0  # in which a client has to have taken what waits for it
CHUNK_SIZE = 1 << 18  # bytes; a million numbers are 20 MB: 64 KiB would be 300 turns of the loop
CLOSE = b"Connection: close\r\nContent-Length: 0\r\n\r\n"
TOO_LARGE_HEADERS = b"HTTP/1.1 431 Request Header Fields Too Large\r\n" + CLOSE
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\n" + CLOSE
TELL_EVERY = 600.0  # seconds between warnings of the same kind
SPEAKS_HTTP = (
    "A client speaks https to this port, which speaks http. Set Require SSL to no in Tableau, or "
    "begin the address with http://, or give the server a certificate (TABPY_TRANSFER_PROTOCOL)."
)
TLS_HANDSHAKE = 0x16  # RFC 8446, section 5.1: how a client's first record begins
MAX_BUFFER = 1 << 23  # bytes of a request held before a handler takes them; headers fit easily

# What tornado may be told of why a stream is closed.
Cause = (
    bool
    | BaseException
    | tuple[type[BaseException] | None, BaseException | None, TracebackType | None]
    | None
)


class Connections:
    """All that are open, in the order in which they may have to go."""

    def __init__(
        self,
        most: int,
        clock: Callable[[], float] = time.monotonic,
        certificate: ServedCertificate | None = None,
    ) -> None:
        """`clock` tells seconds. With a `certificate` they are https."""
        self._certificate = certificate
        self.most = most
        self.clock = clock
        self._https_clients = 0  # that have come since it was last told of them
        self._https_told: float | None = None  # when that was
        # Each in the order in which they came to be so.
        self.idle: dict[Stream, None] = {}
        self.unadmitted: dict[Stream, None] = {}
        self.admitted: dict[Stream, None] = {}

    def __len__(self) -> int:
        return len(self.idle) + len(self.unadmitted) + len(self.admitted)

    def make_room(self) -> bool:
        """Tell whether there is room for one more. Closes one if need be: the one that has waited
        longest for a request, else the oldest whose request isn't let in, or not yet."""
        if len(self) < self.most:
            return True
        oldest = next(iter(self.idle), None) or next(iter(self.unadmitted), None)
        if oldest is None:
            return False
        oldest.close()
        return True

    def add(self, connection: socket.socket) -> "Stream":
        """Return the stream over a new connection. Raises OSError for one that has ended."""
        kind: type[Stream] = PlainStream
        if self._certificate is not None:
            kind, connection = SecureStream, self._certificate.wrap(connection)
        stream = kind(
            connection, connections=self, read_chunk_size=CHUNK_SIZE, max_buffer_size=MAX_BUFFER
        )
        self.idle[stream] = None
        return stream

    def move(self, stream: "Stream", to: "dict[Stream, None]") -> None:
        """Have an open stream be in `to`, as the newest there, and in none of the others."""
        self.forget(stream)
        to[stream] = None

    def forget(self, stream: "Stream") -> None:
        for each in (self.idle, self.unadmitted, self.admitted):
            each.pop(stream, None)

    def count_https(self) -> None:
        """Note that a client has spoken https to this http port, and say so now and then: whoever
        does it often is a monitor, or has a workbook with many marks."""
        self._https_clients += 1
        now = self.clock()
        if self._https_told is not None and now - self._https_told < TELL_EVERY:
            return
        fields = {"connections": self._https_clients}
        logger.warning(SPEAKS_HTTP, extra={"fields": fields})
        self._https_told, self._https_clients = now, 0

    async def watch(self) -> None:
        """Look after them, for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            self.close_slow()

    def close_slow(self) -> None:
        """Close those that have taken too long. tornado closes what is idle for long, and bodies
        that go on for ever."""
        now = self.clock()
        slow = [each for each in self.idle if each.headers_are_late(now)]
        slow += [each for each in (*self.unadmitted, *self.admitted) if each.stands_still(now)]
        for stream in slow:
            stream.close()


class Stream(IOStream):
    """A connection that knows whether anything moves on it."""

    def __init__(
        self, connection: socket.socket, *, connections: Connections, **options: Any
    ) -> None:
        super().__init__(connection, **options)
        self._connections = connections
        # When the headers that are to come began; None until they do, on a connection kept alive.
        self.headers_since: float | None = connections.clock()
        self._waits_for_headers = True
        self._has_answered = False  # the request under way
        self.moved = 0  # bytes, in and out
        self._seen = (-1, 0.0)  # so many had moved, at that time
        self._writing_since: float | None = None

    # What happens to it

    def await_request(self) -> None:
        """Note that the last request is answered, and another may come."""
        if not self._waits_for_headers:
            self._waits_for_headers = True
            self._has_answered = False
            self.headers_since = None
            self._move(self._connections.idle)

    def begin_request(self) -> None:
        """Note that a request's headers have come."""
        self._waits_for_headers = False
        self._seen = (-1, 0.0)
        self._writing_since = None
        self._move(self._connections.unadmitted)

    def admit_request(self) -> None:
        """Note that the request is let in: it will be answered."""
        self._move(self._connections.admitted)

    def refuse_request(self) -> None:
        """Note that the rest of the request is only read to be dropped."""
        self._move(self._connections.unadmitted)

    def _move(self, to: "dict[Stream, None]") -> None:
        if not self.closed():
            self._connections.move(self, to)

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        size = super().read_from_fd(buf)
        if size:
            self.moved += size
            if self._waits_for_headers and self.headers_since is None:
                self.headers_since = self._connections.clock()
        return size

    def write_to_fd(self, data: memoryview) -> int:
        self._has_answered = True
        size = super().write_to_fd(data)
        self.moved += size
        return size

    def close(self, exc_info: Cause = False) -> None:
        """Close it. tornado says nothing to whoever sends a header, or the size of a chunk, without
        end."""
        if isinstance(exc_info, UnsatisfiableReadError) and not self._has_answered:
            with contextlib.suppress(OSError):  # the client may be gone, or not read
                self.socket.send(TOO_LARGE_HEADERS if self._waits_for_headers else BAD_REQUEST)
        super().close(exc_info)

    def close_fd(self) -> None:
        super().close_fd()
        self._connections.forget(self)

    # How long it takes

    def headers_are_late(self, now: float) -> bool:
        """Tell whether headers have begun to come, and should have come by now."""
        return self.headers_since is not None and now - self.headers_since > HEADER_SECONDS

    def stands_still(self, now: float) -> bool:
        """Tell whether the client keeps a body or a reply from getting on. To be asked often."""
        is_writing = self.writing()
        if not is_writing:
            self._writing_since = None
        elif self._writing_since is None:
            self._writing_since = now
        moved, since = self._seen
        if moved != self.moved or not (is_writing or self.reading()):
            self._seen = (self.moved, now)
            since = now
        is_slow = self._writing_since is not None and now - self._writing_since > REPLY_SECONDS
        return is_slow or now - since > STILL_SECONDS


class PlainStream(Stream):
    """A connection of http."""

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        is_first = not self.moved
        size = super().read_from_fd(buf)
        if size and is_first and buf[0] == TLS_HANDSHAKE:
            # A client that speaks https sees at once that this is none: it would wait for us.
            with contextlib.suppress(OSError):
                self.socket.send(BAD_REQUEST)
            self._connections.count_https()
            return 0  # the end of what we read
        return size


class SecureStream(Stream, SSLIOStream):
    """A connection of https. Its handshake has to be over when the first headers are due."""

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        try:
            return super().read_from_fd(buf)
        except ssl.SSLError:
            raise _reset() from None

    def write_to_fd(self, data: memoryview) -> int:
        try:
            return super().write_to_fd(data)
        except ssl.SSLError:
            raise _reset() from None


def _reset() -> ConnectionResetError:
    """Return what tornado takes for a client that has gone: what was sent is no TLS any more."""
    return ConnectionResetError(errno.ECONNRESET, "no TLS")


def stream_of(connection: HTTPConnection | None) -> Stream | None:
    """Return the stream below a request's connection, as long as there is one."""
    stream = getattr(connection, "stream", None)
    return stream if isinstance(stream, Stream) else None
