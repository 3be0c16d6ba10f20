"""Of a burst of connections each web process gets its part."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tabpy.tabpy_server.processes import acceptor
from tabpy.tabpy_server.processes.acceptor import Acceptor


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        opened.listen(64)
        opened.setblocking(False)
        yield opened


def connect(listener: socket.socket, count: int) -> list[socket.socket]:
    return [socket.create_connection(listener.getsockname()) for _ in range(count)]


class Taken:
    """What an acceptor gave."""

    def __init__(self) -> None:
        self.connections: list[socket.socket] = []

    def __call__(self, connection: socket.socket, address: Any) -> None:
        self.connections.append(connection)

    def __len__(self) -> int:
        return len(self.connections)


def close(*connections: socket.socket) -> None:
    for each in connections:
        each.close()


async def until_taken(count: int, *taken: Taken) -> None:
    async with asyncio.timeout(5):
        while sum(map(len, taken)) < count:  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(0.001)


def test_a_burst_is_shared_by_all_that_accept(listener: socket.socket) -> None:
    async def run() -> None:
        clients = connect(listener, 20)
        one, other = Taken(), Taken()
        acceptors = [Acceptor(listener.dup(), each) for each in (one, other)]
        await until_taken(20, one, other)
        assert min(len(one), len(other)) >= 5
        for accepting in acceptors:
            accepting.close()
        close(*clients, *one.connections, *other.connections)

    asyncio.run(run())


def test_after_it_is_closed_connections_are_refused(listener: socket.socket) -> None:
    async def run() -> None:
        taken = Taken()
        address = listener.getsockname()
        accepting = Acceptor(listener, taken)
        clients = connect(listener, 1)
        await until_taken(1, taken)
        accepting.close()  # in the pause after the first
        await asyncio.sleep(0)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
        close(*clients, *taken.connections)

    asyncio.run(run())


def test_who_waits_when_it_is_closed_is_taken(listener: socket.socket) -> None:
    async def run() -> None:
        taken = Taken()
        accepting = Acceptor(listener, taken)
        clients = connect(listener, 3)
        accepting.close()
        assert len(taken) == 3
        close(*clients, *taken.connections)

    asyncio.run(run())


def test_while_there_is_no_room_connections_wait(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceptor, "PAUSE_WHEN_FULL", 0.0)

    async def run() -> None:
        clients, taken, asked = connect(listener, 2), Taken(), []

        def make_room() -> bool:
            asked.append(len(taken))
            return len(asked) > 5

        accepting = Acceptor(listener, taken, make_room)
        await until_taken(2, taken)
        assert asked[:6] == [0] * 6
        accepting.close()
        close(*clients, *taken.connections)

    asyncio.run(run())


class Exhausted:
    """A listener of a process that has no file descriptors left, once."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._tried = False

    def fileno(self) -> int:
        return self._listener.fileno()

    def accept(self) -> tuple[socket.socket, Any]:
        if not self._tried:
            self._tried = True
            raise OSError(24, "Too many open files")
        return self._listener.accept()

    def close(self) -> None:
        self._listener.close()


def test_it_goes_on_after_an_error(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(acceptor, "PAUSE_AFTER_ERROR", 0.01)

    async def run() -> None:
        clients, taken = connect(listener, 2), Taken()
        exhausted: Any = Exhausted(listener)
        accepting = Acceptor(exhausted, taken)
        await until_taken(2, taken)
        accepting.close()
        close(*clients, *taken.connections)

    with caplog.at_level(logging.ERROR):
        asyncio.run(run())
    assert "Too many open files" in caplog.text


def test_a_client_that_has_gone_before_it_was_accepted_is_no_error(
    listener: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    class Resetting(socket.socket):
        """As on Windows, where `accept` says it."""

        left = 1

        def accept(self) -> tuple[socket.socket, Any]:
            if self.left:
                self.left -= 1
                raise ConnectionResetError
            return super().accept()

    async def run() -> None:
        taken = Taken()
        accepting = Acceptor(Resetting(fileno=listener.dup().detach()), taken)
        clients = connect(listener, 1)
        await until_taken(1, taken)
        accepting.close()
        close(*clients, *taken.connections)

    asyncio.run(run())
    assert caplog.messages == []
