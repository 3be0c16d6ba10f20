"""A connection without a network: a transport that takes what it is told to, and an entrance
whose handlers do what a test says."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from tornado.httputil import (
    HTTPHeaders,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
)

from tabpy.tabpy_server.web.connections import Connections
from tabpy.tabpy_server.web.http1.connection import Connection
from tabpy.tabpy_server.web.http1.exchange import Exchange
from tabpy.tabpy_server.web.http1.wire import Caller


class Transport(asyncio.Transport):
    """Takes as many bytes as there is `room` for, and keeps the rest until there is more."""

    def __init__(self) -> None:
        super().__init__()
        self.said = b""  # what the client can read
        self.room = 1 << 30
        self.is_paused = False  # reads no more
        self.is_aborted = False
        self._waiting = b""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high == 0

    def get_write_buffer_size(self) -> int:
        return len(self._waiting)

    def write(self, data: Any) -> None:
        is_new = not self._waiting
        self._waiting += bytes(data)
        self._send()
        if is_new and self._waiting:
            self.connection.pause_writing()

    def give_room(self, size: int) -> None:
        """Let the client take so many bytes more."""
        self.room += size
        was_waiting = bool(self._waiting)
        self._send()
        if was_waiting and not self._waiting:
            self.connection.resume_writing()

    def _send(self) -> None:
        now, self._waiting = self._waiting[: self.room], self._waiting[self.room :]
        self.room -= len(now)
        self.said += now

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def abort(self) -> None:
        if not self.is_aborted:
            self.is_aborted = True
            asyncio.get_running_loop().call_soon(self.connection.connection_lost, None)

    connection: Connection


class Handler(HTTPMessageDelegate):
    """A request that has come. The connection waits for what `prepare` and `take` return."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.body = b""
        self.is_whole = False
        self.is_gone = False
        exchange.set_close_callback(self.on_connection_close)

    def prepare(self) -> Awaitable[None] | None:
        """Do something about the headers."""
        return None

    def take(self) -> Awaitable[None] | None:
        """Do something about a piece."""
        return None

    def answer(self) -> None:
        """Do something about the whole."""

    def headers_received(self, start_line: Any, headers: HTTPHeaders) -> Awaitable[None] | None:
        assert isinstance(start_line, RequestStartLine)
        self.target = start_line.path
        return self.prepare()

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        self.body += chunk
        return self.take()

    def finish(self) -> None:
        self.is_whole = True
        self.answer()

    def on_connection_close(self) -> None:
        assert not self.is_gone, "told twice"
        self.is_gone = True

    def reply(
        self, body: bytes = b"", status: int = 200, headers: dict[str, str] | None = None
    ) -> "asyncio.Future[None]":
        """Answer with a body of that length."""
        sent = self.begin(status, {"Content-Length": str(len(body)), **(headers or {})}, body)
        self.exchange.finish()
        return sent

    def begin(
        self, status: int = 200, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> "asyncio.Future[None]":
        """Begin an answer."""
        line = ResponseStartLine("HTTP/1.1", status, "Fine")
        return self.exchange.write_headers(line, HTTPHeaders(headers or {}), body)


class Quick(Handler):
    """Answers with the body it got, at once."""

    def answer(self) -> None:
        self.reply(self.body)


class Slow(Handler):
    """Takes the next piece when it is told to."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        self.go_on = asyncio.Event()

    async def take(self) -> None:
        self.go_on.clear()
        await self.go_on.wait()


class Entrance:
    """Notes each request's handler."""

    def __init__(self, kind: type[Handler] = Handler) -> None:
        self.handlers: list[Handler] = []
        self._kind = kind

    def begin(self, _: object, exchange: Exchange) -> tuple[Handler, Awaitable[None] | None]:
        handler = self._kind(exchange)
        self.handlers.append(handler)
        return handler, handler.headers_received(exchange.head.start_line, exchange.head.headers)


class Client:
    """The client of one connection, in a test that runs on the loop."""

    def __init__(self, kind: type[Handler] = Handler) -> None:
        self.entrance = Entrance(kind)
        self.connections = Connections(9, lambda: 0.0)
        self.transport = Transport()
        buffer = memoryview(bytearray(1 << 16))
        self.connection = Connection(
            self.entrance, self.connections, buffer, Caller("203.0.113.7", "http")
        )
        self.transport.connection = self.connection
        self.connection.connection_made(self.transport)

    @property
    def handlers(self) -> list[Handler]:
        return self.entrance.handlers

    async def send(self, data: bytes) -> None:
        """Have the connection take `data` as far as it does, and give it turns."""
        while data and not (self.transport.is_paused or self.transport.is_aborted):
            buffer = self.connection.get_buffer(-1)
            size = min(len(data), len(buffer))
            buffer[:size] = data[:size]
            self.connection.buffer_updated(size)
            data = data[size:]
        await turns()

    async def leave(self) -> None:
        """End the connection."""
        self.connection.connection_lost(None)
        await turns()

    def take(self) -> bytes:
        """Return what the client can read that it hasn't read yet."""
        said, self.transport.said = self.transport.said, b""
        return said

    @property
    def is_closed(self) -> bool:
        return self.transport.is_aborted


async def turns(count: int = 10) -> None:
    """Give everybody a few turns of the loop."""
    for _ in range(count):
        await asyncio.sleep(0)


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Make a test of a coroutine."""

    def runs() -> None:
        asyncio.run(test())

    runs.__name__ = test.__name__
    return runs
