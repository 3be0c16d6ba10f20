"""The template process and its likes: forking workers, and ending them.

A forker is the only parent of its workers, and so the one that may kill them: while a worker lives
it watches a duplicate of the worker's socket. When the web process lets go of its end, whether on
purpose or by dying, the worker's process group is killed. When the worker dies, the forker says so
on that socket and shuts it, whoever else may still hold it. It is single-threaded, which is what
makes its forks safe.
"""

import ctypes
import os
import select
import signal
import socket
from pathlib import Path

from tabpy.tabpy_server.workers import wire
from tabpy.tabpy_server.workers.fork_server.preloaded_models import EMPTY, Shelf
from tabpy.tabpy_server.workers.worker import main

PR_SET_PDEATHSIG = 1  # linux/prctl.h
LEAVE = signal.SIGUSR2
MESSAGE_LIMIT = 1 << 16  # bytes


class Forker:
    """Waits for requests to fork, for web processes to let go, and for workers to die."""

    def __init__(
        self,
        requests: socket.socket,
        memory_mb: float,
        shelf: Shelf = EMPTY,
        *,
        cold: bool = False,
        upward: int | None = None,
    ) -> None:
        """`memory_mb`: what each worker may take. `shelf`: models that its workers start with.
        `cold`: what to preload isn't there yet. `upward`: who forked this one reads there what is
        its own to do, a wish for another shelf."""
        self._requests = requests
        self._memory_mb = memory_mb
        self._shelf = shelf
        self._cold = cold
        self._upward = upward
        self._spared: set[int] = set()  # children that are no workers
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
            for fd, _ in self._poll.poll(self._patience()):
                if fd == self._requests.fileno():
                    if not self._serve():
                        return
                elif fd == self._wakeup[0]:
                    os.read(fd, 4096)
                elif fd in self._pids:
                    self._poll.modify(fd, 0)  # level-triggered: once is enough
                    kill_group(self._pids[fd])
                else:
                    self._other(fd)
            self._reap()

    def _patience(self) -> float | None:
        """Seconds until something has to be looked at, whatever happens."""
        return None

    def _other(self, fd: int) -> None:
        """Something to read that is neither a request nor a worker's."""

    def _leave(self, *_: object) -> None:
        if not self._leaving:
            self._leaving = True
            self._poll.unregister(self._requests)

    def _wish(self, message: bytes) -> None:
        """Another shelf is wanted: whoever forked this one makes it, and takes over."""
        if message != self._shelf.wish and self._upward is not None:
            os.write(self._upward, message)
            self._leave()

    def _serve(self) -> bool:
        try:
            message, fds, _, _ = socket.recv_fds(
                self._requests, MESSAGE_LIMIT, 1, socket.MSG_DONTWAIT
            )
        except BlockingIOError:
            return True  # the cold and the warm template were both woken; the other was faster
        if not message:
            return False
        if not fds:
            self._wish(message)
            return True
        worker_socket = socket.socket(fileno=fds[0])
        own_pid = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become_worker(worker_socket, own_pid)
        self._sockets[pid] = worker_socket
        self._pids[worker_socket.fileno()] = pid
        # No EPOLLIN: what arrives is the worker's to read.
        self._poll.register(worker_socket, select.EPOLLRDHUP | select.EPOLLHUP)
        return True

    def _become_worker(self, own: socket.socket, parent: int) -> None:
        status = 1
        try:
            os.setsid()
            self.become_child(parent)
            self._requests.close()
            main.serve(own, self._memory_mb, self._shelf.models, cold=self._cold)
            status = 0
        finally:
            os._exit(status)

    def become_child(self, parent: int) -> None:
        """In a process just forked: die with the parent, and let go of what is the parent's."""
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(LEAVE, signal.SIG_IGN)
        self._poll.close()
        for end in self._wakeup:
            os.close(end)
        if self._upward is not None:
            os.close(self._upward)
        for worker in self._sockets.values():
            worker.close()

    def _died(self, pid: int) -> None:
        """A child has died that is no worker."""

    def _reap(self) -> None:
        died = False
        while pid_and_status := wait_for_any_child():
            pid, status = pid_and_status
            died = True
            if pid not in self._sockets:
                self._died(pid)
                continue
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
        children = Path(f"/proc/self/task/{os.getpid()}/children")
        for pid in map(int, children.read_text().split() if children.exists() else ()):
            if pid not in self._sockets and pid not in self._spared:
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
