"""Connections that do nothing lock nobody out, however few descriptors there are."""

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.running import Server

FEW = 128  # descriptors
LIMITED = ("sh", "-c", f'ulimit -n {FEW} && exec "$@"', "sh", sys.executable, "-m", "tabpy")
SLOW = b"POST /evaluate HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{"


@pytest.fixture
def limited(start: Callable[..., Server]) -> Server:
    """A server with few descriptors in each process."""
    return start({"TABPY_WORKERS": "1"}, command=LIMITED)


@pytest.fixture
def clients() -> Iterator[ExitStack]:
    """What closes the connections of a test."""
    with ExitStack() as opened:
        yield opened


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost:", SLOW], ids=["", "head", "body"])
def test_a_good_request_is_answered_beside_many_idle_ones(
    limited: Server, clients: ExitStack, sent: bytes
) -> None:
    for _ in range(4 * FEW):
        client = clients.enter_context(socket.create_connection(("127.0.0.1", limited.port)))
        client.sendall(sent)
    for _ in range(10):
        assert limited.evaluate("return 1", timeout=10.0).json == 1
    assert "can't be accepted" not in limited.log
