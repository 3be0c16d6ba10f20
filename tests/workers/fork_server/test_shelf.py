"""What the fork server believes of what a shelf says."""

import socket
from collections.abc import Iterator

import orjson
import pytest

from tabpy.tabpy_server.workers.fork_server import shelf as shelf_module
from tabpy.tabpy_server.workers.fork_server.shelf import Shelf
from tabpy.tabpy_server.workers.fork_server.shelf_process import Progress
from tabpy.tabpy_server.workers.protocol import Reference

ONE, TWO = (Reference(name, 1, f"sha of {name}", "/path", "", 5) for name in ("one", "two"))


@pytest.fixture
def line() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def shelf(line: tuple[socket.socket, socket.socket]) -> Shelf:
    return Shelf("key", [ONE, TWO], 0, line[0], "origin")


@pytest.fixture
def progress(line: tuple[socket.socket, socket.socket]) -> Progress:
    return Progress(line[1])


def test_it_is_ready_when_it_has_said_so(shelf: Shelf, progress: Progress) -> None:
    for each in (ONE, TWO):
        progress.loading(each)
        shelf.read()
        assert not shelf.is_ready
    progress.ready()
    shelf.read()
    assert shelf.is_ready
    assert shelf.size == 10


def test_what_it_was_loading_is_left_out_the_next_time(shelf: Shelf, progress: Progress) -> None:
    assert shelf.culprits == {ONE.sha256}, "it hasn't come to any other"
    progress.loading(TWO)
    progress.failed(ValueError("no"))
    shelf.read()
    assert shelf.culprits == {TWO.sha256}
    assert shelf.failure == "ValueError: no\n"


def test_if_it_names_what_it_was_not_asked_for_all_is_left_out(
    shelf: Shelf, progress: Progress
) -> None:
    progress.loading(Reference("another", 1, "its sha", "", ""))
    shelf.read()
    assert shelf.culprits == {ONE.sha256, TWO.sha256}


def test_one_that_ends_soon_is_not_filled_again(
    shelf: Shelf, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress.ready()
    shelf.read()
    assert shelf.culprits == {ONE.sha256, TWO.sha256}
    monkeypatch.setattr(shelf_module, "STEADY_SECONDS", 0.0)
    assert shelf.culprits == set()


@pytest.mark.parametrize(
    "said",
    [b"junk", b"[" * 5000, b"null", b'{"loading": "one"}', b'{"loading": ["one", 5]}', b"{}"],
)
def test_what_it_would_not_say_is_an_error(
    said: bytes, shelf: Shelf, line: tuple[socket.socket, socket.socket]
) -> None:
    line[1].send(said)
    with pytest.raises(ValueError):  # noqa: PT011 - whichever
        shelf.read()


def test_so_is_more_than_it_has_to_say(
    shelf: Shelf, line: tuple[socket.socket, socket.socket]
) -> None:
    for _ in range(10):
        line[1].send(orjson.dumps({"loading": [ONE.name, ONE.sha256]}))
    with pytest.raises(ValueError, match="without end"):
        shelf.read()


def test_so_is_anything_after_it_is_ready(shelf: Shelf, progress: Progress) -> None:
    progress.ready()
    shelf.read()
    progress.loading(ONE)
    with pytest.raises(ValueError, match="without end"):
        shelf.read()


def test_so_is_its_end(shelf: Shelf, line: tuple[socket.socket, socket.socket]) -> None:
    line[1].close()
    with pytest.raises(ValueError, match="gone"):
        shelf.read()
