"""The fork server that all others are forked from: it answers web processes, and keeps shelves.

A *shelf* is a child that has loaded large models, for the workers of owners who call just these.
It never answers web processes: a worker's socket is passed on to it. Where there's no such shelf,
or it isn't ready, the worker comes from here, and loads what it needs for itself. So nobody's code
ever runs in this process, nor in what others' workers are forked from.

Web processes say again and again which shelves they need. One that nobody has asked for goes, and
so there is no message to lose.
"""

import os
import select
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from tabpy.tabpy_server.workers.fork_server.linux import (
    PR_SET_CHILD_SUBREAPER,
    be_killed_first,
    kill_group,
    prctl,
    reason_of_death,
)
from tabpy.tabpy_server.workers.fork_server.report import report
from tabpy.tabpy_server.workers.fork_server.script_folders import ScriptFolders
from tabpy.tabpy_server.workers.fork_server.server import Common, ForkServer, Origin
from tabpy.tabpy_server.workers.fork_server.shelf import UNASKED_SECONDS, Shelf, put_aside
from tabpy.tabpy_server.workers.fork_server.shelf_process import Progress, ShelfServer, load_all
from tabpy.tabpy_server.workers.fork_server_state import SHELVES, ForkServerState
from tabpy.tabpy_server.workers.protocol import (
    LEAVE,
    Reference,
    shelf_key,
    shelf_references,
)
from tabpy.tabpy_server.workers.worker.main import detach_standard_streams
from tabpy.tabpy_server.workers.worker.memory import Memory

SHELVES_SECONDS = 1.0  # between looks at shelves
FAILURES_KEPT = 100  # shelves of which is known what can't be on them


class RootForkServer(ForkServer):
    """Forks workers that have nobody's models, and has shelves fork the others."""

    def __init__(
        self,
        common: Common,
        requests: socket.socket,
        state: ForkServerState,
        shelves_mb: float,
        cold: int | None,
    ) -> None:
        """`shelves_mb`: what the models on all shelves may take. `cold`: the pid of the one that
        has answered until now, if there is one."""
        super().__init__(common, Origin(state.new_origin()), requests)
        self._state = state
        self._room = shelves_mb * (1 << 20)
        self._shelves: dict[str, Shelf] = {}  # by their keys
        self._children: dict[int, Shelf] = {}  # by pid: those that are to end, too
        self._lines: dict[int, Shelf] = {}  # by the descriptor
        self._failed: dict[str, set[str]] = {}  # SHA-256 of what can't be on a shelf, by its key
        self._cold = {cold} if cold is not None else set()
        self._looked_at_shelves = time.monotonic()
        state.set_origin(self._origin.name)
        if cold is not None:
            os.kill(cold, LEAVE)

    def become_child(self, parent: int) -> None:
        super().become_child(parent)
        self._state.close()
        for shelf in self._children.values():
            shelf.close()

    def _non_workers(self) -> set[int]:
        return super()._non_workers() | self._cold | self._children.keys()

    def _patience(self) -> float | None:
        return SHELVES_SECONDS if self._children else super()._patience()

    # Shelves that are asked for

    def _start_worker(self, worker_socket: socket.socket, key: str) -> None:
        shelf = self._shelves.get(key)
        if shelf is None or not shelf.is_ready:
            self._fork_worker(worker_socket)
            return
        try:
            shelf.pass_on(worker_socket, self._poll)
        except OSError:  # it has died, or takes no more
            kill_group(shelf.pid)
            self._fork_worker(worker_socket)

    def _take_shelf_request(self, request: bytes) -> None:
        references = shelf_references(request)
        key = shelf_key(references)
        if key in self._shelves:
            self._shelves[key].asked = time.monotonic()
            return
        failed = self._failed.get(key, set())
        wanted = [each for each in references if each.sha256 not in failed]
        if wanted and self._has_room(sum(each.size for each in wanted)):
            self._add(key, wanted)

    def _has_room(self, size: int) -> bool:
        taken = sum(shelf.size for shelf in self._shelves.values())
        return len(self._shelves) < SHELVES and taken + size <= self._room

    def _add(self, key: str, wanted: Sequence[Reference]) -> None:
        """Have a child load these."""
        line, line_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        line.setblocking(False)
        line_end.setblocking(False)
        origin, own_pid = self._state.new_origin(), os.getpid()
        try:
            pid = os.fork()
        except OSError as error:  # each worker loads them for itself
            report("error", f"Large models can't be shared now: {error.strerror}")
            line.close()
            line_end.close()
            return
        if pid == 0:
            line.close()
            self._become_shelf(own_pid, origin, wanted, line_end)
        line_end.close()
        shelf = Shelf(key, wanted, pid, line, origin)
        self._shelves[key] = self._children[pid] = self._lines[line.fileno()] = shelf
        self._poll.register(line, select.EPOLLIN)

    def _become_shelf(
        self, parent: int, origin: str, wanted: Sequence[Reference], line: socket.socket
    ) -> None:
        progress = Progress(line)
        exit_code = 1
        try:
            self.become_child(parent)
            prctl(PR_SET_CHILD_SUBREAPER, 1)
            detach_standard_streams()
            Memory(self._common.memory_mb).limit()
            be_killed_first()
            folders = ScriptFolders(self._common.confining.folder, origin)
            self._common.confining.for_loader().enter(
                self._allowed, folders.make_root(), self._common.server
            )
            models = load_all(wanted, progress)
            server = ShelfServer(self._common, Origin(origin, models), line)
            progress.ready()
            server.run()
            exit_code = 0
        except BaseException as error:  # noqa: BLE001 - somebody's model can raise anything
            progress.failed(error)
        finally:
            os._exit(exit_code)

    # Shelves that are there

    def _read_other(self, fd: int) -> None:
        if (shelf := self._lines.get(fd)) is not None:
            self._listen(shelf)
            return
        for each in self._children.values():
            if each.let_go(fd, self._poll):
                return

    def _listen(self, shelf: Shelf) -> None:
        """Heed what it says; end it if it has no more to say, or what nobody wants to know."""
        if shelf.line.fileno() not in self._lines:
            return
        was_ready = shelf.is_ready
        try:
            shelf.read()
        except ValueError:
            self._hang_up(shelf)
            if shelf.pid in self._children:
                kill_group(shelf.pid)
        if shelf.is_ready and not was_ready:
            self._state.add_shelf(shelf.key, shelf.origin)

    def _look_again(self) -> None:
        super()._look_again()
        if time.monotonic() < self._looked_at_shelves + SHELVES_SECONDS:
            return
        self._looked_at_shelves = time.monotonic()
        for shelf in [*self._shelves.values()]:
            if time.monotonic() > shelf.asked + UNASKED_SECONDS:
                self._dismiss(shelf)
        for shelf in self._children.values():
            shelf.look()
            self._tidy(shelf)

    def _tidy(self, shelf: Shelf) -> None:
        """Remove what the shelf's workers have left."""
        if self._common.confining.folder and not self._removers:
            self._remove(*put_aside(Path(self._common.confining.folder, shelf.origin)))

    # Shelves that go

    def _dismiss(self, shelf: Shelf) -> None:
        """Have it end when its last worker does."""
        shelf.is_dismissed = True
        self._withdraw(shelf)
        if not shelf.is_ready:
            kill_group(shelf.pid)

    def _withdraw(self, shelf: Shelf) -> None:
        """Have no more workers come from it."""
        del self._shelves[shelf.key]
        self._state.remove_shelf(shelf.key)
        self._hang_up(shelf)

    def _hang_up(self, shelf: Shelf) -> None:
        if self._lines.pop(shelf.line.fileno(), None) is not None:
            self._poll.unregister(shelf.line)
            shelf.line.close()

    def _child_died(self, pid: int, status: int) -> None:
        super()._child_died(pid, status)
        self._cold.discard(pid)
        shelf = self._children.pop(pid, None)
        if shelf is None:
            return
        self._listen(shelf)  # its last words
        shelf.ended(reason_of_death(status), self._poll)
        if not shelf.is_dismissed:
            self._blame(shelf, reason_of_death(status))
            self._withdraw(shelf)
        if self._common.confining.folder:
            self._remove(Path(self._common.confining.folder, shelf.origin))

    def _blame(self, shelf: Shelf, how: str) -> None:
        """Leave out what it died of, when it's asked for again: each worker loads that for
        itself."""
        culprits = shelf.culprits
        names = ", ".join(f"'{each.name}'" for each in shelf.wanted if each.sha256 in culprits)
        if not shelf.is_ready:
            report("warning", f"{names} can't be shared by workers: {shelf.failure}")
        else:
            report("error", f"The fork server with large models {how}.")
        self._failed[shelf.key] = self._failed.get(shelf.key, set()) | culprits
        while len(self._failed) > FAILURES_KEPT:
            del self._failed[next(iter(self._failed))]
