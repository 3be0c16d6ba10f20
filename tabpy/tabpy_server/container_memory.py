"""How short of memory the container is, where it has a limit.

Beyond what its processes map, a container pays for files in /dev/shm, memfds, buffers of sockets
and much of the kernel's own, so only the kernel knows. It also counts its cache of files, which it
gives up when somebody needs the memory: that isn't short.
"""

from dataclasses import dataclass
from pathlib import Path

from tabpy.tabpy_server import machine

SHORT = 0.9  # of the limit
PHYSICAL = 1 << 60  # bytes: more is version 1's word for no limit
# Version 2's names in memory.stat, and version 1's, where only those with `total_` are of all.
CACHE = (b"inactive_file", b"active_file", b"total_inactive_file", b"total_active_file")
SHARED = (b"shmem", b"total_shmem")


@dataclass(frozen=True)
class _Group:
    limit: int
    use: Path
    statistics: Path


class ContainerMemory:
    """The limits that this process is under, looked up once."""

    def __init__(self) -> None:
        found = [
            _Group(machine.number(group / limit), group / use, (group / use).parent / "memory.stat")
            for group in machine.groups()
            for limit, use in zip(machine.MEMORY_LIMITS, machine.MEMORY_USES, strict=True)
        ]
        self._groups = [group for group in found if 0 < group.limit < PHYSICAL]

    def is_short(self) -> bool:
        """Say whether more than SHORT of a limit is taken by what the kernel can't just forget."""
        return any(self._is_short(group) for group in self._groups)

    def shared(self) -> int:
        """Return the bytes of shared memory that there are, files in /dev/shm included: the
        container's, else all the machine's; without /proc more than there can be."""
        for group in self._groups:
            return _sum(group.statistics, SHARED)
        try:
            lines = machine.MEMORY.read_text().splitlines()
        except OSError:
            lines = []
        sizes = (int(line.split()[1]) << 10 for line in lines if line.startswith("Shmem:"))
        return next(sizes, PHYSICAL)

    @staticmethod
    def _is_short(group: _Group) -> bool:
        used = machine.number(group.use)
        if used <= SHORT * group.limit:  # the usual case, without reading the long file
            return False
        return used - _sum(group.statistics, CACHE) > SHORT * group.limit


def memory_in_use() -> int:
    """Return the bytes that the container takes, without the kernel's cache of files; 0 where that
    isn't known."""
    [own, *_] = machine.groups()
    statistics = own / "memory.stat"
    if not statistics.exists():  # version 1
        statistics = machine.CGROUP / "memory" / "memory.stat"
    return max(0, machine.memory_used() - _sum(statistics, CACHE))


def _sum(statistics: Path, names: tuple[bytes, ...]) -> int:
    """Return the sum of some lines; version 1 has those without `total_`, too, of the group alone:
    the largest of both counts."""
    try:
        lines = statistics.read_bytes().splitlines()
    except OSError:
        return 0
    found = {name: int(value) for name, _, value in (line.partition(b" ") for line in lines)}
    own = sum(found.get(name, 0) for name in names if not name.startswith(b"total_"))
    return max(own, sum(found.get(name, 0) for name in names if name.startswith(b"total_")))
