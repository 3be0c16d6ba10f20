"""The template process: imports the heavy libraries once, then forks script workers in ~20 ms.

It is a fresh interpreter with a clean environment, so nothing of the server's memory (settings,
credentials, other people's requests) is within a script's reach. It is single-threaded, which is
what makes its forks safe, and serves every web process of the machine: each asks through one
shared socket, passing along the worker's end of a private socket pair.

It is also the only parent of the workers, and so the one that may kill them: while a worker lives
the template watches a duplicate of the worker's socket. When the web process lets go of its end,
whether on purpose or by dying, the worker's process group is killed. When the worker dies, the
template says so on that socket and shuts it, whoever else may still hold it.

Importing pandas takes longer than all the rest of the start. Meanwhile a copy of the template as
it was before serves the first requests; its workers say that they are cold, and the web processes
replace them as soon as they can.
"""

import ctypes
import gc
import importlib
import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from tabpy.tabpy_server.workers import child, wire

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PR_SET_CHILD_SUBREAPER = 36
PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38
LEAVE = signal.SIGUSR2
READY = b"ready"
CHILDREN = Path(f"/proc/self/task/{os.getpid()}/children")


class Template:
    """Waits for requests to fork, for web processes to let go, and for workers to die."""

    def __init__(
        self,
        requests: socket.socket,
        memory_mb: float,
        *,
        cold: bool,
        stand_in_pid: int | None = None,
    ) -> None:
        self._requests = requests
        self._memory_mb = memory_mb
        self._spared = stand_in_pid
        self._cold = cold
        self._leaving = False
        self._sockets: dict[int, socket.socket] = {}  # worker's pid: our duplicate of its socket
        self._pids: dict[int, int] = {}  # that duplicate's file descriptor: the worker's pid
        self._poll = select.epoll()
        self._poll.register(requests, select.EPOLLIN)
        wakeup_read, wakeup_write = os.pipe()
        os.set_blocking(wakeup_read, False)
        os.set_blocking(wakeup_write, False)
        signal.set_wakeup_fd(wakeup_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(LEAVE, self._leave)
        self._wakeup = (wakeup_read, wakeup_write)
        self._poll.register(wakeup_read, select.EPOLLIN)

    def run(self) -> None:
        """Serve until no process is left that could ask, or until told to leave and the last
        worker has gone."""
        while self._sockets or not self._leaving:
            for fd, _ in self._poll.poll():
                if fd == self._requests.fileno():
                    if not self._serve():
                        return
                elif fd == self._wakeup[0]:
                    os.read(fd, 4096)
                elif fd in self._pids:
                    self._poll.modify(fd, 0)  # level-triggered: once is enough
                    kill_group(self._pids[fd])
            self._reap()

    def _leave(self, *_: object) -> None:
        if not self._leaving:
            self._leaving = True
            self._poll.unregister(self._requests)

    def _serve(self) -> bool:
        try:
            message, fds, _, _ = socket.recv_fds(self._requests, 64, 1, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True  # the cold and the warm template were both woken; the other was faster
        if not message:
            return False
        worker_socket = socket.socket(fileno=fds[0])
        pid = os.fork()
        if pid == 0:
            self._become_worker(worker_socket)
        self._sockets[pid] = worker_socket
        self._pids[worker_socket.fileno()] = pid
        # No EPOLLIN: what arrives is the worker's to read.
        self._poll.register(worker_socket, select.EPOLLRDHUP | select.EPOLLHUP)
        return True

    def _become_worker(self, own: socket.socket) -> None:
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(LEAVE, signal.SIG_IGN)
            os.setsid()
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() == 1:  # the template died before the line above
                os._exit(1)
            self._poll.close()
            for end in self._wakeup:
                os.close(end)
            self._requests.close()
            for sibling in self._sockets.values():
                sibling.close()
            child.serve(own, self._memory_mb, cold=self._cold)
            status = 0
        finally:
            os._exit(status)

    def _reap(self) -> None:
        died = False
        while pid_and_status := wait_for_any_child():
            pid, status = pid_and_status
            died = True
            if pid not in self._sockets:
                continue  # a stray, killed below at the last worker's death
            kill_group(pid)  # what the script started and left behind
            worker_socket = self._sockets.pop(pid)
            del self._pids[worker_socket.fileno()]
            self._poll.unregister(worker_socket)  # closing isn't enough: others may hold it open
            try:
                meta = {"reason": reason_of_death(status)}
                worker_socket.send(wire.head(wire.DEATH, meta, 0), socket.MSG_DONTWAIT)
                worker_socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the web process is gone, or the worker died in the middle of a full socket
            finally:
                worker_socket.close()
        if died:
            self._kill_strays()

    def _kill_strays(self) -> None:
        """What a script started in a session of its own became our child when its parent died."""
        for pid in map(int, CHILDREN.read_text().split() if CHILDREN.exists() else ()):
            if pid not in self._sockets and pid != self._spared:
                kill_group(pid)


def kill_group(pid: int) -> None:
    """SIGKILL to a worker and all it started; the pid is ours until `waitpid` has returned it."""
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def wait_for_any_child() -> tuple[int, int] | None:
    """Pid and status of a child that has died; None when there is none (yet)."""
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, status) if pid else None


def reason_of_death(status: int) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            return f"was killed by signal {number} ({signal.Signals(number).name})"
        except ValueError:
            return f"was killed by signal {number}"
    return f"ended with exit code {os.WEXITSTATUS(status)}"


def prctl(option: int, argument: int) -> None:
    """prctl(2); quietly nothing where the kernel doesn't know the option."""
    ctypes.CDLL(None, use_errno=True).prctl(option, argument, 0, 0, 0)


def preload(modules: Sequence[str]) -> None:
    """Import `modules`; for each that can't be imported a log line says why."""
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as problem:  # noqa: BLE001 - a foreign module's import can raise anything
            reason = f"{type(problem).__name__}: {problem}".replace('"', "'")
            line = f'level=warning msg="TABPY_PRELOAD: {module} is not there: {reason}"\n'
            sys.stdout.write(line)
            sys.stdout.flush()


def stand_in(requests: socket.socket, memory_mb: float) -> int:
    """Fork a template that serves while this one is busy importing; its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            Template(requests, memory_mb, cold=True).run()
        finally:
            os._exit(0)
    return pid


def main() -> None:
    """Started with the requests socket, the ready pipe, a worker's memory and the modules to import
    as arguments."""
    requests_fd, ready_fd, memory_mb, *modules = sys.argv[1:]
    for ignored in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, LEAVE):
        # The web process is the one to drain; the template leaves when nobody is left to ask it.
        signal.signal(ignored, signal.SIG_IGN)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    requests = socket.socket(fileno=int(requests_fd))
    stand_in_pid = stand_in(requests, float(memory_mb)) if modules else None
    os.write(int(ready_fd), READY)
    os.close(int(ready_fd))
    preload(modules)
    gc.collect()
    gc.freeze()  # keeps the collector from touching, and so copying, pages shared with the workers
    template = Template(requests, float(memory_mb), cold=False, stand_in_pid=stand_in_pid)
    if stand_in_pid is not None:
        os.kill(stand_in_pid, LEAVE)
    template.run()


if __name__ == "__main__":
    main()
