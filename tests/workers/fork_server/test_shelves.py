"""Shelves, real processes: models that somebody calls are loaded once, and touch nobody else."""

import contextlib
import select
import signal
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest

from tabpy.tabpy_server.workers.fork_server.process import ForkServerProcess
from tabpy.tabpy_server.workers.pool.frame_reader import FrameReader
from tabpy.tabpy_server.workers.pool.launchers import ForkLauncher
from tabpy.tabpy_server.workers.protocol import Death, Hello, Message, shelf_key
from tests.running import is_dead, until
from tests.workers.fork_server.asking import (
    SAID,
    Start,
    ask,
    line,
    reference,
    shelf_of,
    shelve,
)
from tests.workers.fork_server.conftest import SHELVES_MB
from tests.workers.fork_server.models import Gated, Plain, Runs

TOO_LARGE = int(SHELVES_MB * (1 << 20))
SOON = """
from tabpy.tabpy_server.workers.fork_server import root, shelf
root.SHELVES_SECONDS = 0.02
root.UNASKED_SECONDS = 2.0
shelf.LATE_SECONDS = 0.4
shelf.LOAD_TIMEOUT = 1.5
shelf.STEADY_SECONDS = 0.3
"""


@pytest.fixture
def start_hasty(start: Start, tmp_path: Path) -> Callable[[], ForkServerProcess]:
    """Start a fork server that has less patience."""

    def start_one() -> ForkServerProcess:
        (tmp_path / "sitecustomize.py").write_text(SOON)
        return start()

    return start_one


# --- whose models are where ---


def test_a_worker_from_a_shelf_has_its_models_and_every_other_has_not(
    start: Start, tmp_path: Path
) -> None:
    server = start()
    first, second = (reference(tmp_path, f"m{each}", Plain(each)) for each in (1, 2))
    key, other = shelve(server, first), shelve(server, second)
    with line(server, key) as worker, line(server, other) as others, line(server) as plain:
        assert worker.query(first) == 1
        assert worker.hello.origin == server.state.shelf_origin(key)
        assert others.hello.origin == server.state.shelf_origin(other)
        assert plain.hello.origin == server.state.origin
        assert plain.process.ppid() == server._process.pid
        assert len({each.process.ppid() for each in (worker, others, plain)}) == 3
        look = "import gc; return [type(e).__name__ for e in gc.get_objects()].count('Plain')"
        assert plain.evaluate(look) == 0


def test_a_model_that_changes_modules_changes_them_for_its_callers_only(
    start: Start, tmp_path: Path
) -> None:
    server = start()
    evil = reference(tmp_path, "evil", Runs("import colorsys; colorsys.ONE_THIRD = 0"))
    key = shelve(server, evil)
    good = shelve(server, reference(tmp_path, "good", Plain(1)))
    look = "import colorsys; return colorsys.ONE_THIRD == 0"
    with line(server, key) as its, line(server) as plain, line(server, good) as others:
        assert [each.evaluate(look) for each in (its, plain, others)] == [True, False, False]


def test_equal_lists_are_one_shelf_in_any_order(start: Start, tmp_path: Path) -> None:
    server = start()
    models = [reference(tmp_path, f"m{each}", Plain(each)) for each in (1, 2)]
    key = shelve(server, *models)
    assert ask(server, *reversed(models)) == key
    with line(server, key) as one, line(server, key) as another:
        assert shelf_of(one) == shelf_of(another)
        assert len(psutil.Process(server._process.pid).children()) == 1


def test_a_shelf_has_nothing_of_the_fork_servers(start: Start, tmp_path: Path) -> None:
    """No socket through which web processes ask, and no memory in which they are told."""
    server = start()
    shelve(server, reference(tmp_path, "first", Plain(1)))
    with line(server):
        key = shelve(server, reference(tmp_path, "second", Plain(2)))
        with line(server, key) as worker:
            shelf = shelf_of(worker)
            assert all("memfd" not in each.path for each in shelf.memory_maps())
            links = [each.readlink() for each in Path(f"/proc/{shelf.pid}/fd").iterdir()]
            sockets = [each for each in links if str(each).startswith("socket:")]
            assert len(sockets) == 2, "the line to the fork server, and its worker's"


# --- meanwhile ---


def test_workers_are_forked_while_a_shelf_is_filled(start: Start, tmp_path: Path) -> None:
    server, gate = start(), tmp_path / "gate"
    model = reference(tmp_path, "model", Gated(gate, 7))
    key = ask(server, model)
    until(lambda: psutil.Process(server._process.pid).children(), "it is being filled")
    with line(server, key) as meanwhile:
        assert meanwhile.evaluate("return 1") == 1
        assert meanwhile.hello.origin == server.state.origin
    assert not server.state.shelf_origin(key)
    gate.touch()
    until(lambda: server.state.shelf_origin(key), "it is full")
    with line(server, key) as worker:
        assert worker.query(model) == 7


def test_a_worker_comes_from_no_shelf_if_there_is_none(start: Start, tmp_path: Path) -> None:
    server = start()
    model = reference(tmp_path, "model", Plain(7))
    with line(server, shelf_key([model])) as worker:
        assert worker.query(model) == 7
        assert worker.process.ppid() == server._process.pid


def test_there_is_no_more_on_shelves_than_there_is_room(start: Start, tmp_path: Path) -> None:
    server = start()
    half, more, rest = (
        reference(tmp_path, name, Plain(name), size)
        for name, size in [("half", TOO_LARGE // 2), ("more", TOO_LARGE), ("rest", TOO_LARGE // 2)]
    )
    shelve(server, half)
    refused = ask(server, more)
    shelve(server, rest)
    assert not server.state.shelf_origin(refused)


def test_a_shelf_that_nobody_asks_for_goes_when_its_last_worker_has(
    start_hasty: Callable[[], ForkServerProcess], tmp_path: Path
) -> None:
    server = start_hasty()
    model = reference(tmp_path, "model", Plain(7))
    key = shelve(server, model)
    with line(server, key) as worker:
        shelf = shelf_of(worker)
        until(lambda: not server.state.shelf_origin(key), "nobody has asked for it")
        assert worker.query(model) == 7
    until(lambda: is_dead(shelf), "its memory is free")
    shelve(server, model)


# --- what can't be shared ---


def test_a_model_that_ends_its_process_costs_the_others_nothing(
    start: Start, tmp_path: Path
) -> None:
    server = start()
    deadly = reference(tmp_path, "deadly", Runs("os.kill(os.getpid(), 9)", 6))
    good = reference(tmp_path, "good", Plain(7))
    key = shelve(server, deadly, good)
    with line(server, key) as worker:
        assert (worker.query(good), worker.query(deadly)) == (7, 6)
        assert shelf_of(worker).pid != server._process.pid


@pytest.mark.parametrize(
    "code",
    [
        "raise RuntimeError",
        "raise SystemExit",
        "while True: pass",
        "import threading; threading.Thread(target=threading.Event().wait).start()",
    ],
)
def test_what_cannot_be_loaded_is_left_to_each_worker_and_not_tried_again(
    start_hasty: Callable[[], ForkServerProcess],
    tmp_path: Path,
    code: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    server = start_hasty()
    tries = tmp_path / "tries"
    model = reference(tmp_path, "bad", Runs(f"open({str(tries)!r}, 'a').write('.')\n{code}", 6))
    good = reference(tmp_path, "good", Plain(7))
    key = shelve(server, good, model)
    assert tries.read_text() == "."
    with line(server, key) as worker:
        assert (worker.query(good), worker.query(model)) == (7, 6)
    assert "'bad' can't be shared by workers: " in capfd.readouterr().out
    alone = ask(server, model)
    until(lambda: tries.read_text() == "..", "another list is tried, once")
    until(lambda: "'bad'" in capfd.readouterr().out, "and given up")
    for _ in range(3):
        ask(server, model)
    with line(server, alone) as worker:
        assert worker.query(model) == 6
    assert tries.read_text() == ".."


LIES = """
import gc, socket
[line] = [e for e in gc.get_objects() if isinstance(e, socket.socket) and e.fileno() >= 0]
"""


@pytest.mark.parametrize(
    "code",
    [
        LIES + 'line.send(b\'{"loading": ["victim", ""]}\'); raise SystemExit',
        LIES + "line.send(b'junk'); os.kill(os.getpid(), 19)",
        LIES + "line.send(b'[' * 60_000); os.kill(os.getpid(), 19)",
        LIES + "line.send(b'{\"ready\": true}')",
        LIES + 'line.setblocking(True)\nwhile True: line.send(b\'{"loading": ["a", "b"]}\')',
        LIES + "line.close(); os.kill(os.getpid(), 19)",
    ],
)
def test_what_a_model_says_in_the_shelfs_name_harms_that_shelf_only(
    start_hasty: Callable[[], ForkServerProcess], tmp_path: Path, code: str
) -> None:
    server = start_hasty()
    evil = reference(tmp_path, "evil", Runs(code, 6))
    victim = reference(tmp_path, "victim", Plain(7))
    key = ask(server, evil, victim)
    with line(server, shelve(server, victim)) as worker:
        assert worker.query(victim) == 7
    ask(server, evil, victim)
    with line(server, key) as worker:
        assert worker.query(evil) == 6
    until(
        lambda: len(psutil.Process(server._process.pid).children()) <= 1,
        "nothing is left of the other",
    )


# --- ends ---


def test_when_a_shelf_dies_its_workers_do_and_the_next_come_from_elsewhere(
    start: Start, tmp_path: Path
) -> None:
    server = start()
    model = reference(tmp_path, "model", Plain(7))
    key = shelve(server, model)
    with line(server, key) as worker:
        shelf_of(worker).kill()
        assert worker.receive()[0] == Death("was killed by signal 9 (SIGKILL)")
        until(lambda: is_dead(worker.process), "the worker has died, too")
    until(lambda: not server.state.shelf_origin(key), "pools are told")
    with line(server, key) as worker:
        assert worker.query(model) == 7
        assert worker.process.ppid() == server._process.pid


def test_letting_go_of_a_worker_kills_it(start: Start, tmp_path: Path) -> None:
    server = start()
    key = shelve(server, reference(tmp_path, "model", Plain(7)))
    with line(server, key) as worker:
        assert worker.evaluate("return 1") == 1
    until(lambda: is_dead(worker.process), "it is killed")
    with line(server, key) as worker:
        worker.process.kill()
        assert worker.receive()[0] == Death("was killed by signal 9 (SIGKILL)")


UNDYING = """
from tabpy.tabpy_server.workers.fork_server import server
server.kill_group = lambda pid: None
"""


def test_a_shelf_that_does_not_end_its_workers_is_ended(
    start_hasty: Callable[[], ForkServerProcess], tmp_path: Path
) -> None:
    server = start_hasty()
    key = shelve(server, reference(tmp_path, "undying", Runs(UNDYING)))
    with line(server, key) as worker, line(server, key) as other:
        script = b'{"script": "while True: pass", "data": {}}'
        worker.begin(script)
        worker.close()
        until(lambda: is_dead(worker.process), "it doesn't outlast its time")
        assert other.receive()[0] == Death("was killed by signal 9 (SIGKILL)")


def test_one_that_forks_and_ends_many_is_left_alone(
    start_hasty: Callable[[], ForkServerProcess], tmp_path: Path
) -> None:
    server = start_hasty()
    model = reference(tmp_path, "model", Plain(7))
    key = shelve(server, model)
    parents = set()
    over = time.monotonic() + 1.5
    while time.monotonic() < over:
        ask(server, model)
        with line(server, key) as worker:
            parents.add(shelf_of(worker).pid)
    assert len(parents) == 1


def test_a_shelf_that_stays_without_workers_is_ended(
    start_hasty: Callable[[], ForkServerProcess], tmp_path: Path
) -> None:
    server = start_hasty()
    stays = "from tabpy.tabpy_server.workers.fork_server import server\n"
    stays += "def stay(self):\n    while True: pass\nserver.ForkServer._leave = stay"
    key = shelve(server, reference(tmp_path, "stays", Runs(stays)))
    with line(server, key) as worker:
        shelf = shelf_of(worker)
    until(lambda: is_dead(shelf), "it goes")


def test_a_shelf_that_hangs_holds_up_nobody(start: Start, tmp_path: Path) -> None:
    server = start()
    key = shelve(server, reference(tmp_path, "model", Plain(7)))
    with line(server, key) as worker:
        shelf_of(worker).send_signal(signal.SIGSTOP)
        with line(server) as other:
            assert other.evaluate("return 1") == 1
        assert Hello in asked_too_often(server, key), "who was left over got one all the same"
    until(lambda: not server.state.shelf_origin(key), "it was ended")


def asked_too_often(server: ForkServerProcess, key: str) -> set[type[Message]]:
    """Ask a shelf that hangs for workers until there are answers: what these are."""
    with contextlib.ExitStack() as stack:
        lines: list[socket.socket] = []
        while not (answered := select.select(lines, [], [], 0.001)[0]):
            assert len(lines) < 1000, "its socket takes more than it should"
            ours, theirs = socket.socketpair()
            lines.append(stack.enter_context(ours))
            with theirs:
                until(partial(launched, server, theirs, key), "the fork server takes it")
        found: set[type[Message]] = set()

        def is_answered() -> bool:
            for each in select.select(lines, [], [], 0.01)[0]:
                lines.remove(each)
                found.update(
                    type(message) for message, _ in FrameReader().feed(each.recv(9999), SAID)
                )
            return Hello in found

        until(is_answered, f"a worker, not only {answered}")
        return found


def launched(server: ForkServerProcess, theirs: socket.socket, key: str) -> bool:
    try:
        ForkLauncher(server.requests, server.state).launch(theirs, key)
    except BlockingIOError:
        return False
    return True


def test_after_the_death_of_the_fork_server_nothing_is_on_shelves(
    start: Start, tmp_path: Path
) -> None:
    server = start()
    model = reference(tmp_path, "model", Plain(7))
    key = shelve(server, model)
    with line(server, key) as worker:
        shelf = shelf_of(worker)
        server._process.kill()
        server._process.wait()
        until(lambda: is_dead(shelf) and is_dead(worker.process), "they die with it")
    server.restart_if_dead()
    assert not server.state.shelf_origin(key)
    shelve(server, model)
