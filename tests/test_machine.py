"""What a container's limits leave, by a folder that looks like the kernel's."""

import os
from pathlib import Path

import pytest

from tabpy.tabpy_server import machine
from tabpy.tabpy_server.container_memory import ContainerMemory

MIB = 1 << 20


class Group:
    """A control group in a fake /sys/fs/cgroup."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has(self, **files: str) -> "Group":
        """Write files; two underscores in a name stand for a dot, three for a slash."""
        for name, text in files.items():
            file = self.folder / name.replace("___", "/").replace("__", ".")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{text}\n")
        return self


@pytest.fixture
def own_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is /proc/self/cgroup: missing, until a test writes it."""
    file = tmp_path / "own"
    monkeypatch.setattr(machine, "OWN_GROUPS", file)
    return file


@pytest.fixture
def root(tmp_path: Path, own_groups: Path, monkeypatch: pytest.MonkeyPatch) -> Group:
    """The root of all groups, on a machine with 64 processors and 256 GiB."""
    monkeypatch.setattr(machine, "CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr(os, "sysconf_names", {"SC_PHYS_PAGES": 0})
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 64 * MIB, "SC_PAGE_SIZE": 4096}.get)
    return Group(tmp_path / "cgroup")


def below(root: Group, own_groups: Path, path: str) -> Group:
    """The group of this process, below the root, as under systemd."""
    own_groups.write_text(f"1:name=systemd:/other\n0::/{path}\n")
    return Group(root.folder / path)


# --- processors ---


@pytest.mark.usefixtures("root")
def test_without_a_limit_all_processors_count() -> None:
    assert machine.cpus() == 64


@pytest.mark.parametrize(
    ("limit", "processors"),
    [
        ("200000 100000", 2),  # docker run --cpus 2
        ("150000 100000", 2),
        ("10000 100000", 1),
        ("50000 20000", 3),
        ("9900000 100000", 64),  # more than there are
        ("max 100000", 64),
        ("200000", 64),  # cut off
        ("200000 0", 64),
        ("", 64),
        ("what else", 64),
    ],
)
def test_a_limit_of_version_2_counts(root: Group, limit: str, processors: int) -> None:
    root.has(cpu__max=limit)
    assert machine.cpus() == processors


@pytest.mark.parametrize(
    ("quota", "processors"), [("200000", 2), ("150000", 2), ("10000", 1), ("-1", 64), ("", 64)]
)
def test_a_limit_of_version_1_counts(root: Group, quota: str, processors: int) -> None:
    root.has(cpu___cpu__cfs_quota_us=quota, cpu___cpu__cfs_period_us="100000")
    assert machine.cpus() == processors


def test_the_smallest_limit_on_the_way_to_the_root_counts(root: Group, own_groups: Path) -> None:
    own = below(root, own_groups, "system.slice/tabpy.service").has(cpu__max="400000 100000")
    assert machine.cpus() == 4
    Group(own.folder.parent).has(cpu__max="300000 100000")
    assert machine.cpus() == 3
    root.has(cpu__max="200000 100000")
    assert machine.cpus() == 2


def test_the_groups_of_others_do_not_count(root: Group, own_groups: Path) -> None:
    below(root, own_groups, "ours")
    Group(root.folder / "theirs").has(cpu__max="100000 100000", memory__max=str(512 * MIB))
    assert machine.cpus() == 64
    assert machine.memory_mb() == 256 * 1024


# --- memory ---


@pytest.mark.usefixtures("root")
def test_without_a_limit_there_is_what_the_machine_has() -> None:
    assert machine.memory_mb() == 256 * 1024


@pytest.mark.parametrize("name", ["memory__max", "memory___memory__limit_in_bytes"])
@pytest.mark.parametrize(
    ("limit", "megabytes"),
    [
        (str(512 * MIB), 512),
        ("max", 256 * 1024),
        ("9223372036854771712", 256 * 1024),  # version 1's word for no limit
        ("0", 256 * 1024),
    ],
)
def test_a_limit_of_either_version_counts(
    root: Group, name: str, limit: str, megabytes: int
) -> None:
    root.has(**{name: limit})
    assert machine.memory_mb() == megabytes


def test_our_own_groups_memory_counts(root: Group, own_groups: Path) -> None:
    root.has(memory__max=str(2048 * MIB))
    below(root, own_groups, "tabpy.service").has(memory__max=str(512 * MIB))
    assert machine.memory_mb() == 512


@pytest.mark.parametrize("name", ["memory__current", "memory___memory__usage_in_bytes"])
def test_what_the_container_takes_is_read_from_either_version(root: Group, name: str) -> None:
    assert machine.memory_used() == 0
    root.has(**{name: "123456"})
    assert machine.memory_used() == 123456


def test_our_own_groups_use_counts_and_not_all_of_the_machines(
    root: Group, own_groups: Path
) -> None:
    root.has(memory__current="999999")
    below(root, own_groups, "tabpy.service").has(memory__current="123456")
    assert machine.memory_used() == 123456


# --- what follows ---


@pytest.mark.parametrize(
    ("megabytes", "processors", "web_processes", "workers"),
    [
        (512, 2, 2, 2),  # a small dyno
        (512, 64, 2, 2),
        (4096, 1, 2, 2),  # one that hangs isn't all
        (4096, 8, 2, 8),
        (4096, 64, 2, 22),  # as many as the memory has room for
        (4096, 64, 4, 11),
        (128, 8, 2, 1),  # less than the server itself needs
    ],
)
def test_workers_are_as_many_as_processors_and_memory_allow(
    root: Group, megabytes: int, processors: int, web_processes: int, workers: int
) -> None:
    root.has(memory__max=str(megabytes * MIB), cpu__max=f"{processors}00000 100000")
    assert machine.script_workers(web_processes) == workers


@pytest.mark.parametrize(("megabytes", "each"), [(512, 176), (1024, 432), (4096, 1968), (128, 64)])
def test_a_script_may_take_half_of_what_the_server_leaves(
    root: Group, megabytes: int, each: int
) -> None:
    root.has(memory__max=str(megabytes * MIB))
    assert machine.script_memory_mb() == each


@pytest.mark.parametrize(("megabytes", "each"), [(512, 88), (4096, 984), (128, 32)])
def test_what_waits_may_take_as_much_together(root: Group, megabytes: int, each: int) -> None:
    root.has(memory__max=str(megabytes * MIB))
    assert machine.waiting_mb(web_processes=2) == each


# --- short of memory ---

STAT_2 = "anon 1\nshmem {shared}\ninactive_file {idle}\nactive_file {active}"
STAT_1 = (
    "cache 9\nshmem 1\ninactive_file 1\nactive_file 1\n"
    "total_shmem {shared}\ntotal_inactive_file {idle}\ntotal_active_file {active}"
)


def with_version(root: Group, version: int, used: int, *, shared: int, cache: int) -> None:
    """A container of 512 MiB; the sizes are in MiB."""
    numbers = {"shared": shared * MIB, "idle": cache * MIB // 2, "active": cache * MIB // 2}
    if version == 2:
        root.has(memory__max=str(512 * MIB), memory__current=str(used * MIB))
        root.has(memory__stat=STAT_2.format(**numbers))
    else:
        root.has(
            memory___memory__limit_in_bytes=str(512 * MIB),
            memory___memory__usage_in_bytes=str(used * MIB),
        )
        root.has(memory___memory__stat=STAT_1.format(**numbers))


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("used", "cache", "short"),
    [
        (460, 0, False),
        (462, 0, True),
        (512, 0, True),
        (512, 50, True),
        (512, 60, False),  # the kernel gives files up when somebody needs the memory
        (512, 500, False),
    ],
)
def test_a_container_is_short_when_nine_tenths_are_taken(
    root: Group, version: int, used: int, cache: int, short: bool
) -> None:
    with_version(root, version, used, shared=0, cache=cache)
    assert ContainerMemory().is_short() is short


def test_a_machine_without_a_limit_is_never_short(root: Group) -> None:
    root.has(memory__max="max", memory__current=str(256 << 30))
    root.has(memory___memory__limit_in_bytes="9223372036854771712")
    assert not ContainerMemory().is_short()


def test_the_groups_around_ours_can_be_short_too(root: Group, own_groups: Path) -> None:
    own = below(root, own_groups, "pod/container")
    own.has(memory__max=str(512 * MIB), memory__current="0")
    Group(own.folder.parent).has(memory__max=str(100 * MIB), memory__current=str(99 * MIB))
    assert ContainerMemory().is_short()


@pytest.mark.parametrize("version", [1, 2])
def test_a_container_tells_what_is_shared(root: Group, version: int) -> None:
    with_version(root, version, 100, shared=30, cache=0)
    assert ContainerMemory().shared() == 30 * MIB


def test_else_the_machine_does(
    root: Group, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "MEMORY", tmp_path / "meminfo")
    assert ContainerMemory().shared() > 1 << 50, "as nothing is known"
    machine.MEMORY.write_text("MemTotal: 9 kB\nShmem:      2048 kB\nShmemHugePages: 5 kB\n")
    assert ContainerMemory().shared() == 2 * MIB
    root.has(memory__max="max")
    assert ContainerMemory().shared() == 2 * MIB
