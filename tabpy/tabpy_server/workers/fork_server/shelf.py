"""A child of the fork server that has models, as the fork server sees it.

Whatever it does or says may be somebody's code by now. So nothing that it says is believed further
than its own workers go, and whether it ends them is looked at from here.
"""

import contextlib
import os
import select
import socket
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import orjson

from tabpy.tabpy_server.workers.fork_server.linux import children_of, kill_group
from tabpy.tabpy_server.workers.fork_server.script_folders import ASIDE
from tabpy.tabpy_server.workers.fork_server.server import announce_death
from tabpy.tabpy_server.workers.fork_server.shelf_process import TRACE_LIMIT
from tabpy.tabpy_server.workers.protocol import FORK, REQUEST_LIMIT, Reference

LOAD_TIMEOUT = 300.0  # seconds for all models together
STEADY_SECONDS = 5.0  # a shelf that ends sooner isn't filled again
UNASKED_SECONDS = 10.0  # after which nobody needs it
LATE_SECONDS = 5.0  # in which it has to fork a worker, or end one; it's ended when twice as late
LOOKED_AT = 100  # of the things in its folder, at a time


class Shelf:
    """`key` is of what was asked for, `wanted` what it loads of that. `pid` is its process, `line`
    our end of the socket to it, `folder` its workers' ("" for none)."""

    def __init__(
        self, key: str, wanted: Sequence[Reference], pid: int, line: socket.socket, origin: str
    ) -> None:
        self.key = key
        self.wanted = wanted
        self.pid = pid
        self.line = line
        self.origin = origin
        self.is_ready = False
        self.is_dismissed = False  # it ends when its last worker does
        self.failure = "it ended its process"
        self._blamed = {wanted[0].sha256}
        self._messages = 2 * len(wanted) + 1  # that it may still say
        # Our duplicates of its workers' sockets, by their descriptors, and since when it has them.
        self._workers: dict[int, tuple[socket.socket, float]] = {}
        self._let_go: list[float] = []  # when somebody let go of one, lately
        self._is_late = False
        self.asked = self._began = self._orderly = time.monotonic()

    @property
    def size(self) -> int:
        """Return about what its models take, in bytes."""
        return sum(each.size for each in self.wanted)

    @property
    def culprits(self) -> set[str]:
        """Return the SHA-256 of what it should be tried without, now that it has ended: what it
        was loading, or all of it if that isn't sure."""
        if not self.is_ready:
            return self._blamed
        if self._is_late or time.monotonic() - self._began < STEADY_SECONDS:
            return {each.sha256 for each in self.wanted}
        return set()

    def read(self) -> None:
        """Take note of what it says. Raises ValueError if that isn't what it has to say."""
        while True:
            try:
                said = self.line.recv(REQUEST_LIMIT)
            except (BlockingIOError, ConnectionError):
                return
            if not said:
                raise ValueError("it has gone")
            self._messages -= 1
            if self.is_ready or self._messages < 0:
                raise ValueError("it talks without end")
            self._heed(orjson.loads(said))

    def _heed(self, said: object) -> None:
        match said:
            case {"loading": [str(name), str(sha256)]}:
                known = any((each.name, each.sha256) == (name, sha256) for each in self.wanted)
                self._blamed = {sha256} if known else {each.sha256 for each in self.wanted}
            case {"failed": str(why)}:
                self.failure = why[-TRACE_LIMIT:]
            case {"ready": True}:
                self.is_ready = True
                self._began = time.monotonic()
            case _:
                raise ValueError("a model wrote that")

    def pass_on(self, worker_socket: socket.socket, poll: "select.epoll") -> None:
        """Have it fork a worker that serves a socket. Raises OSError if it takes no more."""
        socket.send_fds(self.line, [FORK], [worker_socket.fileno()])
        self._workers[worker_socket.fileno()] = worker_socket, time.monotonic()
        poll.register(worker_socket, select.EPOLLRDHUP | select.EPOLLHUP)

    def let_go(self, descriptor: int, poll: "select.epoll") -> bool:
        """Forget the worker with that socket, which has been hung up; say whether it had one."""
        if descriptor not in self._workers:
            return False
        worker_socket, _ = self._workers.pop(descriptor)
        self._let_go.append(time.monotonic())
        poll.unregister(worker_socket)
        worker_socket.close()
        return True

    def ended(self, how: str, poll: "select.epoll") -> None:
        """Say so to those who have workers of it: these have ended, too."""
        for worker_socket, _ in self._workers.values():
            poll.unregister(worker_socket)
            announce_death(worker_socket, how)
        self._workers.clear()

    def close(self) -> None:
        """In a process just forked: let go of what is the fork server's."""
        self.line.close()
        for worker_socket, _ in self._workers.values():
            worker_socket.close()

    def look(self) -> None:
        """Kill it if it takes too long to load, doesn't fork workers, doesn't end those that were
        let go, or doesn't end when it should."""
        now = time.monotonic()
        if not self.is_ready:
            if now > self._began + LOAD_TIMEOUT:
                self.failure = f"it took longer than {LOAD_TIMEOUT:.0f} s"
                kill_group(self.pid)
        elif self._is_orderly(now - LATE_SECONDS):
            self._orderly = now
        elif now > self._orderly + LATE_SECONDS:
            self._is_late = True
            kill_group(self.pid)

    def _is_orderly(self, late: float) -> bool:
        """Say whether it has done what it was asked for before the moment `late`."""
        self._let_go = [when for when in self._let_go if when > late]
        if self.is_dismissed and not self._workers:
            return bool(self._let_go)
        there = len(children_of(self.pid))
        due = sum(since <= late for _, since in self._workers.values())
        return due <= there <= len(self._workers) + len(self._let_go)


def put_aside(folder: Path) -> list[Path]:
    """Return what is to be removed of the folders of a shelf's workers."""
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        names = [each.name for each in islice(entries, LOOKED_AT)]
        return [folder / name for name in names if name.startswith(ASIDE)]
    return []
