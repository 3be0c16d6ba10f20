"""Asking the fork server for workers, and for models that they start with."""

import socket
from collections.abc import Iterator

import pytest

from tabpy.tabpy_server.workers.fork_server_state import ForkServerState
from tabpy.tabpy_server.workers.pool.launchers import ForkLauncher
from tabpy.tabpy_server.workers.protocol import PRELOAD_LIMIT


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    theirs.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def received(theirs: socket.socket) -> list[bytes]:
    found = []
    while True:
        try:
            found.append(theirs.recv(PRELOAD_LIMIT))
        except BlockingIOError:
            return found


def test_a_preload_request_is_sent_once(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    state = ForkServerState()
    launcher = ForkLauncher(ours, state)
    launcher.ensure_preload(b"models")
    assert received(theirs) == [b"models"]
    state.set_preload_request(b"models")
    launcher.ensure_preload(b"models")
    assert received(theirs) == []
    launcher.ensure_preload(b"others")
    assert received(theirs) == [b"others"]


def test_it_is_sent_again_to_a_fork_server_that_was_started_anew(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    state = ForkServerState()
    launcher = ForkLauncher(ours, state)
    launcher.ensure_preload(b"models")
    state.set_preload_request(b"models")
    state.reset()
    launcher.ensure_preload(b"models")
    assert received(theirs) == [b"models", b"models"]


def test_what_another_web_process_has_asked_for_since_is_left_alone(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    state = ForkServerState()
    launcher = ForkLauncher(ours, state)
    launcher.ensure_preload(b"models")
    state.set_preload_request(b"newer")
    launcher.ensure_preload(b"models")
    assert received(theirs) == [b"models"]


def test_a_web_process_that_starts_later_does_not_repeat_it(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    state = ForkServerState()
    state.set_preload_request(b"models")
    ForkLauncher(ours, state).ensure_preload(b"models")
    assert received(theirs) == []


def test_a_request_that_is_too_long_is_not_sent(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    ForkLauncher(ours, ForkServerState()).ensure_preload(b"x" * (PRELOAD_LIMIT + 1))
    assert received(theirs) == []


def test_all_that_map_the_state_see_who_answers() -> None:
    state = ForkServerState()
    other = ForkServerState(state.descriptor)
    assert (state.origin, state.preload_request) == ("", "")
    name = other.new_origin()
    other.set_origin(name)
    assert state.origin == name
    state.reset()
    assert other.origin == ""
