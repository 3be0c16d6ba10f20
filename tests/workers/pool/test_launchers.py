"""Asking the fork server for workers, and for shelves that some come from."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tabpy.tabpy_server.workers.fork_server_state import ForkServerState
from tabpy.tabpy_server.workers.pool import launchers, worker
from tabpy.tabpy_server.workers.pool.launchers import ForkLauncher
from tabpy.tabpy_server.workers.protocol import (
    REQUEST_LIMIT,
    Reference,
    shelf_references,
    shelf_request,
)

KEY = "c0ffee" * 5 + "00"


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    theirs.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def received(theirs: socket.socket) -> list[tuple[bytes, int]]:
    """The requests that have come, and how many descriptors each had."""
    found: list[tuple[bytes, int]] = []
    while True:
        try:
            message, fds, _, _ = socket.recv_fds(theirs, REQUEST_LIMIT, 1)
        except BlockingIOError:
            return found
        for each in fds:
            os.close(each)
        found.append((message, len(fds)))


def test_a_worker_is_asked_for_with_its_end_of_a_socket_and_the_shelf_it_is_to_come_from(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    launcher = ForkLauncher(ours, ForkServerState())
    launcher.launch(theirs)
    launcher.launch(theirs, KEY)
    assert received(theirs) == [(b"fork ", 1), (b"fork " + KEY.encode(), 1)]


def test_a_shelf_is_asked_for_with_its_models(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    models = [Reference(name, 1, f"sha of {name}", "/path", "3.12.0", 5) for name in ("a", "b")]
    ForkLauncher(ours, ForkServerState()).ask_for_shelf(shelf_request(models))
    [(request, descriptors)] = received(theirs)
    assert (shelf_references(request), descriptors) == (models, 0)


def test_a_request_that_is_too_long_is_not_sent(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    ForkLauncher(ours, ForkServerState()).ask_for_shelf(b"x" * (REQUEST_LIMIT + 1))
    assert received(theirs) == []


def test_one_that_the_socket_has_no_room_for_is_lost_and_no_error(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    launcher = ForkLauncher(ours, ForkServerState())
    for _ in range(1000):
        launcher.ask_for_shelf(b"x" * 1000)
    assert 0 < len(received(theirs)) < 1000


# --- workers that are started as processes of their own, on Windows ---


def test_what_a_worker_says_instead_of_its_pid_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "raise SystemExit('no numpy here')"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    ours, theirs = socket.socketpair()
    with ours:
        launchers._hand_over(theirs, process)
        process.wait()
        assert caplog.messages == ["A script worker says: no numpy here"]
        assert ours.recv(1) == b""  # so the pool knows that it died


def connected(count: int) -> list[tuple[socket.socket, socket.socket]]:
    """Connections as `socketpair` makes them on Windows: both of their ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return [
            (socket.create_connection(listener.getsockname()), listener.accept()[0])
            for _ in range(count)
        ]


def test_a_socket_pair_of_tcp_sends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    [pair] = connected(1)
    monkeypatch.setattr("socket.socketpair", lambda: pair)
    for each in worker.socket_pair():
        with each:
            assert each.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_stranger_who_connected_first_gets_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    (ours, _ours), (stranger, theirs) = connected(2)
    monkeypatch.setattr("socket.socketpair", lambda: (ours, theirs))
    with _ours, stranger, pytest.raises(ConnectionError, match="somebody else"):
        worker.socket_pair()
