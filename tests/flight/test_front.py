"""The port that clients see passes bytes on, and keeps only so many connections."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tabpy.tabpy_server.flight import front
from tabpy.tabpy_server.flight.front import Front

Opened = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


def with_front(
    test: Callable[[Callable[[], Coroutine[Any, Any, Opened]]], Coroutine[Any, Any, None]],
    idle_seconds: float = 60.0,
) -> None:
    """Run a test's coroutine, which can open connections to a front of an echo."""

    async def run() -> None:
        service = await asyncio.start_server(echo, "127.0.0.1", 0)
        listener = socket.create_server(("127.0.0.1", 0))
        port = service.sockets[0].getsockname()[1]
        serving = asyncio.ensure_future(Front(listener, port, idle_seconds).serve())

        opened: list[Opened] = []

        async def connect() -> Opened:
            opened.append(await asyncio.open_connection(*listener.getsockname()))
            return opened[-1]

        try:
            async with asyncio.timeout(10):
                await test(connect)
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            for _, writer in opened:
                writer.transport.abort()
            listener.close()
            service.close()
            async with asyncio.timeout(10):
                await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))

    asyncio.run(run())


async def says(connection: Opened, data: bytes) -> None:
    """What is sent comes back."""
    connection[1].write(data)
    assert await connection[0].readexactly(len(data)) == data


def test_all_bytes_go_both_ways() -> None:
    async def test(connect: Callable[[], Coroutine[Any, Any, Opened]]) -> None:
        one, other = await connect(), await connect()
        await says(one, b"one" * 1_000_000)
        await says(other, b"\0\xff")
        one[1].close()
        await says(other, b"still")

    with_front(test)


def test_a_connection_that_is_idle_is_closed_and_another_is_not() -> None:
    async def test(connect: Callable[[], Coroutine[Any, Any, Opened]]) -> None:
        idle, busy = await connect(), await connect()
        await says(idle, b"x")
        ended = asyncio.ensure_future(idle[0].read())
        while not ended.done():
            await says(busy, b"x")
        assert ended.result() == b""
        await says(busy, b"x")

    with_front(test, idle_seconds=0.2)


def test_one_who_reads_nothing_is_closed_too() -> None:
    async def test(connect: Callable[[], Coroutine[Any, Any, Opened]]) -> None:
        _, writer = await connect()

        async def fill() -> None:
            while True:  # until all buffers are full, and on
                writer.write(bytes(1 << 16))
                await writer.drain()

        with pytest.raises(ConnectionError):
            await fill()

    with_front(test, idle_seconds=0.2)


def test_when_there_are_many_the_one_that_is_idle_longest_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(front, "MOST_CONNECTIONS", 2)

    async def test(connect: Callable[[], Coroutine[Any, Any, Opened]]) -> None:
        first, second = await connect(), await connect()
        await says(first, b"x")
        await says(second, b"x")
        await says(first, b"y")
        third = await connect()
        assert await second[0].read() == b""
        await says(first, b"z")
        await says(third, b"z")

    with_front(test)


def test_a_service_that_is_gone_closes_the_connection() -> None:
    async def test() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        with socket.create_server(("127.0.0.1", 0)) as probe:
            nobody = probe.getsockname()[1]
        serving = asyncio.ensure_future(Front(listener, nobody, 60.0).serve())
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        assert await reader.read() == b""
        writer.close()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        listener.close()

    asyncio.run(test())
