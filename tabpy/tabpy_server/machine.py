"""What this machine, or the container we are in, has to give."""

import ctypes
import os
import sys
from pathlib import Path

# https://docs.kernel.org/admin-guide/cgroup-v2.html, and the same of version 1.
# In a container our own group is the root of what we see; under systemd it lies below.
MEMORY_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")
MEMORY_USES = ("memory.current", "memory/memory.usage_in_bytes")
CGROUP = Path("/sys/fs/cgroup")

PAGE = 4096  # bytes: what /proc counts in
SERVER_MB = 160  # arbiter, template with pandas, and two web processes
WORKER_MB = 88  # a worker with some of somebody's data


def memory_mb() -> float:
    """The container's memory limit, or what the machine has; infinite where neither is known."""
    limits = [_number(group / name) for name in MEMORY_LIMITS for group in (CGROUP, _own_group())]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min((limit for limit in limits if limit), default=float("inf")) / (1 << 20)


def memory_used() -> int:
    """Bytes that the container takes; 0 where that isn't known."""
    own = _number(_own_group() / MEMORY_USES[0])
    return own or max(_number(CGROUP / name) for name in MEMORY_USES)


def _own_group() -> Path:
    """Our group in version 2's tree: the line of /proc/self/cgroup that begins with `0::`."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    own = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
    return CGROUP / own


def cpus() -> int:
    """Processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def script_workers(web_processes: int) -> int:
    """For each web process: one a processor, at least two so that a stuck script isn't everything,
    as far as memory allows."""
    by_memory = (memory_mb() - SERVER_MB) / (web_processes * WORKER_MB)
    return int(max(1, min(max(2, cpus()), by_memory)))


def script_memory_mb() -> float:
    """Half of what the server leaves: one script can't take all, and two large ones fit."""
    return max(64.0, (memory_mb() - SERVER_MB) / 2)


def _number(file: Path) -> int:
    try:
        text = file.read_text().strip()
    except OSError:
        return 0
    return int(text) if text.isdecimal() else 0


def resident(process: int | str = "self") -> int:
    """Bytes of a process in memory, by its pid; 0 where there's no /proc, or no such process."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * PAGE
    except OSError:
        return 0


def process_tree() -> dict[str, list[int]]:
    """The server's processes by role, as seen from a web process; nothing where there's no /proc.

    Workers are the template's children, or those of one that the template has forked.
    """
    arbiter = os.getppid()
    if not _children(arbiter):
        return {}
    roles: dict[str, list[int]] = {"arbiter": [arbiter], "web": [], "template": [], "worker": []}
    for child in _children(arbiter):
        grandchildren = _children(child)
        if not grandchildren:
            roles["web"].append(child)
            continue
        roles["template"].append(child)
        for grandchild in grandchildren:
            workers = _children(grandchild)
            roles["template" if workers else "worker"].append(grandchild)
            roles["worker"] += workers
    return roles


def _children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def trim() -> None:
    """Give freed memory back to the system: glibc keeps it otherwise, for as long as
    the process lives."""
    if sys.platform == "linux":
        malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if malloc_trim is not None:
            malloc_trim(0)
