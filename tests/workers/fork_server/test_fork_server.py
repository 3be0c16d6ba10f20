"""The fork server, a real process: it answers while it imports and while it loads models."""

import contextlib
import hashlib
import os
import pickle
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest

from tabpy.tabpy_server.workers import protocol
from tabpy.tabpy_server.workers.fork_server.confining import NOT_CONFINED
from tabpy.tabpy_server.workers.fork_server.process import ForkServerProcess
from tabpy.tabpy_server.workers.fork_server.server import ForkServer
from tabpy.tabpy_server.workers.pool.frame_reader import FrameReader
from tabpy.tabpy_server.workers.pool.launchers import ForkLauncher
from tabpy.tabpy_server.workers.protocol import (
    Death,
    Evaluate,
    Hello,
    Message,
    Query,
    Reference,
    Reply,
)
from tests.running import until

Start = Callable[..., ForkServerProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a fork server; modules of the test's folder can be preloaded."""
    started: list[ForkServerProcess] = []

    def start_one(*modules: str) -> ForkServerProcess:
        path = os.pathsep.join([str(tmp_path), str(Path.cwd())])
        started.append(
            ForkServerProcess(modules, 100.0, {**os.environ, "PYTHONPATH": path}, NOT_CONFINED)
        )
        return started[-1]

    yield start_one
    for each in started:
        each.stop()


class Line:
    """A worker, as a web process has it, but with calls that block."""

    def __init__(self, server: ForkServerProcess) -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(10)
        with theirs:
            ForkLauncher(server.requests, server.state).launch(theirs)
        self._reader = FrameReader()
        hello, _ = self.receive()
        assert isinstance(hello, Hello)
        self.hello = hello
        self.process = psutil.Process(hello.pid)

    def receive(self) -> tuple[Message, bytes]:
        while True:
            data = self.socket.recv(1 << 16)
            assert data, "it ended"
            for each in self._reader.feed(data):
                return each

    def ask(self, task: protocol.Task, body: bytes) -> Any:
        """The value that the worker replies."""
        job = protocol.encode(protocol.Job(task, "token", model_memory=1 << 30), len(body))
        self.socket.sendall(job + body)
        reply, answer = self.receive()
        assert isinstance(reply, Reply), reply
        return orjson.loads(answer)

    def evaluate(self, script: str) -> Any:
        return self.ask(Evaluate(), orjson.dumps({"script": script, "data": {}}))

    def close(self) -> None:
        self.socket.close()


@contextlib.contextmanager
def line(server: ForkServerProcess) -> Iterator[Line]:
    opened = Line(server)
    try:
        yield opened
    finally:
        opened.close()


def slow_module(folder: Path) -> Path:
    """A module `slow` whose import ends when the returned file is there."""
    gate = folder / "gate"
    (folder / "slow.py").write_text(
        f"import pathlib\nwhile not pathlib.Path({str(gate)!r}).exists(): pass\nvalue = 7\n"
    )
    return gate


def test_workers_are_there_before_the_modules_to_preload_are(start: Start, tmp_path: Path) -> None:
    gate = slow_module(tmp_path)
    server = start("slow")
    server.wait_until_ready()
    with line(server) as cold:
        assert cold.evaluate("import sys; return 'slow' in sys.modules") is False
        assert cold.hello.origin == server.state.origin
        gate.touch()
        until(lambda: server.state.origin != cold.hello.origin, "a warm one answers")
        with line(server) as warm:
            assert warm.evaluate("import sys; return sys.modules['slow'].value") == 7
            assert warm.hello.origin == server.state.origin
        assert cold.evaluate("return 1") == 1, "it may finish what it does"
    until(lambda: not cold.process.is_running(), "the cold one leaves with its last worker")


def test_a_fork_server_that_cannot_start_says_so(start: Start, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit(3)")
    server = start()
    with pytest.raises(Exception, match="ended before it was ready"):
        server.wait_until_ready()


def test_a_worker_can_gain_no_privileges(start: Start) -> None:
    with line(start()) as worker:
        status = Path(f"/proc/{worker.hello.pid}/status").read_text()
        assert "NoNewPrivs:\t1" in status


def test_a_worker_cannot_be_looked_into_and_goes_first_where_memory_runs_out(start: Start) -> None:
    with line(start()) as worker:
        assert worker.evaluate("import ctypes; return ctypes.CDLL(None).prctl(3)") == 0, "dumpable"
        assert Path(f"/proc/{worker.hello.pid}/oom_score_adj").read_text() == "800\n"
        assert Path(f"/proc/{worker.process.ppid()}/oom_score_adj").read_text() == "0\n"


FORK_TWICE = """
import os, time
read, write = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.write(write, str(os.getpid()).encode())
        while True: time.sleep(1)
    os._exit(0)
os.wait()
return int(os.read(read, 20))
"""


def test_what_a_script_forks_twice_stays_its_workers_and_ends_with_it(start: Start) -> None:
    server = start()
    with line(server) as worker:
        grandchild = psutil.Process(worker.evaluate(FORK_TWICE))
        assert grandchild.ppid() == worker.hello.pid
    until(lambda: not grandchild.is_running(), "it is killed")


def test_a_stray_that_nobody_announces_is_found(start: Start) -> None:
    """A worker that gave up its orphans: they become the fork server's, which nobody tells."""
    server = start()
    with line(server) as worker:
        script = "import ctypes\nctypes.CDLL(None).prctl(36, 0)\n" + FORK_TWICE
        grandchild = psutil.Process(worker.evaluate(script))
        assert grandchild.ppid() == worker.process.ppid()
        until(lambda: not grandchild.is_running(), "it is killed", seconds=3)
        assert worker.process.is_running()


def test_a_worker_has_no_part_in_what_its_fork_server_has(start: Start) -> None:
    with line(start()) as first, line(start()) as second:
        for worker in (first, second):
            assert all("memfd" not in each.path for each in worker.process.memory_maps())
            open_files = list(Path(f"/proc/{worker.hello.pid}/fd").iterdir())
            assert len(open_files) == 4, "the socket, and three that lead nowhere"


def test_letting_go_of_a_worker_kills_it_and_all_it_started(start: Start) -> None:
    server = start()
    with line(server) as worker:
        child = psutil.Process(
            worker.evaluate(
                "import subprocess, sys\n"
                "loop = 'while True: pass'\n"
                "return subprocess.Popen([sys.executable, '-c', loop], start_new_session=True).pid"
            )
        )
    until(lambda: not worker.process.is_running(), "the worker is gone")
    until(lambda: not child.is_running(), "and so is what it started in a session of its own")


def test_a_worker_that_dies_is_announced(start: Start) -> None:
    with line(start()) as worker:
        worker.process.kill()
        assert worker.receive()[0] == Death("was killed by signal 9 (SIGKILL)")


def test_a_fork_that_fails_is_told_and_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_fork() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", no_fork)
    ours, theirs = socket.socketpair()
    ForkServer._fork_worker(BareForkServer(), theirs)
    reader = FrameReader()
    with ours:
        death = next(reader.feed(ours.recv(1 << 16)))[0]
        assert death == Death("could not be started: Resource temporarily unavailable")
        assert ours.recv(1) == b""


class BareForkServer(ForkServer):
    """One that takes no signals of the process that runs the tests."""

    def __init__(self) -> None:
        pass


# --- models ---


class Gated:
    """A model that is loaded only when a file is there."""

    def __init__(self, gate: Path, answer: object) -> None:
        self.gate, self.answer = str(gate), answer

    def query(self) -> object:
        return self.answer

    def __setstate__(self, state: dict[str, Any]) -> None:
        while not Path(state["gate"]).exists():
            pass
        self.__dict__.update(state)


class Suicidal(Gated):
    def __setstate__(self, state: dict[str, Any]) -> None:
        if os.getppid() == int(Path(state["gate"]).read_text()):
            os.kill(os.getpid(), 9)  # while it is loaded for all; a worker may load it
        self.__dict__.update(state)


def reference(folder: Path, name: str, model: object) -> Reference:
    data = pickle.dumps(model)
    file = folder / name
    file.write_bytes(data)
    return Reference(name, 1, hashlib.sha256(data).hexdigest(), str(file), "")


def preload(server: ForkServerProcess, *references: Reference) -> None:
    ForkLauncher(server.requests, server.state).ensure_preload(protocol.preload_request(references))


def has(server: ForkServerProcess, wanted: Reference, answer: object) -> bool:
    """Whether a new worker answers, and had the model before it was asked."""
    with line(server) as worker:
        parent = worker.process.parent()
        assert parent is not None
        assert worker.ask(Query(wanted), b'{"data": []}')["response"] == answer
        return parent.pid != server._process.pid


def test_workers_are_forked_while_large_models_are_loaded(start: Start, tmp_path: Path) -> None:
    server, gate = start(), tmp_path / "gate"
    model = reference(tmp_path, "model", Gated(gate, 7))
    with line(server) as before:
        preload(server, model)
        until(lambda: server.state.preload_request, "the request has come")
        with line(server) as meanwhile:
            assert meanwhile.evaluate("return 1") == 1
            assert meanwhile.hello.origin == before.hello.origin == server.state.origin
        gate.touch()
        until(lambda: server.state.origin != before.hello.origin, "one with the model answers")
    assert has(server, model, 7)


def test_other_models_take_the_place_of_the_first_ones(start: Start, tmp_path: Path) -> None:
    server, gate = start(), tmp_path / "gate"
    gate.touch()
    first, second = (reference(tmp_path, f"m{each}", Gated(gate, each)) for each in (1, 2))
    preload(server, first)
    until(lambda: has(server, first, 1), "shared")
    shared = server.state.origin
    preload(server, second)
    until(lambda: server.state.origin != shared and has(server, second, 2), "the second one is")
    own = server.state.origin
    preload(server)
    until(lambda: server.state.origin != own, "without any, the first one answers again")
    with line(server) as worker:
        assert worker.process.ppid() == server._process.pid


def test_a_model_that_ends_its_process_costs_the_others_nothing(
    start: Start, tmp_path: Path
) -> None:
    server, gate, pid = start(), tmp_path / "gate", tmp_path / "pid"
    gate.touch()
    pid.write_text(str(server._process.pid))
    deadly = reference(tmp_path, "deadly", Suicidal(pid, 6))
    good = reference(tmp_path, "good", Gated(gate, 7))
    preload(server, deadly, good)
    until(lambda: has(server, good, 7), "the good one is shared")
    assert has(server, deadly, 6)


def test_when_the_one_with_models_dies_the_first_one_answers_again(
    start: Start, tmp_path: Path
) -> None:
    server, gate = start(), tmp_path / "gate"
    gate.touch()
    model = reference(tmp_path, "model", Gated(gate, 7))
    preload(server, model)
    until(lambda: has(server, model, 7), "shared")
    with line(server) as worker:
        holder = worker.process.parent()
        assert holder is not None
        shared = server.state.origin
        holder.kill()
        until(lambda: server.state.origin != shared, "pools are told")
    assert not has(server, model, 7)


def test_after_the_death_of_the_fork_server_the_next_one_is_asked_for_models_again(
    start: Start, tmp_path: Path
) -> None:
    server, gate = start(), tmp_path / "gate"
    gate.touch()
    model = reference(tmp_path, "model", Gated(gate, 7))
    launcher = ForkLauncher(server.requests, server.state)
    request = protocol.preload_request([model])
    launcher.ensure_preload(request)
    until(lambda: has(server, model, 7), "shared")
    server._process.kill()
    server._process.wait()
    server.restart_if_dead()
    launcher.ensure_preload(request)
    until(lambda: has(server, model, 7), "shared again")
