"""One request and its reply, as tornado's handlers see them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPOutputError,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import StreamClosedError

from tabpy.tabpy_server.web.http1.head import Head
from tabpy.tabpy_server.web.http1.wire import Caller

LAST_CHUNK = b"0\r\n\r\n"


class Line(Protocol):
    """What an exchange needs of its connection. `is_ending`: nothing more can be sent."""

    caller: Caller
    is_ending: bool

    def admit_request(self) -> None: ...

    def refuse_request(self) -> None: ...

    def send(self, *parts: bytes | memoryview) -> "asyncio.Future[None]": ...

    def end_reply(self, exchange: "Exchange") -> None: ...

    def close(self) -> None: ...


class Entrance(Protocol):
    """Where requests go: to who answers them, each told of its head at once."""

    def begin(
        self, connection: object, exchange: "Exchange"
    ) -> tuple[HTTPMessageDelegate, Awaitable[None] | None]:
        """Return who takes the request of `exchange`, and what that one has to do before it takes
        the body."""


class Exchange(HTTPConnection):
    """Frames the reply to `head`, and hands it to the connection it came on."""

    def __init__(self, line: Line, head: Head) -> None:
        self.context = line.caller
        self.keeps_alive = head.keeps_alive
        self.asks_first = head.asks_first
        self.delegate: HTTPMessageDelegate | None = None  # once it knows of the request
        self.is_read = False  # the body's end has come
        self.has_begun = False  # to be answered
        self.is_answered = False
        self.head = head
        self._line = line
        self._left: int | None = None  # bytes of the reply's body, if that was said
        self._in_chunks = False
        self._on_close: Callable[[], None] | None = None

    # What our handlers say

    def admit(self) -> None:
        """Note that the request is let in: it will be answered."""
        self._line.admit_request()

    def refuse(self) -> None:
        """Note that the rest of the request is only read to be dropped."""
        self._line.refuse_request()

    # What tornado's handlers call

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        """Have `callback` called when the client goes before it has the reply."""
        self._on_close = callback

    def write_headers(
        self,
        start_line: RequestStartLine | ResponseStartLine,
        headers: HTTPHeaders,
        chunk: bytes | None = None,
    ) -> "asyncio.Future[None]":
        """Send the reply's head, and `chunk` of its body. Raises ValueError for a header of two
        lines."""
        assert isinstance(start_line, ResponseStartLine)
        declared = headers.get("Content-Length")
        is_last = headers.get("Connection", "").lower() == "close"
        framing = self._frame(start_line.code, None if declared is None else int(declared), is_last)
        for name, value in framing.items():
            headers[name] = value
        lines = [f"HTTP/1.1 {start_line.code} {start_line.reason}"]
        lines += [f"{name}: {value}" for name, value in headers.get_all()]
        text = "\r\n".join(lines)
        if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1:
            raise ValueError("a header of the reply has an end of line in it")
        return self._send(f"{text}\r\n\r\n".encode("latin-1"), *self._framed(chunk or b""))

    def answer(
        self, status: str, lines: str, body: bytes | memoryview, *, is_last: bool = False
    ) -> None:
        """Send a whole reply, and end it. `status`: the code and its name. `lines`: the headers,
        each with its end and none with another. `is_last`: the connection ends with it.

        Where a reply has no body, as to HEAD, that of `body` isn't sent.
        """
        for name, value in self._frame(int(status[:3]), len(body), is_last).items():
            lines += f"{name}: {value}\r\n"
        head = f"HTTP/1.1 {status}\r\n{lines}\r\n".encode("latin-1")
        self._send(head, *self._framed(body if self._left else b""))
        self.finish()

    def write(self, chunk: bytes | memoryview) -> "asyncio.Future[None]":
        """Send more of the body."""
        return self._send(*self._framed(chunk))

    def finish(self) -> None:
        """End the reply. Raises HTTPOutputError if it is shorter than was said."""
        if self._left and self._is_open:
            self._line.close()
            raise HTTPOutputError(f"{self._left} bytes less than its Content-Length")
        if self._in_chunks and self._is_open:
            self._send(LAST_CHUNK)
        self.is_answered = True
        self._on_close = None
        self._line.end_reply(self)

    # What the connection says

    def abandon(self) -> None:
        """Tell who works on it that the client has gone."""
        callback, self._on_close = self._on_close, None
        delegate, self.delegate = self.delegate, None
        if delegate is not None and not self.is_read:
            delegate.on_connection_close()
        elif callback is not None:
            callback()

    @property
    def _is_open(self) -> bool:
        return not self.is_answered and not self._line.is_ending

    def _frame(self, code: int, declared: int | None, is_last: bool) -> dict[str, str]:
        """Decide how the client learns where the reply ends, and whether it may go on after it.
        Return the headers that say so, but for the length that was `declared`."""
        self.has_begun = True
        head = self.head
        framing: dict[str, str] = {}
        if head.method == "HEAD" or code < 200 or code in (204, 304):
            self._left = 0
        elif declared is not None:
            self._left = declared
        elif head.version == "HTTP/1.1":
            self._in_chunks = True
            framing["Transfer-Encoding"] = "chunked"
        else:
            is_last = True  # its end is the connection's
        # A reply before the end of the body ends the connection: the rest isn't read.
        if is_last or (not self.is_read and head.length != 0):
            self.keeps_alive = False
        if not self.keeps_alive:
            framing["Connection"] = "close"
        elif head.version == "HTTP/1.0":
            framing["Connection"] = "Keep-Alive"
        return framing

    def _framed(self, chunk: bytes | memoryview) -> tuple[bytes | memoryview, ...]:
        if self._left is not None:
            self._left -= len(chunk)
            if self._left < 0:
                self._line.close()
                raise HTTPOutputError("more of the reply than its Content-Length")
        if self._in_chunks and chunk:  # an empty one would be the end
            return b"%x\r\n" % len(chunk), chunk, b"\r\n"
        return (chunk,)

    def _send(self, *parts: bytes | memoryview) -> "asyncio.Future[None]":
        if self._is_open:
            return self._line.send(*parts)
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        failed.set_exception(StreamClosedError())
        failed.exception()  # nobody may be waiting, which is no error of its own
        return failed


def exchange_of(connection: HTTPConnection | None) -> Exchange:
    """Return a request's connection as what it is on our server."""
    assert isinstance(connection, Exchange)
    return connection
