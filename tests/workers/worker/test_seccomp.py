"""What the filter of system calls answers, found out by running it as the kernel would."""

import functools
import struct
from collections.abc import Mapping

import pytest

from tabpy.tabpy_server.workers.worker import seccomp
from tabpy.tabpy_server.workers.worker.seccomp import (
    ALLOW,
    AUDIT_MACHINE,
    PRETEND,
    PRETENDED,
    REFUSE,
    REFUSED,
    UNKNOWN,
    Leeway,
)
from tabpy.tabpy_server.workers.worker.system_calls import number

MACHINES = tuple(AUDIT_MACHINE)
OWN, OTHER, SERVER = 4321, 99, (1000, 1001)
FREE = Leeway(own_pid=OWN, network=True, server=None, truncate=True)
STRICT = Leeway(own_pid=OWN, network=False, server=SERVER, truncate=False)

# Calls that any script makes and the filter doesn't name: x86-64, aarch64.
ORDINARY = {
    "read": (0, 63),
    "write": (1, 64),
    "openat": (257, 56),
    "mmap": (9, 222),
    "futex": (202, 98),
    "execve": (59, 221),
    "exit_group": (231, 94),
    "connect": (42, 203),
    "wait4": (61, 260),
    "utimensat": (280, 88),
    "ftruncate": (77, 46),
    "getpid": (39, 172),
}
# linux/sched.h
CLONE_NEWUSER, CLONE_NEWTIME, CLONE_THREAD = 0x10000000, 0x80, 0x3D0F00
FORK = 0x01200011  # what fork(3) of the GNU C library passes
# linux/prctl.h
PR_SET_NAME, PR_SET_NO_NEW_PRIVS, PR_SET_CHILD_SUBREAPER = 15, 38, 36
# sys/socket.h and netinet/in.h
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_VSOCK = 1, 2, 10, 16, 40
STREAM, TCP, SMC, MPTCP = 1, 6, 256, 262
# linux/fcntl.h
F_DUPFD, F_SETFL, F_SETLK, F_SETOWN, F_SETOWN_EX, F_SETLEASE = 0, 4, 6, 8, 15, 1024
PRIO_PROCESS, PRIO_USER = 0, 2
IOPRIO_WHO_PROCESS, IOPRIO_WHO_USER = 1, 3
SIGNALLING = ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo")


@functools.cache
def instructions_of(machine: str, leeway: Leeway) -> list[tuple[int, ...]]:
    return list(struct.iter_unpack("HBBI", seccomp.program(machine, leeway)))


def run(instructions: list[tuple[int, ...]], data: bytes) -> int:
    """Run classic BPF over a `struct seccomp_data`; fail if it leaves the program."""
    position = accumulator = 0
    while True:
        code, if_true, if_false, operand = instructions[position]
        position += 1
        if code == 0x06:
            return operand
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, operand)
            continue
        if code == 0x15:
            holds = accumulator == operand
        elif code == 0x25:
            holds = accumulator > operand
        else:
            assert code == 0x45
            holds = accumulator & operand != 0
        position += if_true if holds else if_false


def answer(machine: str, call: int, *arguments: int, leeway: Leeway = FREE, at: str = "") -> int:
    """Return what the filter of `machine` says to a call that a program of `at` makes."""
    padded = [each & (1 << 64) - 1 for each in (*arguments, *[0] * 6)[:6]]
    data = struct.pack("=IIQ6Q", call, AUDIT_MACHINE[at or machine], 0, *padded)
    return run(instructions_of(machine, leeway), data)


def by_name(machine: str, name: str, *arguments: int, leeway: Leeway = FREE) -> int:
    call = number(name, machine)
    assert call is not None
    return answer(machine, call, *arguments, leeway=leeway)


def there(machine: str, names: tuple[str, ...]) -> Mapping[str, int]:
    found = {name: number(name, machine) for name in names}
    return {name: call for name, call in found.items() if call is not None}


machines = pytest.mark.parametrize("machine", MACHINES)
leeways = pytest.mark.parametrize("leeway", [FREE, STRICT], ids=["free", "strict"])

# --- the whole ---


@machines
@leeways
def test_every_path_goes_forward_and_ends_with_an_answer(machine: str, leeway: Leeway) -> None:
    instructions = instructions_of(machine, leeway)
    assert len(instructions) <= 4096  # BPF_MAXINSNS: the kernel takes no more
    assert instructions[-1][0] == seccomp.RETURN
    for position, (code, if_true, if_false, operand) in enumerate(instructions):
        if code == seccomp.RETURN:
            assert operand in {ALLOW, REFUSE, UNKNOWN, PRETEND}
        elif code == seccomp.LOAD:
            assert operand in range(0, 64, 4)  # a word of `struct seccomp_data`
            assert position + 1 < len(instructions)
        else:
            assert code in {seccomp.EQUAL, seccomp.ABOVE, seccomp.ANY_BIT}
            assert position + 1 + max(if_true, if_false) < len(instructions)


@machines
@leeways
def test_each_rule_is_met_with_the_number_of_the_call_loaded(machine: str, leeway: Leeway) -> None:
    """Whatever its arguments are, a call is never taken for another one."""
    numbers = {number(name, machine) for name, _, _ in seccomp._rules(leeway)}
    for filler in (0, OWN, 0xFFFFFFFF):
        for call in range(480):
            if call not in numbers:
                assert answer(machine, call, *[filler] * 6, leeway=leeway) == ALLOW


@machines
@leeways
def test_ordinary_calls_are_allowed(machine: str, leeway: Leeway) -> None:
    for numbers in ORDINARY.values():
        assert answer(machine, numbers[MACHINES.index(machine)], leeway=leeway) == ALLOW


@machines
@leeways
def test_what_is_refused_and_what_only_seems_to_work(machine: str, leeway: Leeway) -> None:
    for name, call in there(machine, REFUSED).items():
        assert answer(machine, call, leeway=leeway) == REFUSE, name
    for name, call in there(machine, PRETENDED).items():
        assert answer(machine, call, leeway=leeway) == PRETEND, name


def test_the_calls_that_reach_into_other_processes_are_among_them() -> None:
    assert {"ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd"} <= set(REFUSED)
    assert {"bpf", "io_uring_setup", "unshare", "setns", "mount", "userfaultfd"} <= set(REFUSED)


@pytest.mark.parametrize(("machine", "at"), [MACHINES, MACHINES[::-1]])
def test_a_program_of_another_machine_finds_no_calls(machine: str, at: str) -> None:
    assert all(answer(machine, call, at=at) == UNKNOWN for call in range(500))


def test_x32_has_no_calls() -> None:
    for call in (0, 101, 520, 0x3FFFFFFF):
        assert answer("x86_64", 0x40000000 | call) == UNKNOWN
    assert answer("x86_64", 0xFFFFFFFF) == UNKNOWN


# --- processes ---


@machines
def test_threads_and_processes_start_without_namespaces(machine: str) -> None:
    for flags in (CLONE_THREAD, FORK):
        assert by_name(machine, "clone", flags) == ALLOW
    for namespace in (CLONE_NEWUSER, CLONE_NEWTIME, 0x20000, 0x02000000, 0x40000000):
        assert by_name(machine, "clone", namespace | FORK) == REFUSE
    assert by_name(machine, "clone3") == UNKNOWN  # so that C libraries use `clone`


@machines
def test_nobody_takes_over_orphans(machine: str) -> None:
    assert by_name(machine, "prctl", PR_SET_CHILD_SUBREAPER, 1) == REFUSE
    assert by_name(machine, "prctl", PR_SET_CHILD_SUBREAPER | 1 << 32, 1) == REFUSE
    for option in (PR_SET_NAME, PR_SET_NO_NEW_PRIVS):
        assert by_name(machine, "prctl", option, 1) == ALLOW


@machines
@pytest.mark.parametrize(
    ("name", "before"),
    [
        ("prlimit64", ()),
        ("sched_setparam", ()),
        ("sched_setscheduler", ()),
        ("sched_setaffinity", ()),
        ("sched_setattr", ()),
        ("setpriority", (PRIO_PROCESS,)),
        ("ioprio_set", (IOPRIO_WHO_PROCESS,)),
    ],
)
def test_limits_and_priorities_are_ones_own(
    machine: str, name: str, before: tuple[int, ...]
) -> None:
    assert by_name(machine, name, *before, 0) == ALLOW
    assert by_name(machine, name, *before, OWN) == ALLOW
    for pid in (OTHER, -1, 1):
        assert by_name(machine, name, *before, pid) == REFUSE


@machines
def test_no_priority_is_that_of_a_whole_user(machine: str) -> None:
    for who in (0, OWN):
        assert by_name(machine, "setpriority", PRIO_USER, who) == REFUSE
        assert by_name(machine, "ioprio_set", IOPRIO_WHO_USER, who) == REFUSE


# --- files and sockets ---


@machines
def test_sockets_where_the_network_is_on(machine: str) -> None:
    for family in (AF_UNIX, AF_INET, AF_INET6, AF_NETLINK):
        assert by_name(machine, "socket", family, STREAM, 0) == ALLOW
    assert by_name(machine, "socket", AF_INET, STREAM, TCP) == ALLOW


@machines
def test_only_unix_sockets_where_it_is_off(machine: str) -> None:
    assert by_name(machine, "socket", AF_UNIX, STREAM, 0, leeway=STRICT) == ALLOW
    for family in (0, AF_INET, AF_INET6, AF_NETLINK, AF_VSOCK):
        assert by_name(machine, "socket", family, STREAM, 0, leeway=STRICT) == REFUSE


@machines
@leeways
@pytest.mark.parametrize("protocol", [SMC, MPTCP])
def test_no_tcp_that_landlock_does_not_know_of(machine: str, leeway: Leeway, protocol: int) -> None:
    for family in (AF_INET, AF_INET6):
        assert by_name(machine, "socket", family, STREAM, protocol, leeway=leeway) == REFUSE


@machines
@leeways
def test_no_leases_which_make_others_wait(machine: str, leeway: Leeway) -> None:
    assert by_name(machine, "fcntl", 3, F_SETLEASE, 1, leeway=leeway) == REFUSE
    for command in (F_DUPFD, F_SETFL, F_SETLK):
        assert by_name(machine, "fcntl", 3, command, 1, leeway=leeway) == ALLOW
        assert by_name(machine, "fcntl", F_SETLEASE, command, leeway=leeway) == ALLOW


@machines
def test_truncate_is_left_to_landlock_where_it_sees_to_it(machine: str) -> None:
    assert by_name(machine, "truncate") == ALLOW
    assert by_name(machine, "truncate", leeway=STRICT) == REFUSE


# --- signals ---


@machines
@pytest.mark.parametrize("name", SIGNALLING)
def test_no_signal_reaches_the_server_or_another_group(machine: str, name: str) -> None:
    for pid in (*SERVER, -1, -OTHER, *(-each for each in SERVER)):
        assert by_name(machine, name, pid, 9, leeway=STRICT) == REFUSE
    for pid in (0, OWN, OTHER, -OWN):
        assert by_name(machine, name, pid, 9, leeway=STRICT) == ALLOW


@machines
def test_no_signal_reaches_it_by_a_detour(machine: str) -> None:
    assert by_name(machine, "pidfd_send_signal", 5, 9, leeway=STRICT) == REFUSE
    for command in (F_SETOWN, F_SETOWN_EX):
        assert by_name(machine, "fcntl", 3, command, SERVER[0], leeway=STRICT) == REFUSE


@machines
def test_signals_are_left_to_landlock_where_it_sees_to_them(machine: str) -> None:
    for name in (*SIGNALLING, "pidfd_send_signal"):
        for pid in (*SERVER, -1, -OTHER):
            assert by_name(machine, name, pid, 9) == ALLOW
    for command in (F_SETOWN, F_SETOWN_EX):
        assert by_name(machine, "fcntl", 3, command, SERVER[0]) == ALLOW
