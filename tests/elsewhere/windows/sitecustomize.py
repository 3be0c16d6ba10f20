"""Imitates Windows on Linux: with this folder on PYTHONPATH, Python lacks what it lacks there.

What is imitated, in every process that has this: modules, signals, sockets and calls that aren't
there are taken away; `subprocess`, `msvcrt`, `socket.share`, the event loop and the removal of open
files behave as there; a virtual environment's interpreter is a launcher that starts another
process. Flags of os.open stay, since the standard library's own code for Linux needs them, and so
do the paths: `tests/elsewhere/test_paths.py` is about those. What else is missing is found by
`mypy --platform win32`.
"""

# mypy: disable-error-code="attr-defined,assignment,misc,method-assign,override,arg-type"

import asyncio
import contextlib
import ctypes
import faulthandler
import fcntl
import multiprocessing.connection
import os
import platform
import re
import runpy
import select
import selectors
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
import types
import uuid
from pathlib import Path
from typing import Any, NoReturn

# Imported before anything is taken away: they look for it once, and need it.
NEED_LINUX = (multiprocessing, platform.uname(), shutil, ssl, sysconfig.get_config_vars(), uuid)

LAUNCHED = "IMITATED_LAUNCHER"  # in the environment of an interpreter that a launcher has started
MODULES = "fcntl grp gunicorn pty pwd readline resource syslog termios tty"
OF_OS = (
    "WEXITSTATUS WIFEXITED WIFSIGNALED WNOHANG WTERMSIG chown confstr environb fchown fork"
    " forkpty getegid geteuid getgid getgroups getloadavg getpgid getpgrp getpriority getsid"
    " getuid killpg lchown lockf memfd_create mkfifo mknod nice openpty pidfd_open pipe2"
    " posix_fadvise posix_fallocate pread preadv pwrite pwritev"
    " register_at_fork sched_getaffinity sched_setaffinity sched_yield setegid seteuid setgid"
    " setpgid setpriority setsid setuid statvfs sysconf sysconf_names uname wait wait3 wait4"
    " waitid"
)
OF_SIGNAL = (
    "ITIMER_PROF ITIMER_REAL ITIMER_VIRTUAL SIG_BLOCK SIG_SETMASK SIG_UNBLOCK alarm getitimer"
    " pause pthread_kill pthread_sigmask setitimer siginterrupt sigpending sigtimedwait sigwait"
    " sigwaitinfo"
)
OF_SOCKET = (
    "AF_UNIX CMSG_LEN CMSG_SPACE MSG_DONTWAIT MSG_NOSIGNAL SCM_RIGHTS SOCK_SEQPACKET"
    " SO_PEERCRED SO_REUSEPORT recv_fds send_fds"
)
SIGNALS = {"SIGABRT": 6, "SIGFPE": 8, "SIGILL": 4, "SIGINT": 2, "SIGSEGV": 11, "SIGTERM": 15}
SIGBREAK = 21  # on Linux SIGTTIN, by which tests send it
MEMORY = 8 << 30  # bytes of the machine
MOST_SELECTED = 512  # sockets that select() takes


def take_away(owner: Any, names: str) -> None:
    for name in names.split():
        if hasattr(owner, name):
            delattr(owner, name)


def follow(folder: str) -> None:
    """Run the next `sitecustomize`, which this one is in the way of: tests/measured has one."""
    for entry in sys.path:
        other = Path(entry, "sitecustomize.py")
        if entry and other.is_file() and other.resolve().parent != Path(folder):
            runpy.run_path(str(other))
            return


def end_with_launcher() -> None:
    """Windows has both processes in a job, which ends with the launcher."""
    if os.environ.pop(LAUNCHED, None):
        ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG, SIGKILL


class WindowsPopen(subprocess.Popen[Any]):
    """Takes what Popen takes there."""

    def __init__(self, args: Any, *rest: Any, creationflags: int = 0, **options: Any) -> None:
        assert not rest
        if options.get("preexec_fn") or options.get("pass_fds"):
            raise ValueError("not supported on Windows platforms")
        options.pop("start_new_session", None)
        if creationflags & subprocess.CREATE_NEW_PROCESS_GROUP:
            options["process_group"] = 0
        if isinstance(args, list) and args[0] == sys.executable:
            options["env"] = {**(options.get("env") or os.environ), LAUNCHED: "1"}
            args = ["/bin/sh", "-c", '"$@"; exit $?', "launcher", *args]
        super().__init__(args, **options)

    def kill(self) -> None:
        self.send_signal(9)

    terminate = kill


class WindowsSelector(selectors.SelectSelector):
    def register(self, *arguments: Any) -> selectors.SelectorKey:
        if len(self.get_map()) >= MOST_SELECTED:
            raise ValueError("too many file descriptors in select()")
        return super().register(*arguments)


class ProactorLoop(asyncio.SelectorEventLoop):
    """The loop that is the default there, which watches no sockets for others."""

    def add_reader(self, *_: Any) -> NoReturn:
        raise NotImplementedError

    remove_reader = add_writer = remove_writer = add_reader


def not_there(*_: Any) -> NoReturn:
    raise NotImplementedError


set_handler, known = signal.signal, {*SIGNALS.values(), SIGBREAK}


def windows_signal(number: int, handler: Any) -> Any:
    if number not in known:
        raise ValueError("invalid signal value")
    return set_handler(number, handler)


UNIX, PEER, send_fds, recv_fds = (
    socket.AF_UNIX,
    socket.SO_PEERCRED,
    socket.send_fds,
    socket.recv_fds,
)


def share(self: socket.socket, pid: int) -> bytes:
    """Have the process of that pid, and no other, get this socket from `fromshare`."""
    own, folder = self.dup(), tempfile.mkdtemp(prefix="tabpy-share-")
    listener = socket.socket(UNIX)
    listener.bind(f"{folder}/socket")
    listener.listen()

    def hand_over() -> None:
        with own, listener:
            taker, _ = listener.accept()
            with taker:
                if int.from_bytes(taker.getsockopt(socket.SOL_SOCKET, PEER, 4), "little") == pid:
                    send_fds(taker, [b"s"], [own.fileno()])
        shutil.rmtree(folder)

    threading.Thread(target=hand_over, daemon=True).start()
    return folder.encode()


def pair_over_tcp(*_: Any) -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return socket.create_connection(listener.getsockname()), listener.accept()[0]


def fromshare(data: bytes) -> socket.socket:
    with socket.socket(UNIX) as giver:
        giver.connect(f"{data.decode()}/socket")
        _, descriptors, _, _ = recv_fds(giver, 1, 1)
    if not descriptors:
        raise OSError(22, "An invalid argument was supplied")
    return socket.socket(fileno=descriptors[0])


def lock_file(descriptor: int, _mode: int, _length: int) -> None:
    fcntl.flock(descriptor, fcntl.LOCK_EX)


def type_character() -> str:
    """Return what somebody types next, as the console says it: Enter is a carriage return."""
    return os.read(0, 1).decode().replace("\n", "\r")


def global_memory_status(reference: Any) -> int:
    status = reference._obj
    assert status.length == ctypes.sizeof(status) == 64  # MEMORYSTATUSEX, says sysinfoapi.h
    status.physical = MEMORY
    return 1


looking = threading.local()  # has an attribute while this module itself looks


def audit(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse what Windows refuses: no file is removed, renamed or replaced while anybody has it
    open; and there are no files in which a kernel tells of itself."""
    if event == "open" and str(arguments[0]).startswith(("/proc/", "/sys/")):
        if not hasattr(looking, "now"):
            raise FileNotFoundError(2, "No such file or directory", arguments[0])
    elif event in {"os.remove", "os.rename"}:
        in_use = set(open_files())
        for path in arguments[: 1 if event == "os.remove" else 2]:
            if not Path(path).is_symlink() and os.path.realpath(path) in in_use:
                raise PermissionError(13, "The file is being used by another process", path)


def open_files() -> Any:
    """The files that this process has open, and those around it."""
    looking.now = True
    waiting = [os.getppid()]
    for _ in range(2):  # from a worker over its launcher to the server
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{waiting[0]}/stat").read_text(encoding="latin-1")
            waiting = [int(status.rpartition(")")[2].split()[1])]
    while waiting:
        pid = waiting.pop()
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="latin-1")
            waiting += map(int, children.split())
            for each in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    yield str(each.readlink())
    del looking.now


follow(str(Path(__file__).resolve().parent))
end_with_launcher()
sys.addaudithook(audit)

subprocess.CREATE_NEW_PROCESS_GROUP = 0x200
subprocess.Popen = WindowsPopen

selectors.DefaultSelector = WindowsSelector
asyncio.SelectorEventLoop.add_signal_handler = not_there
asyncio.SelectorEventLoop.remove_signal_handler = not_there
asyncio.events.new_event_loop = asyncio.new_event_loop = ProactorLoop

ssl.enum_certificates = ssl.enum_crls = lambda _store: []
socket.socketpair = pair_over_tcp
socket.socket.share = share
socket.fromshare = fromshare
signal.signal = windows_signal

shutil._winapi = types.SimpleNamespace(NeedCurrentDirectoryForExePath=lambda _: True)
sys.modules["msvcrt"] = types.SimpleNamespace(
    LK_LOCK=1,
    locking=lock_file,
    getwch=type_character,
    putwch=lambda text: os.write(2, text.encode()),
)
ctypes.windll = types.SimpleNamespace(
    kernel32=types.SimpleNamespace(GlobalMemoryStatusEx=global_memory_status)
)

sys.modules.update(dict.fromkeys(MODULES.split()))
os.process_cpu_count = os.cpu_count  # which asks for the affinity
take_away(os, OF_OS)
take_away(signal, OF_SIGNAL)
take_away(signal, " ".join(each for each in vars(signal) if re.fullmatch("SIG[A-Z0-9]+", each)))
take_away(socket, OF_SOCKET)
take_away(select, "epoll poll")
take_away(time, "tzset")
take_away(faulthandler, "register unregister")
vars(signal).update(SIGNALS, SIGBREAK=SIGBREAK, CTRL_C_EVENT=0, CTRL_BREAK_EVENT=1)
sys.platform = "win32"
