"""What a script asks of the kernel: descriptors, the network, rare calls, other processes."""

import os
import platform
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.attacks.attack import (
    ALWAYS,
    CONFINEMENT,
    NOTHING,
    WEB,
    WORKER,
    Attack,
    Facts,
    Scene,
    dies,
    logs,
    returns,
)
from tests.attacks.house import House
from tests.running import free_port

SETTINGS: Mapping[str, str] = {}

# Numbers of calls that no script needs: asm/unistd_64.h, asm-generic/unistd.h
CALLS: Mapping[str, Mapping[str, int]] = {
    "x86_64": {
        "add_key": 248,
        "keyctl": 250,
        "userfaultfd": 323,
        "kcmp": 312,
        "bpf": 321,
        "perf_event_open": 298,
        "io_uring_setup": 425,
        "mount": 165,
        "setns": 308,
        "open_by_handle_at": 304,
        "fsopen": 430,
        "landlock_create_ruleset": 444,
    },
    "aarch64": {
        "add_key": 217,
        "keyctl": 219,
        "userfaultfd": 282,
        "kcmp": 272,
        "bpf": 280,
        "perf_event_open": 241,
        "io_uring_setup": 425,
        "mount": 40,
        "setns": 268,
        "open_by_handle_at": 265,
        "fsopen": 430,
        "landlock_create_ruleset": 444,
    },
}
NUMBERS = CALLS.get(platform.machine(), {})
REACHES = f"""
numbers = {dict(NUMBERS)!r}
def is_refused(name, *arguments):
    "Whether a call ends with EPERM, EACCES or ENOSYS, whatever is wrong with its arguments."
    ctypes.set_errno(0)
    result = libc.syscall(numbers[name], *arguments)
    if result >= 0:
        return False
    return ctypes.get_errno() in (1, 13, 38)
"""


def call(number: str, name: str, arguments: str, stopped_by: str = CONFINEMENT) -> Attack:
    """A call that the kernel would do for any user."""
    return Attack(
        number,
        name,
        REACHES + f"return 'done' if not is_refused({name!r}, {arguments}) else 'refused'",
        returns("done"),
        stopped_by,
    )


def a_port(_: House) -> Facts:
    """One that nobody has."""
    return {"free": free_port()}


def is_welcomed(_: House, facts: Facts, over: threading.Event) -> bool:
    """Somebody connects to whoever listens there: whether he is answered."""
    while not over.wait(0.01):
        with (
            suppress(OSError),
            socket.create_connection(("127.0.0.1", facts["free"]), timeout=1) as connection,
        ):
            if connection.recv(10) == b"welcome":
                return True
    return False


def waits_at_an_abstract_socket(_: House, facts: Facts, over: threading.Event) -> None:
    welcome_all(f"\0tabpy-{facts['free']}", over)


def a_path(house: House) -> Facts:
    return {"path": str(house.place / "socket")}


def waits_at_a_path(_: House, facts: Facts, over: threading.Event) -> None:
    welcome_all(facts["path"], over)
    Path(facts["path"]).unlink()


def welcome_all(address: str, over: threading.Event) -> None:
    """Be something on this machine that asks for no password."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        if address.startswith("/"):
            Path(address).chmod(0o777)
        listener.listen()
        listener.settimeout(0.05)
        while not over.is_set():
            with suppress(TimeoutError):
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(b"welcome")


def limit_of(scene: Scene, name: str) -> str:
    """A web process's hard limit, as the kernel's file has it; asking for it needs a privilege."""
    lines = Path(f"/proc/{scene.facts['web'][0]}/limits").read_text().splitlines()
    return next(line for line in lines if line.startswith(name)).split()[-2]


def web(scene: Scene) -> psutil.Process:
    found: int = scene.facts["web"][0]
    return psutil.Process(found)


# unshare(CLONE_NEWUSER) by `int 0x80`, whose numbers are others: asm/unistd_32.h
IN_32_BITS = """
code = bytes.fromhex("53 b836010000 bb00000010 cd80 5b c3")
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(code)
address = ctypes.addressof(ctypes.c_char.from_buffer(page))
result = ctypes.CFUNCTYPE(ctypes.c_int)(address)()
return "done" if result == 0 else result
"""

ATTACKS = [
    Attack(
        "F1",
        "lines in the server's log, by the fork server's descriptor",
        """
for number in (1, 2):
    os.write(take_descriptor(facts["template"], number), b"FORGED by alice\\n")
""",
        logs("FORGED by alice"),
        ALWAYS,
    ),
    Attack(
        "F1",
        "lines in the server's log, by /proc",
        """
done = 0
for pid in (facts["template"], facts["arbiter"], *facts["web"], os.getppid()):
    for number in (1, 2):
        try:
            with open(f"/proc/{pid}/fd/{number}", "a") as log:
                log.write("FORGED in proc\\n")
        except OSError:
            pass
""",
        logs("FORGED in proc"),
        ALWAYS,
    ),
    Attack(
        "F2",
        "a service on this machine",
        "beacon()\nreturn 'connected'",
        returns("connected"),
        NOTHING,
    ),
    Attack(
        "F3",
        "listening",
        """
with socket.create_server(("127.0.0.1", facts["free"])) as listener:
    listener.settimeout(2)
    listener.accept()[0].sendall(b"welcome")
""",
        lambda scene: scene.meanwhile,
        prepare=a_port,
        meanwhile=is_welcomed,
    ),
    Attack(
        "F3",
        "listening without having said where",
        """
with socket.socket() as listener:
    listener.listen()
    return "listens" if listener.getsockname()[1] else "doesn't"
""",
        returns("listens"),
        NOTHING,
    ),
    Attack(
        "F3",
        "an abstract Unix socket of another process",
        """
with socket.socket(socket.AF_UNIX) as client:
    client.connect("\\0tabpy-" + str(facts["free"]))
    return client.recv(10).decode()
""",
        returns("welcome"),
        prepare=a_port,
        meanwhile=waits_at_an_abstract_socket,
    ),
    Attack(
        "F3",
        "a Unix socket by its path, of somebody who does what he is asked",
        """
with socket.socket(socket.AF_UNIX) as client:
    client.connect(facts["path"])
    return client.recv(10).decode()
""",
        returns("welcome"),
        NOTHING,
        prepare=a_path,
        meanwhile=waits_at_a_path,
    ),
    Attack(
        "F7",
        "a namespace of its own",
        "call('unshare', 0x10000000)\nreturn 'done'",  # CLONE_NEWUSER
        returns("done"),
        leaves=WORKER,
        needs_namespaces=True,
    ),
    Attack(
        "F7",
        "a namespace by clone3",
        """
arguments = struct.pack("11Q", 0x10000000, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0)
pid = libc.syscall(435, arguments, ctypes.c_size_t(len(arguments)))
if pid == 0:
    libc._exit(0)
if pid < 0:
    raise OSError(ctypes.get_errno(), "clone3")
os.waitpid(pid, 0)
return "done"
""",
        returns("done"),
        needs_namespaces=True,
    ),
    Attack(
        "F7",
        "a namespace, asked for in 32 bits",
        IN_32_BITS,
        returns("done"),
        leaves=WORKER,
        needs_namespaces=True,
    ),
    call("F8", "userfaultfd", "1"),
    call("F8", "keyctl", "0, -3, 0"),  # KEYCTL_GET_KEYRING_ID of the session
    call("F8", "add_key", "b'user', b'alice', b'x', ctypes.c_size_t(1), -2"),
    call("F8", "kcmp", "os.getpid(), os.getpid(), 1, 0, 0"),
    call("F8", "io_uring_setup", "1, ctypes.create_string_buffer(120)"),
    call("F8", "bpf", "0, None, 0"),
    call("F8", "mount", "b'none', b'/tmp', b'tmpfs', 0, None", ALWAYS),
    call("F8", "fsopen", "b'tmpfs', 0", ALWAYS),
    Attack(
        "F8",
        "reading another's memory map by process_madvise",
        """
pidfd = os.pidfd_open(facts["template"])
start = int(open(f"/proc/{facts['template']}/maps").readline().split("-")[0], 16)
call("syscall", 440, pidfd, struct.pack("QQ", start, 4096), 1, 20, 0)  # MADV_COLD
return "done"
""",
        returns("done"),
        ALWAYS,
    ),
    Attack(
        "F9",
        "prlimit of a web process",
        "import resource\nfor pid in facts['web']:\n"
        "    resource.prlimit(pid, resource.RLIMIT_CORE, (0, 7))",
        lambda scene: limit_of(scene, "Max core file size") == "7",
        leaves=WEB,
    ),
    Attack(
        "F9",
        "nice of a web process",
        "for pid in facts['web']:\n    os.setpriority(os.PRIO_PROCESS, pid, 19)",
        lambda scene: web(scene).nice() == 19,
        leaves=WEB,
    ),
    Attack(
        "F9",
        "nice of all processes of the user",
        "os.setpriority(os.PRIO_USER, 0, 19)",
        lambda scene: web(scene).nice() == 19,
        needs_user=True,
        leaves=WEB,
    ),
    Attack(
        "F9",
        "the processor of a web process",
        "for pid in facts['web']:\n    os.sched_setaffinity(pid, {0})",
        lambda scene: web(scene).cpu_affinity() == [0],
        leaves=WEB,
    ),
    Attack(
        "F9",
        "the scheduling class of a web process",
        "for pid in facts['web']:\n"
        "    os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))",
        lambda scene: os.sched_getscheduler(scene.facts["web"][0]) == os.SCHED_IDLE,
        leaves=WEB,
    ),
    Attack(
        "F9",
        "the input and output class of a web process",
        f"for pid in facts['web']:\n"
        f"    call('syscall', {251 if platform.machine() == 'x86_64' else 30}, 1, pid, 3 << 13)",
        lambda scene: int(web(scene).ionice().ioclass) == 3,
        leaves=WEB,
    ),
    Attack(
        "F9",
        "SIGKILL by way of a socket's owner",
        """
import fcntl
for pid in facts["web"]:
    ours, theirs = socket.socketpair()
    fcntl.fcntl(ours, 10, signal.SIGKILL)  # F_SETSIG
    fcntl.fcntl(ours, fcntl.F_SETOWN, pid)
    fcntl.fcntl(ours, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    theirs.send(b"x")
""",
        dies("web"),
    ),
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_the_kernel_does_nothing_for_it(attack: Attack, attempt: Callable[[Attack], None]) -> None:
    attempt(attack)
