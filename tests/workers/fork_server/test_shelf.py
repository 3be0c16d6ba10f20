"""What the fork server believes of what a shelf says, and when it ends it."""

import select
import socket
import time
from collections.abc import Iterator

import orjson
import pytest

from tabpy.tabpy_server.workers.fork_server import shelf as shelf_module
from tabpy.tabpy_server.workers.fork_server.root import RootForkServer
from tabpy.tabpy_server.workers.fork_server.shelf import (
    LATE_SECONDS,
    LOAD_TIMEOUT,
    UNASKED_SECONDS,
    Shelf,
)
from tabpy.tabpy_server.workers.fork_server.shelf_process import Progress
from tabpy.tabpy_server.workers.protocol import Reference, shelf_key, shelf_request

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


# --- what is looked at from outside ---


class Process:
    """A shelf's process, as the fork server finds it: who has been killed, how many workers it has,
    and what time it is. It is handed sockets, and has as many workers only if a test says so."""

    def __init__(self, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shelf = shelf
        self.killed: list[int] = []
        self.workers = 0
        self.now = shelf._began
        self.poll = select.epoll()
        monkeypatch.setattr(shelf_module, "kill_group", self.killed.append)
        monkeypatch.setattr(shelf_module, "children_of", lambda _: [*range(self.workers)])
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def ask_for_worker(self) -> int:
        """Have it asked for a worker, and return by what it is let go."""
        ours, theirs = socket.socketpair()
        theirs.close()
        self.shelf.pass_on(ours, self.poll)
        return ours.fileno()

    def is_killed_after(self, seconds: float) -> bool:
        """Say whether it is ended if nothing else happens, looked at once a second."""
        for _ in range(int(seconds)):
            self.now += 1.0
            self.shelf.look()
        return bool(self.killed)


@pytest.fixture
def process(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    made = Process(shelf, monkeypatch)
    with made.poll:
        yield made
        shelf.close()


@pytest.fixture
def ready(process: Process, progress: Progress) -> Process:
    progress.ready()
    process.shelf.read()
    return process


def test_it_has_five_minutes_to_load(process: Process) -> None:
    assert not process.is_killed_after(LOAD_TIMEOUT)
    assert process.is_killed_after(1)
    assert process.shelf.failure == "it took longer than 300 s"


def test_one_that_does_what_it_is_asked_for_may_go_on(ready: Process) -> None:
    assert not ready.is_killed_after(60)
    worker = ready.ask_for_worker()
    ready.workers = 1
    assert not ready.is_killed_after(60)
    assert ready.shelf.let_go(worker, ready.poll)
    ready.workers = 0
    assert not ready.is_killed_after(60)
    assert ready.shelf.culprits == set()


def test_one_that_forks_no_worker_is_ended(ready: Process) -> None:
    ready.ask_for_worker()
    assert not ready.is_killed_after(LATE_SECONDS)
    assert ready.is_killed_after(2 * LATE_SECONDS)
    assert ready.shelf.culprits == {ONE.sha256, TWO.sha256}


def test_one_that_keeps_a_worker_that_was_let_go_is_ended(ready: Process) -> None:
    worker = ready.ask_for_worker()
    ready.workers = 1
    assert ready.shelf.let_go(worker, ready.poll)
    assert not ready.is_killed_after(LATE_SECONDS)
    assert ready.is_killed_after(2 * LATE_SECONDS)


def test_one_that_does_not_end_without_workers_when_it_should_is_ended(ready: Process) -> None:
    ready.shelf.is_dismissed = True
    assert ready.is_killed_after(2 * LATE_SECONDS)


def test_one_that_is_asked_for_again_and_again_stays(process: Process) -> None:
    server = RootForkServer.__new__(RootForkServer)  # without a fork
    request = shelf_request([ONE, TWO])
    server._shelves = {shelf_key([ONE, TWO]): process.shelf}
    process.now += UNASKED_SECONDS
    server._take_shelf_request(request)
    assert process.shelf.asked == process.now
