"""What this machine, or the container we are in, has to give, and what follows from it."""

import math
import os
import socket
import sys
from pathlib import Path

from tabpy.tabpy_server import windows

# https://docs.kernel.org/admin-guide/cgroup-v2.html, and the same of version 1.
# In a container our own group is the root of what we see; under systemd it lies below.
CGROUP = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")
MEMORY = Path("/proc/meminfo")
MEMORY_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")
MEMORY_USES = ("memory.current", "memory/memory.usage_in_bytes")
CPU_LIMIT = "cpu.max"  # microseconds in each period (or `max`), and the period's length
CPU_QUOTA, CPU_PERIOD = "cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"  # version 1's; -1: no limit

SERVER_MB = 160  # arbiter, template with pandas, and two web processes
SMALL_MB = 900  # below that, memory is more important than a quick start
WORKER_MB = 88  # a worker with some of somebody's data


def memory_mb() -> float:
    """Return the container's memory limit, or what the machine has; infinite where neither is
    known."""
    limits = [number(group / name) for name in MEMORY_LIMITS for group in groups()]
    limits.append(windows.physical_memory())
    if sys.platform != "win32" and "SC_PHYS_PAGES" in os.sysconf_names:
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min((limit for limit in limits if limit), default=float("inf")) / (1 << 20)


def is_small() -> bool:
    """Say whether there is so little memory that a start may take longer to save some."""
    return memory_mb() < SMALL_MB


def memory_used() -> int:
    """Return the bytes that the container takes; 0 where that isn't known."""
    own = number(groups()[0] / MEMORY_USES[0])
    return own or max(number(CGROUP / name) for name in MEMORY_USES)


def name() -> str:
    """Return how this machine is called: a dyno by Heroku's name for it."""
    return os.environ.get("DYNO") or socket.gethostname()


def memory_available_mb() -> float:
    """Return what the machine has left, by the kernel's estimate; infinite where it isn't known."""
    for line in _text(MEMORY).splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) / 1024
    return float("inf")


def cpus() -> int:
    """Return how many processors' time this process may use, rounded up."""
    shares = [share for group in groups() if (share := _cpu_share(group)) is not None]
    return max(1, math.ceil(min([_usable_cpus(), *shares])))


def script_workers(web_processes: int) -> int:
    """Return how many workers each web process should have: one a processor, but at least two, so
    that one stuck script doesn't stop all, and no more than memory allows."""
    by_memory = (memory_mb() - SERVER_MB) / (web_processes * WORKER_MB)
    return int(max(1, min(max(2, cpus()), by_memory)))


def script_memory_mb() -> float:
    """Return half of what the server leaves: one script can't take all, and two large ones fit."""
    return max(64.0, (memory_mb() - SERVER_MB) / 2)


def table_memory_mb() -> float:
    """Return a quarter of what the server leaves: Arrow tables wait in it for their scripts, which
    take several times as much."""
    return max(64.0, (memory_mb() - SERVER_MB) / 4)


def waiting_mb(web_processes: int) -> float:
    """Return what requests that wait for a worker may take of each web process's memory: those of
    all together as much as one script."""
    return script_memory_mb() / web_processes


def _usable_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def groups() -> list[Path]:
    """Return our group in version 2's tree and those that it lies in, up to the root: the limits
    of all of them hold.

    It is the line of /proc/self/cgroup that begins with `0::`; without one, the root is all.
    """
    try:
        lines = OWN_GROUPS.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    path = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
    own = CGROUP / path
    return [own, *(group for group in own.parents if group.is_relative_to(CGROUP))]


def _cpu_share(group: Path) -> float | None:
    """Return how many processors a group may keep busy; None if it has no limit."""
    quota, _, period = _text(group / CPU_LIMIT).partition(" ")
    if not quota:
        quota, period = _text(group / CPU_QUOTA), _text(group / CPU_PERIOD)
    if not quota.isdecimal() or not period.isdecimal() or int(period) == 0:
        return None
    return int(quota) / int(period)


def number(file: Path) -> int:
    """Return the number in a file; 0 if there is none."""
    text = _text(file)
    return int(text) if text.isdecimal() else 0


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def processes_left() -> float:
    """Return how many processes and threads the container may still start; infinite where it has
    no limit. https://docs.kernel.org/admin-guide/cgroup-v2.html#pid"""
    left = float("inf")
    for group in (*groups(), CGROUP / "pids"):
        most = number(group / "pids.max")
        if most:
            left = min(left, most - number(group / "pids.current"))
    return left
