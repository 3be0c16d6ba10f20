"""The server: who a connection says it is, and how all of them end."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from tabpy.tabpy_server.web.connections import Connections
from tabpy.tabpy_server.web.http1.server import Server
from tests.web.http1.shapes import request
from tests.web.http1.wires import Entrance, Handler

LARGE = 50_000_000  # bytes: far more than the kernel takes for a client that doesn't read
GET = request(first="GET /a HTTP/1.1")


class Serving:
    """A server, and a client of it."""

    def __init__(self, kind: type[Handler] = Handler) -> None:
        self.entrance = Entrance(kind)
        self.connections = Connections(9)
        self.server = Server(self.entrance, self.connections)

    def connect(self, address: object = ("203.0.113.7", 1)) -> socket.socket:
        """Return the client's end of a connection."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = socket.create_connection(listener.getsockname())
            self.server.take(listener.accept()[0], address)
        client.setblocking(False)
        return client

    @asynccontextmanager
    async def asked(self) -> AsyncIterator[tuple[socket.socket, Handler]]:
        """A client that has asked, and who works on it."""
        with self.connect() as client:
            client.sendall(GET)
            await until(lambda: bool(self.entrance.handlers))
            yield client, self.entrance.handlers[-1]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - a turn of the loop, and no time
            await asyncio.sleep(0)


async def rest(client: socket.socket) -> bytes:
    """What still comes until the end."""
    said = b""
    while more := await asyncio.get_running_loop().sock_recv(client, 1 << 20):
        said += more
    return said


def test_all_are_closed() -> None:
    async def close() -> None:
        serving = Serving()
        async with serving.asked() as (client, handler):
            with serving.connect() as idle:
                await serving.server.close()
                assert await rest(client) == b""
                assert await rest(idle) == b""
            assert handler.is_gone
        assert len(serving.connections) == 0

    asyncio.run(close())


def test_a_client_has_a_while_to_take_its_reply() -> None:
    async def close() -> None:
        serving = Serving()
        async with serving.asked() as (client, handler):
            handler.reply(b"x" * LARGE)
            closing = asyncio.ensure_future(serving.server.close(seconds=60.0))
            assert (await rest(client)).endswith(b"x" * LARGE)
            await closing

    asyncio.run(close())


def test_who_does_not_take_its_reply_is_not_waited_for() -> None:
    async def close() -> None:
        serving = Serving()
        async with serving.asked() as (_, handler):
            handler.reply(b"x" * LARGE)
            await serving.server.close(seconds=0.0)
        assert len(serving.connections) == 0

    asyncio.run(close())


def test_one_that_is_not_connected_yet_is_closed_too() -> None:
    async def close() -> None:
        serving = Serving()
        with serving.connect() as client:
            await serving.server.close()
            assert await rest(client) == b""

    asyncio.run(close())


def test_one_that_has_ended_already_is_forgotten() -> None:
    async def take() -> None:
        serving = Serving()
        client = serving.connect()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()  # with a reset
        await until(lambda: len(serving.connections) == 0)
        await until(lambda: not serving.server._open)
        await serving.server.close()

    asyncio.run(take())


def test_one_that_cannot_be_connected_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> None:
        raise OSError("as macOS does, of one that was reset")

    async def take() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "connect_accepted_socket", refuse)
        serving = Serving()
        with serving.connect() as client:
            assert await rest(client) == b""
        assert len(serving.connections) == 0
        await serving.server.close()

    asyncio.run(take())


def test_tornado_learns_who_calls() -> None:
    async def take() -> None:
        serving = Serving()
        async with serving.asked() as (_, handler):
            assert handler.exchange.context.remote_ip == "203.0.113.7"
            assert handler.exchange.context.protocol == "http"
        await serving.server.close()

    asyncio.run(take())


def test_who_calls_by_a_socket_file_has_no_address() -> None:
    async def take() -> None:
        serving = Serving()
        ours, theirs = socket.socketpair()
        with theirs:
            serving.server.take(ours, "")
            theirs.sendall(GET)
            await until(lambda: bool(serving.entrance.handlers))
            assert serving.entrance.handlers[0].exchange.context.remote_ip == "0.0.0.0"
            await serving.server.close()

    asyncio.run(take())
