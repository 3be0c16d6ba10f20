"""Connections that do nothing lock nobody out, however few descriptors there are."""

import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.deploying import holds
from tests.running import PASSWORD, USER, Server, basic, until

FEW = 128  # descriptors
LIMITED = ("sh", "-c", f'ulimit -n {FEW} && exec "$@"', "sh", sys.executable, "-m", "tabpy")
SCRIPT = b'{"script": "return 1", "data": {}}'
ONE = (
    f"POST /evaluate HTTP/1.1\r\nHost: localhost\r\nAuthorization: {basic(USER, PASSWORD)}\r\n"
    f"Content-Length: {len(SCRIPT)}\r\n\r\n"
).encode() + SCRIPT
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


def test_who_connected_just_before_the_server_stops_is_answered(
    start: Callable[..., Server],
) -> None:
    """A proxy that has connected sends its request, and sends it to nobody else."""
    server = start({"WEB_CONCURRENCY": "1", "TABPY_WORKERS": "1"})
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        until(lambda: holds(server.web_processes()[0], client.getsockname()), "it is accepted")
        server.process.send_signal(signal.SIGTERM)
        until(lambda: is_refused(server.port), "the port is closed", seconds=5)
        client.sendall(ONE)
        reply = client.makefile("rb").read()
    assert reply.startswith(b"HTTP/1.1 200 ")
    assert reply.endswith(b"\r\n\r\n1")
    assert server.process.wait(10) == 0


def is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    return False
