"""What a process takes with all that it has started, by files that look like the kernel's."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from tabpy.tabpy_server import process_usage
from tabpy.tabpy_server.process_memory import PAGE
from tabpy.tabpy_server.process_usage import FORKED, TICKS, own_memory, usage
from tests.running import until

MIB = 1 << 20
UNLIMITED = 1 << 60


class Proc:
    """A fake /proc."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(
        self,
        pid: int,
        *,
        parent: int = 1,
        children: Sequence[int] = (),
        threads: int = 1,
        anonymous: int = 0,
        file: int = 0,
        shared: int = 0,
        cpu: float = 0.0,
        forked: bool = True,
        touched: int = 0,
    ) -> None:
        """A process; sizes are in MiB, and `touched` is what page faults may have made its own.
        The last of its threads has started the children."""
        resident = (anonymous + file + shared) * MIB // PAGE
        faults = touched * MIB // PAGE
        flags = 0x400000 | (FORKED if forked else 0)
        ticks = int(cpu * TICKS)
        stat = (
            f"{pid} (a ) 7 name) S {parent} {pid} {pid} 0 -1 {flags} {faults} 0 0 0 "
            f"{ticks} 0 0 0 20 0 {threads} 0 5 9999999 {resident} 18446744073709551615 1 1\n"
        )
        status = (
            f"Name:\tpython\nVmRSS:\t 1 kB\nRssAnon:\t{anonymous << 10} kB\n"
            f"RssFile:\t{file << 10} kB\nRssShmem:\t{shared << 10} kB\nThreads:\t1\n"
        )
        folder = self._folder / str(pid)
        for thread in range(pid, pid + threads):
            task = folder / "task" / str(thread)
            task.mkdir(parents=True)
            own = children if thread == pid + threads - 1 else ()
            (task / "children").write_text("".join(f"{each} " for each in own))
        (folder / "stat").write_text(stat)
        (folder / "status").write_text(status)


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Proc:
    monkeypatch.setattr(process_usage, "PROC", tmp_path)
    return Proc(tmp_path)


def test_a_process_that_is_not_there_takes_nothing(proc: Proc) -> None:
    assert usage(7) is None
    assert own_memory(7, UNLIMITED) == 0


def test_memory_time_and_number_of_all_descendants_count(proc: Proc) -> None:
    proc.has(10, anonymous=100, file=20, cpu=1.5, children=[20, 30])
    proc.has(20, parent=10, anonymous=5, cpu=0.25, children=[40], threads=3)
    proc.has(30, parent=10, shared=7)
    proc.has(40, parent=20, anonymous=1, cpu=0.25)
    found = usage(10)
    assert found is not None
    assert (found.memory, found.cpu, found.processes) == (133 * MIB, 2.0, 4)


def test_one_that_ends_meanwhile_is_left_out(proc: Proc) -> None:
    proc.has(10, anonymous=100, children=[20])
    found = usage(10)
    assert found is not None
    assert found.processes == 1


def test_a_look_has_an_end(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_usage, "MOST", 5)
    for pid in range(10, 30):
        proc.has(pid, children=[pid + 1])
    found = usage(10)
    assert found is not None
    assert found.processes == 5


# --- what they share ---


def test_a_program_that_was_started_counts_without_its_files(proc: Proc) -> None:
    proc.has(10, anonymous=100, file=20, children=[20])
    proc.has(20, parent=10, anonymous=60, file=30, forked=False)
    assert own_memory(10, UNLIMITED) == 180 * MIB


def test_a_forked_process_shares_what_its_parent_had(proc: Proc) -> None:
    proc.has(10, anonymous=100, children=[20, 30])
    proc.has(20, parent=10, anonymous=100, touched=3)
    proc.has(30, parent=10, anonymous=140, touched=3)  # and has made 40 more, by huge pages
    assert own_memory(10, UNLIMITED) == 143 * MIB


def test_until_it_has_written_there(proc: Proc) -> None:
    proc.has(10, anonymous=100, children=[20, 30])
    proc.has(20, parent=10, anonymous=100, touched=90)
    proc.has(30, parent=10, anonymous=100, touched=5000)
    assert own_memory(10, UNLIMITED) == 290 * MIB


def test_shared_memory_counts_for_who_maps_it_and_is_no_more_than_there_is(proc: Proc) -> None:
    proc.has(10, shared=50, children=[20, 30])
    proc.has(20, parent=10, shared=100, forked=False)
    proc.has(30, parent=10, shared=100, forked=False)
    assert own_memory(10, UNLIMITED) == 250 * MIB
    assert own_memory(10, 110 * MIB) == 110 * MIB


# --- real processes ---

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
TREE = """
import os, sys
data = bytearray(50 << 20)
for _ in range(2):
    if os.fork() == 0:
        own = bytearray(30 << 20)
        break
print("ready", flush=True)
sys.stdin.read()
"""


@ON_LINUX
def test_the_kernels_files_say_what_is_thought_here() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", TREE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        found = usage(process.pid)
        assert found is not None
        assert found.processes == 3
        assert found.memory > (3 * 50 + 2 * 30) * MIB
        own = own_memory(process.pid, UNLIMITED)
        assert (50 + 2 * 30) * MIB < own < (50 + 2 * 30 + 40) * MIB
        assert process.stdin is not None
        process.stdin.close()


@ON_LINUX
def test_it_agrees_with_others_about_a_process() -> None:
    work = "sum(range(10_000_000)); print(flush=True); input()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", work], stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it has worked, and waits
        found = usage(process.pid)
        times = psutil.Process(process.pid).cpu_times()
        process.communicate(b"\n")
    assert found is not None
    assert found.cpu == pytest.approx(times.user + times.system, abs=0.05)
    assert found.cpu > 0.05


@ON_LINUX
def test_a_program_is_told_from_a_fork() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        until(lambda: not forked(process.pid), "it runs a program")
        process.communicate(b"\n")


def forked(pid: int) -> bool:
    found = process_usage._stat(pid)
    assert found is not None
    return found.forked
