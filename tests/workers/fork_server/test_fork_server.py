"""The fork server, a real process: it answers while it imports."""

import os
import socket
from pathlib import Path

import psutil
import pytest

from tabpy.tabpy_server.workers.fork_server.server import ForkServer
from tabpy.tabpy_server.workers.pool.frame_reader import FrameReader
from tabpy.tabpy_server.workers.protocol import Death
from tests.running import until
from tests.workers.fork_server.asking import SAID, Start, line


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
        death = next(reader.feed(ours.recv(1 << 16), SAID))[0]
        assert death == Death("could not be started: Resource temporarily unavailable")
        assert ours.recv(1) == b""


class BareForkServer(ForkServer):
    """One that takes no signals of the process that runs the tests."""

    def __init__(self) -> None:
        pass
