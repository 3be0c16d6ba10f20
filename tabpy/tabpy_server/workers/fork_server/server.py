"""The fork server: forks script workers, and ends them.

It is the only parent of its workers, and so the one that may kill them: while a worker lives it
watches a duplicate of the worker's socket. When the web process lets go of its end, whether on
purpose or by dying, the worker's process group is killed. When the worker dies, the fork server
says so on that socket and shuts it, whoever else may still hold it. It is single-threaded, which
is what makes its forks safe.
"""

import os
import select
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tabpy.tabpy_server.workers.fork_server.confining import Confining
from tabpy.tabpy_server.workers.fork_server.linux import (
    PR_SET_CHILD_SUBREAPER,
    be_killed_first,
    children_of,
    die_with_parent,
    kill_group,
    prctl,
    reason_of_death,
    wait_for_any_child,
)
from tabpy.tabpy_server.workers.fork_server.report import report
from tabpy.tabpy_server.workers.fork_server.script_folders import ScriptFolders, remove
from tabpy.tabpy_server.workers.protocol import FORK, LEAVE, REQUEST_LIMIT, Death, encode
from tabpy.tabpy_server.workers.worker import landlock
from tabpy.tabpy_server.workers.worker import main as worker
from tabpy.tabpy_server.workers.worker.models import Key, Model

LOOK_SECONDS = 5.0  # between looks for files that are new where scripts may read
STRAYS_SECONDS = 1.0  # between looks for what scripts have started and left


@dataclass(frozen=True)
class Common:
    """What all fork servers of a machine have in common.

    `memory_mb` is what each worker may take in addition to what it starts with; `confining` says
    what it may touch; `server` has the pids of arbiter and fork server.
    """

    memory_mb: float
    confining: Confining
    server: tuple[int, ...]


@dataclass(frozen=True)
class Origin:
    """What the workers of one fork server start with: `models` by name and SHA-256."""

    name: str
    models: Mapping[Key, Model] = field(default_factory=dict)


class ForkServer:
    """Waits for requests to fork, for web processes to let go, and for workers to die."""

    def __init__(self, common: Common, origin: Origin, requests: socket.socket) -> None:
        """`requests`: the socket through which it is asked; it doesn't block."""
        self._common = common
        self._requests = requests
        self._origin = origin
        self._folders = ScriptFolders(common.confining.folder, origin.name)
        common.confining.work_out(common.server)
        self._allowed = common.confining.open_all()
        self._looked = time.monotonic()  # for what workers may touch
        self._removers: set[int] = set()  # children that remove folders
        self._leaving = False
        self._sockets: dict[int, socket.socket] = {}  # worker's pid: our duplicate of its socket
        self._pids: dict[int, int] = {}  # that duplicate's file descriptor: the worker's pid
        self._poll = select.epoll()
        self._poll.register(self._requests, select.EPOLLIN)
        wakeup_read, wakeup_write = os.pipe()
        os.set_blocking(wakeup_read, False)
        os.set_blocking(wakeup_write, False)
        signal.set_wakeup_fd(wakeup_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(LEAVE, self._leave)
        self._wakeup = (wakeup_read, wakeup_write)
        self._poll.register(wakeup_read, select.EPOLLIN)

    def run(self) -> None:
        """Serve until nobody is left who could ask, or until told to leave; and until the last
        worker has gone."""
        self._serve()
        self._folders.remove_all()

    def _serve(self) -> None:
        while self._sockets or not self._leaving:
            for fd, _ in self._poll.poll(self._patience()):
                if fd == self._requests.fileno():
                    self._take_request()
                elif fd == self._wakeup[0]:
                    os.read(fd, 4096)
                elif fd in self._pids:
                    self._poll.modify(fd, 0)  # level-triggered: once is enough
                    kill_group(self._pids[fd])
                else:
                    self._read_other(fd)
            self._reap()
            self._kill_strays()
            self._look_again()

    def _look_again(self) -> None:
        """Look for what workers may touch, now and then: not when somebody waits for one."""
        if time.monotonic() - self._looked > LOOK_SECONDS:
            landlock.close_all(self._allowed)
            self._allowed = self._common.confining.open_all()
            self._looked = time.monotonic()

    def _patience(self) -> float | None:
        """Return the seconds until something has to be looked at, whatever happens."""
        return STRAYS_SECONDS if self._sockets else None

    def _read_other(self, fd: int) -> None:
        """See to what is neither a request nor a worker's."""

    def _non_workers(self) -> set[int]:
        """Return the pids of children that aren't workers, and are to live."""
        return self._removers

    def _child_died(self, pid: int, status: int) -> None:
        """Take note of a dead child that wasn't a worker."""
        self._removers.discard(pid)

    def _leave(self, *_: object) -> None:
        if not self._leaving:
            self._leaving = True
            self._poll.unregister(self._requests)

    def _take_request(self) -> None:
        try:
            # The socket itself does not block: recv_fds ignores its flags (Python 3.13).
            message, fds, _, _ = socket.recv_fds(self._requests, REQUEST_LIMIT, 1)
        except BlockingIOError:
            return  # another fork server was woken too, and was faster
        if not message:
            self._leave()
        elif fds:
            key = message.removeprefix(FORK).decode()
            self._start_worker(socket.socket(fileno=fds[0]), key)
        else:
            self._take_shelf_request(message)

    def _take_shelf_request(self, request: bytes) -> None:
        """Do nothing: it comes again, and there may be somebody then who makes shelves."""

    def _start_worker(self, worker_socket: socket.socket, _: str) -> None:
        """Have a worker serve a socket, if possible one from the shelf that is asked for."""
        self._fork_worker(worker_socket)

    def _fork_worker(self, worker_socket: socket.socket) -> None:
        own_pid = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:  # no process or no memory left: the web process tries again
            report("error", f"A script worker can't be forked: {error.strerror}")
            announce_death(worker_socket, f"could not be started: {error.strerror}")
            return
        if pid == 0:
            self._become_worker(worker_socket, own_pid)
        self._sockets[pid] = worker_socket
        self._pids[worker_socket.fileno()] = pid
        # No EPOLLIN: what arrives is the worker's to read.
        self._poll.register(worker_socket, select.EPOLLRDHUP | select.EPOLLHUP)

    def _become_worker(self, own: socket.socket, parent: int) -> None:
        status = 1
        try:
            os.setsid()
            self.become_child(parent)
            # What a script starts stays below its worker, however often it forks.
            prctl(PR_SET_CHILD_SUBREAPER, 1)
            be_killed_first()
            self._confine()
            worker.serve(own, self._common.memory_mb, self._origin.name, self._origin.models)
            status = 0
        except Exception as error:  # noqa: BLE001 - nobody else would hear of it
            report("error", "A script worker failed.", error)
        finally:
            os._exit(status)

    def _confine(self) -> None:
        """In a worker: leave it what scripts may have, from here on."""
        folder = self._folders.make(os.getpid())
        self._common.confining.enter(self._allowed, folder, self._common.server)

    def become_child(self, parent: int) -> None:
        """In a process just forked: die with the parent, and let go of what is the parent's."""
        die_with_parent(parent)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(LEAVE, signal.SIG_IGN)
        self._poll.close()
        for end in self._wakeup:
            os.close(end)
        self._requests.close()
        for each in self._sockets.values():
            each.close()

    def _reap(self) -> None:
        while pid_and_status := wait_for_any_child():
            pid, status = pid_and_status
            if pid not in self._sockets:
                self._child_died(pid, status)
                continue
            kill_group(pid)  # what the script started and left behind
            worker_socket = self._sockets.pop(pid)
            del self._pids[worker_socket.fileno()]
            self._poll.unregister(worker_socket)  # closing isn't enough: others may hold it open
            announce_death(worker_socket, reason_of_death(status))
            self._remove_folder(pid)

    def _remove_folder(self, worker_pid: int) -> None:
        folder = self._folders.discard(worker_pid)
        if folder is not None:
            self._remove(folder)

    def _remove(self, *folders: Path) -> None:
        """Have a child remove folders, if any: there may be a million files in them."""
        if not folders:
            return
        own_pid = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:  # it goes with the server
            report("warning", f"A script's temporary folder stays: {error.strerror}")
            return
        if pid == 0:
            try:
                self.become_child(own_pid)
                for folder in folders:
                    remove(folder)
            finally:
                os._exit(0)
        self._removers.add(pid)

    def _kill_strays(self) -> None:
        """Kill what a script started in a session of its own: it became our child when its parent
        died. One that forks as it dies leaves another, which is found the next time."""
        for pid in children_of(os.getpid()):
            if pid not in self._sockets and pid not in self._non_workers():
                kill_group(pid)


def announce_death(worker_socket: socket.socket, reason: str) -> None:
    """Say it to the web process, and close the worker's end for all that hold it."""
    try:
        worker_socket.send(encode(Death(reason)), socket.MSG_DONTWAIT)
        worker_socket.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # the web process is gone, or the worker died in the middle of a full socket
    finally:
        worker_socket.close()
