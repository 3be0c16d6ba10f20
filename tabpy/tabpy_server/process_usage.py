"""What a process takes, together with all that it has started, as the kernel tells it.

Only files that everybody may read are used: other processes' maps are closed to us when they
aren't dumpable. The numbers of the fields are those of proc_pid_stat(5).
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tabpy.tabpy_server.process_memory import PAGE

PROC = Path("/proc")
MOST = 500  # processes and threads of a tree that are looked at, so that a look has an end
FORKED = 0x40  # PF_FORKNOEXEC in include/linux/sched.h: it still shares its parent's memory
TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100  # a second


@dataclass(frozen=True)
class Usage:
    """`memory`: bytes, no less than it takes: what several of the processes share counts for each.
    `cpu`: seconds of processor time, that of children that have ended included. `processes`: how
    many they are."""

    memory: int
    cpu: float
    processes: int


class _Process(NamedTuple):
    pid: int
    parent: int
    forked: bool
    faults: int
    cpu: float
    threads: int
    resident: int


def usage(pid: int) -> Usage | None:
    """Return what a process and its descendants take; None where that can't be known, or there's
    no such process."""
    tree = list(_tree(pid))
    if not tree:
        return None
    return Usage(sum(each.resident for each in tree), sum(each.cpu for each in tree), len(tree))


def own_memory(pid: int, shared: int) -> int:
    """Return about what a process and its descendants take, in bytes, without counting twice what
    they share; it takes longer than `usage`.

    `shared`: bytes of shared memory that there are at all: however many map it, it's no more. A
    forked process has its parent's pages until one of them writes there, which is a page fault, so
    it has made no more pages its own than it has had faults, or than it has more than its parent.
    Pages of files don't count but for the first process, since the kernel has them once.
    """
    total = shared_total = 0
    anonymous: dict[int, int] = {}
    for process in _tree(pid):
        sizes = _sizes(process.pid)
        own = anonymous[process.pid] = sizes.get("RssAnon", 0)
        shared_total += sizes.get("RssShmem", 0)
        if process.pid == pid:
            total += own + sizes.get("RssFile", 0)
        elif process.forked:
            more_than_parent = own - anonymous.get(process.parent, 0)
            total += min(own, max(more_than_parent, process.faults * PAGE))
        else:
            total += own
    return total + min(shared_total, shared)


def _tree(pid: int) -> Iterator[_Process]:
    """Yield a process and its descendants, parents first, at most MOST."""
    pids, seen = [pid], 0
    while pids and seen < MOST:
        found = _stat(pids.pop())
        if found is not None:
            seen += found.threads
            yield found
            pids += _children(found)


def _stat(pid: int) -> _Process | None:
    try:
        text = _read(f"{PROC}/{pid}/stat")
    except OSError:
        return None
    # From the third field on: the second is a name that can have anything in it.
    fields = text[text.rfind(b")") + 2 :].split(b" ", 22)
    if len(fields) < 22:
        return None  # a kernel that isn't Linux, as in some containers
    return _Process(
        pid=pid,
        parent=int(fields[1]),
        forked=bool(int(fields[6]) & FORKED),
        faults=int(fields[7]),
        cpu=sum(map(int, fields[11:15])) / TICKS,
        threads=int(fields[17]),
        resident=int(fields[21]) * PAGE,
    )


def _children(process: _Process) -> list[int]:
    """Return the children of all threads of a process."""
    folder = f"{PROC}/{process.pid}/task"
    try:
        threads = [str(process.pid)] if process.threads == 1 else os.listdir(folder)  # noqa: PTH208
        return [
            int(child)
            for thread in threads[:MOST]
            for child in _read(f"{folder}/{thread}/children").split()
        ]
    except OSError:
        return []


def _sizes(pid: int) -> dict[str, int]:
    """Return the kinds of memory in /proc/<pid>/status, in bytes."""
    try:
        lines = _read(f"{PROC}/{pid}/status").decode("latin-1").splitlines()
    except OSError:
        return {}
    pairs = (line.split() for line in lines if line.startswith("Rss"))
    return {name.rstrip(":"): int(kilobytes) * 1024 for name, kilobytes, *_ in pairs}


def _read(file: str) -> bytes:
    """Return a short file's bytes; a third of the time that `Path.read_bytes` takes."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        return os.read(descriptor, 1 << 16)
    finally:
        os.close(descriptor)
