"""Processor time of a server's processes by their kind: it hardly depends on the neighbours."""

from collections.abc import Mapping, Sequence

import psutil

# By pid, so that what a process spent before it ended isn't taken off the others.
Times = Mapping[int, tuple[str, float]]
WEB, WORKER, FORK_SERVER, ARBITER = "web process", "worker", "fork server", "arbiter"


def seconds_of(tree: Sequence[psutil.Process]) -> Times:
    """User and system time of each process of `tree`, whose first is the server's own."""
    parents: dict[int, int] = {}
    spent: dict[int, float] = {}
    forking: set[int] = set()
    for process in tree:
        try:
            with process.oneshot():
                parents[process.pid] = process.ppid()
                times = process.cpu_times()
                spent[process.pid] = times.user + times.system
            if any("fork_server" in part for part in process.cmdline()):
                forking.add(process.pid)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            spent.pop(process.pid, None)
    kinds = kinds_of(parents, forking)
    return {pid: (kinds[pid], seconds) for pid, seconds in spent.items()}


def kinds_of(parents: Mapping[int, int], forking: set[int]) -> dict[int, str]:
    """The kind of each pid. A server that has no fork server is web processes only.

    `forking` are the pids whose command line is the fork server's; what it forks has the same.
    """
    kinds: dict[int, str] = {}
    for pid, parent in parents.items():
        if pid in forking:
            kinds[pid] = WORKER if parent in forking else FORK_SERVER
        else:
            is_arbiter = forking and parent not in parents
            kinds[pid] = ARBITER if is_arbiter else WEB
    return kinds


def between(before: Times, after: Times) -> dict[str, float]:
    """Seconds by kind from one look to the next; of what has ended in between, nothing."""
    taken: dict[str, float] = {}
    for pid, (kind, seconds) in after.items():
        _, earlier = before.get(pid, (kind, 0.0))
        taken[kind] = taken.get(kind, 0.0) + seconds - earlier
    return taken
