"""seccomp: which system calls a process may make, and with which numbers as arguments.

It stops what Landlock doesn't know of. A process restricts itself and all that it starts, for
good. https://docs.kernel.org/userspace-api/seccomp_filter.html; the numbers are those of
linux/seccomp.h, linux/filter.h, linux/audit.h, linux/sched.h, linux/prctl.h and linux/fcntl.h.
"""

import ctypes
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from tabpy.tabpy_server.workers.worker.system_calls import number

PR_SET_SECCOMP, MODE_FILTER = 22, 2
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
REFUSE, UNKNOWN, PRETEND = ERRNO | 1, ERRNO | 38, ERRNO  # EPERM, ENOSYS, "done"

# Classic BPF: load a word of `struct seccomp_data`; compare it; return.
LOAD, EQUAL, ABOVE, ANY_BIT, RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
AT_NUMBER, AT_MACHINE, AT_ARGUMENTS = 0, 4, 16  # offsets; arguments have 8 bytes, low ones first
AUDIT_MACHINE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32 = 0x40000000  # the bit of x86-64's other calling convention, which has the same calls again

CLONE_NEW_ANY = 0x7E020000 | 0x00000080  # all namespaces, that of time included
AF_UNIX = 1
NEGATIVE = 0x80000000
PRIO_USER, IOPRIO_WHO_USER = 2, 3
PR_SET_CHILD_SUBREAPER = 36
F_SETOWN, F_SETOWN_EX, F_SETLEASE = 8, 15, 1024
IPPROTO_SMC, IPPROTO_MPTCP = 256, 262

REFUSED = (
    "ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "process_madvise",
    "process_mrelease", "migrate_pages", "move_pages", "add_key", "request_key", "keyctl", "bpf",
    "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register",
    "acct", "swapon", "swapoff", "reboot", "init_module", "finit_module", "delete_module",
    "kexec_load", "kexec_file_load", "iopl", "ioperm", "modify_ldt", "syslog", "vhangup",
    "quotactl", "quotactl_fd", "mount", "umount2", "pivot_root", "chroot", "open_tree",
    "move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "open_tree_attr",
    "unshare", "setns", "name_to_handle_at", "open_by_handle_at",
    # Memory and queues that outlive whoever made them:
    "shmget", "semget", "msgget", "mq_open",
)  # fmt: skip
# Landlock controls none of these, and copying a file or unpacking an archive does them all the
# time: they seem to work, and change nothing. Not so those that set a file's time: `Path.touch`
# takes their success for the proof that the file is there.
PRETENDED = (
    "chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "lchown", "fchown", "fchownat",
    "setxattr", "lsetxattr", "fsetxattr", "removexattr",
    "lremovexattr", "fremovexattr", "setxattrat", "removexattrat", "file_setattr",
)  # fmt: skip
# Which argument says whose limit or priority it is: 0 or the worker's own pid.
ABOUT_A_PROCESS = {
    "prlimit64": 0,
    "setpriority": 1,
    "ioprio_set": 1,
    "sched_setparam": 0,
    "sched_setscheduler": 0,
    "sched_setaffinity": 0,
    "sched_setattr": 0,
}
SIGNALLING = ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo")

ANYBODY = 0x7A5C3B1D  # in place of a pid: no process has such a large one, no call such a number


@dataclass(frozen=True)
class Leeway:
    """What the filter has to see to, and what it may leave.

    `own_pid`: of the process that is filtered, the leader of its group. `network`: whether it may
    open sockets other than Unix ones. `server`: pids that it must not signal, where Landlock
    doesn't see to that; None where it does. `truncate`: whether Landlock sees to truncate(2).
    """

    own_pid: int
    network: bool
    server: Sequence[int] | None
    truncate: bool


def install(machine: str, leeway: Leeway) -> None:
    """Filter this process's calls from now on. Raises OSError; `no_new_privs` has to be set."""
    code = program(machine, leeway)
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECCOMP, MODE_FILTER, header, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def program(machine: str, leeway: Leeway) -> bytes:
    """Return the filter for a machine of `AUDIT_MACHINE`, as the kernel reads it.

    All but `own_pid` is worked out once: a process that has called this forks others that needn't.
    """
    server = None if leeway.server is None else tuple(leeway.server)
    made = _for_anybody(machine, replace(leeway, own_pid=ANYBODY, server=server))
    for anybody, own in ((ANYBODY, leeway.own_pid), (-ANYBODY, -leeway.own_pid)):
        made = made.replace(_operand(anybody), _operand(own))
    return made


@lru_cache(maxsize=8)
def _for_anybody(machine: str, leeway: Leeway) -> bytes:
    instructions = [*_instructions(machine, leeway)]
    return b"".join(struct.pack("HBBI", *each) for each in instructions)


def _operand(pid: int) -> bytes:
    return struct.pack("I", pid & 0xFFFFFFFF)


Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand
Test = tuple[int, int, int]  # argument, comparison, operand


def _instructions(machine: str, leeway: Leeway) -> Iterator[Instruction]:
    # A program of another machine, such as a 32-bit one, has other numbers: it finds no calls.
    yield LOAD, 0, 0, AT_MACHINE
    yield EQUAL, 1, 0, AUDIT_MACHINE[machine]
    yield RETURN, 0, 0, UNKNOWN
    yield LOAD, 0, 0, AT_NUMBER
    if machine == "x86_64":
        yield ABOVE, 0, 1, X32 - 1
        yield RETURN, 0, 0, UNKNOWN
    for name, tests, answer in _rules(leeway):
        call = number(name, machine)
        if call is not None:
            yield from _rule(call, tests, answer)
    yield RETURN, 0, 0, ALLOW


def _rules(leeway: Leeway) -> Iterator[tuple[str, list[Test], int]]:
    """Yield call, tests of its arguments that must all hold, and answer; the first one counts."""
    for name in REFUSED:
        yield name, [], REFUSE
    for name in PRETENDED:
        yield name, [], PRETEND
    yield "clone3", [], UNKNOWN  # its flags can't be seen; C libraries then use `clone`
    yield "clone", [(0, ANY_BIT, CLONE_NEW_ANY)], REFUSE
    yield "prctl", [(0, EQUAL, PR_SET_CHILD_SUBREAPER)], REFUSE
    yield "fcntl", [(1, EQUAL, F_SETLEASE)], REFUSE  # it makes others wait who open the file
    for protocol in (IPPROTO_SMC, IPPROTO_MPTCP):  # TCP ports that Landlock doesn't know of
        yield "socket", [(2, EQUAL, protocol)], REFUSE
    yield "setpriority", [(0, EQUAL, PRIO_USER)], REFUSE
    yield "ioprio_set", [(0, EQUAL, IOPRIO_WHO_USER)], REFUSE
    for name, argument in ABOUT_A_PROCESS.items():
        yield name, [(argument, EQUAL, 0)], ALLOW
        yield name, [(argument, EQUAL, leeway.own_pid)], ALLOW
        yield name, [], REFUSE
    if not leeway.truncate:
        yield "truncate", [], REFUSE
    if not leeway.network:
        yield "socket", [(0, EQUAL, AF_UNIX)], ALLOW
        yield "socket", [], REFUSE
    if leeway.server is not None:
        yield from _signals(leeway.own_pid, leeway.server)


def _signals(own_pid: int, server: Sequence[int]) -> Iterator[tuple[str, list[Test], int]]:
    """Keep signals from processes of the server's, and from groups other than the worker's."""
    yield "pidfd_send_signal", [], REFUSE
    yield "fcntl", [(1, EQUAL, F_SETOWN)], REFUSE
    yield "fcntl", [(1, EQUAL, F_SETOWN_EX)], REFUSE
    for name in SIGNALLING:
        for pid in server:
            yield name, [(0, EQUAL, pid)], REFUSE
        yield name, [(0, EQUAL, -own_pid & 0xFFFFFFFF)], ALLOW
        yield name, [(0, ABOVE, NEGATIVE - 1)], REFUSE


def _rule(call: int, tests: Sequence[Test], answer: int) -> Iterator[Instruction]:
    """If it is this call and all tests hold, answer; else go on, with the call's number loaded."""
    if not tests:
        yield EQUAL, 0, 1, call
        yield RETURN, 0, 0, answer
        return
    yield EQUAL, 0, 2 * len(tests) + 2, call
    for position, (argument, comparison, operand) in enumerate(tests):
        left = 2 * (len(tests) - position) - 1  # instructions up to and with the answer
        yield LOAD, 0, 0, AT_ARGUMENTS + 8 * argument
        yield comparison, 0, left, operand
    yield RETURN, 0, 0, answer
    yield LOAD, 0, 0, AT_NUMBER
