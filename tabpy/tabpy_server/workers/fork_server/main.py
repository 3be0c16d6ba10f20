"""The fork server's process: imports the heavy libraries once, then forks workers in ~20 ms.

It is a fresh interpreter with a clean environment, so nothing of the server's memory (settings,
credentials, other people's requests) is within a script's reach. It serves every web process of
the machine: each asks through one shared socket, passing along the worker's end of a private
socket pair, or asks for models that all workers should start with.

Two others, forked from it, may answer in its place. Importing pandas takes longer than all the
rest of the start, so meanwhile a cold fork server answers. And once there are large models, one
that has loaded them does. `ForkServerState` says who answers now, and pools recycle the workers
of the others.
"""

import gc
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from tabpy.tabpy_server.workers.fork_server.confining import Confining
from tabpy.tabpy_server.workers.fork_server.linux import (
    PR_SET_CHILD_SUBREAPER,
    PR_SET_DUMPABLE,
    PR_SET_NO_NEW_PRIVS,
    be_killed_first,
    die_with_parent,
    kill_group,
    prctl,
    reason_of_death,
)
from tabpy.tabpy_server.workers.fork_server.preloaded_models import Progress, load_all
from tabpy.tabpy_server.workers.fork_server.report import report
from tabpy.tabpy_server.workers.fork_server.script_folders import ScriptFolders, remove
from tabpy.tabpy_server.workers.fork_server.server import Common, ForkServer, Origin
from tabpy.tabpy_server.workers.fork_server_state import ForkServerState
from tabpy.tabpy_server.workers.protocol import (
    LEAVE,
    PRELOAD_LIMIT,
    READY,
    Reference,
    preloaded_references,
)
from tabpy.tabpy_server.workers.worker.main import detach_standard_streams
from tabpy.tabpy_server.workers.worker.memory import Memory
from tabpy.tabpy_server.workers.worker.preload import preload

LOAD_TIMEOUT = 30.0  # seconds for all models together
STEADY_SECONDS = 5.0  # a fork server with models that dies sooner isn't made again


@dataclass
class Loading:
    """A child that loads models: how far it is, and who it will be."""

    pid: int
    progress: int  # descriptor
    origin: str
    request: bytes
    deadline: float
    said: bytes = b""  # the beginning of a line
    model: tuple[str, str] | None = None  # name and SHA-256 of the one it is loading
    failure: str = "it ended its process"


@dataclass(frozen=True)
class Deputy:
    """A child that answers in this process's place, since a moment of `time.monotonic`."""

    pid: int
    since: float


class RootForkServer(ForkServer):
    """Answers itself, or has a child with models answer; takes over again when that one ends."""

    def __init__(self, common: Common, origin: Origin, cold: "ColdForkServer | None") -> None:
        super().__init__(common, origin)
        self._request = b"[]"  # the preload request that came last
        self._failed: set[str] = set()  # SHA-256 of what can't be loaded before the fork
        self._loading: Loading | None = None
        self._deputy: Deputy | None = None
        self._answers = True
        self._children: set[int] = set()  # that aren't workers
        common.state.set_origin(origin.name)
        if cold is not None:
            self._listen_to(cold.pid, cold.to_parent)
            os.kill(cold.pid, LEAVE)

    def _listen_to(self, pid: int, to_parent: int) -> None:
        self._children.add(pid)
        self._poll.register(to_parent, select.EPOLLIN)

    def _non_workers(self) -> set[int]:
        return self._children | super()._non_workers()

    def _patience(self) -> float | None:
        if self._loading is None:
            return super()._patience()
        left = self._loading.deadline - time.monotonic()
        if left <= 0:
            self._loading.failure = f"it took longer than {LOAD_TIMEOUT:.0f} s"
            self._give_up()
            return self._patience()
        return min(left, super()._patience() or left)

    def _read_other(self, fd: int) -> None:
        if self._loading is not None and fd == self._loading.progress:
            self._read_progress(self._loading)
            return
        request = os.read(fd, PRELOAD_LIMIT)
        if request:
            self._take_preload_request(request)
        else:  # that child has gone
            self._poll.unregister(fd)
            os.close(fd)

    # Models

    def _take_preload_request(self, request: bytes) -> None:
        self._common.state.set_preload_request(request)
        if request == self._request:
            return
        self._request = request
        self._load()

    def _load(self) -> None:
        """Have a child load what is asked for; whoever answers now goes on until it has."""
        if self._loading is not None:
            self._stop_loading(self._loading)
        wanted = [
            each for each in preloaded_references(self._request) if each.sha256 not in self._failed
        ]
        if wanted:
            self._loading = self._fork_loader(wanted)
        elif not self._answers:
            self._answer_again()

    def _fork_loader(self, wanted: Sequence[Reference]) -> Loading | None:
        progress, progress_end = os.pipe()
        to_parent, to_parent_end = os.pipe()
        origin = self._common.state.new_origin()
        own_pid = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:  # each worker loads them for itself
            report("error", f"Large models can't be shared now: {error.strerror}")
            for end in (progress, progress_end, to_parent, to_parent_end):
                os.close(end)
            return None
        if pid == 0:
            os.close(progress)
            os.close(to_parent)
            self._become_loader(own_pid, origin, wanted, progress_end, to_parent_end)
        os.close(progress_end)
        os.close(to_parent_end)
        self._listen_to(pid, to_parent)
        self._poll.register(progress, select.EPOLLIN)
        return Loading(pid, progress, origin, self._request, time.monotonic() + LOAD_TIMEOUT)

    def _become_loader(
        self, parent: int, origin: str, wanted: Sequence[Reference], progress: int, to_parent: int
    ) -> None:
        said = Progress(progress)
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
            models = load_all(wanted, said)
            server = ForkServer(self._common, Origin(origin, models), to_parent)
            said.ready()
            os.close(progress)
            server.run()
            exit_code = 0
        except BaseException as error:  # noqa: BLE001 - somebody's model can raise anything
            said.failed(error)
        finally:
            os._exit(exit_code)

    def _read_progress(self, loading: Loading) -> None:
        chunk = os.read(loading.progress, 1 << 16)
        if not chunk:
            self._give_up()
            return
        *lines, loading.said = (loading.said + chunk).split(b"\n")
        for line in lines:
            if self._loading is loading:
                self._heed(loading, line)

    def _heed(self, loading: Loading, line: bytes) -> None:
        """Do what a line of a loader's progress says; its models may have written lines too."""
        try:
            said = orjson.loads(line)
            if "loading" in said:
                name, sha256 = said["loading"]
                loading.model = (str(name), str(sha256))
            elif "failed" in said:
                loading.failure = str(said["failed"])
            elif "ready" in said:
                self._hand_over(loading)
        except (ValueError, TypeError):
            self._give_up()

    def _hand_over(self, loading: Loading) -> None:
        self._end_loading(loading)
        self._dismiss_deputy()
        self._deputy = Deputy(loading.pid, time.monotonic())
        if self._answers:
            self._poll.unregister(self._requests)
            self._answers = False
        self._common.state.set_origin(loading.origin)

    def _give_up(self) -> None:
        """Go on without the model that was being loaded: each worker loads it for itself."""
        loading = self._loading
        assert loading is not None
        wanted = preloaded_references(loading.request)
        name, sha256 = loading.model or (wanted[0].name, wanted[0].sha256)
        if any(each.sha256 == sha256 for each in wanted):
            self._failed.add(sha256)
        else:  # not what it was asked to load: a model wrote that line
            self._failed.update(each.sha256 for each in wanted)
        report("warning", f"The model of '{name}' can't be shared by workers: {loading.failure}")
        self._load()

    def _stop_loading(self, loading: Loading) -> None:
        if loading.pid in self._children:
            kill_group(loading.pid)
        self._end_loading(loading)

    def _end_loading(self, loading: Loading) -> None:
        self._poll.unregister(loading.progress)
        os.close(loading.progress)
        self._loading = None

    # Who answers

    def _answer_again(self) -> None:
        self._dismiss_deputy()
        self._poll.register(self._requests, select.EPOLLIN)
        self._answers = True
        self._common.state.set_origin(self._origin.name)

    def _dismiss_deputy(self) -> None:
        if self._deputy is not None:
            os.kill(self._deputy.pid, LEAVE)
            self._deputy = None

    def _child_died(self, pid: int, status: int) -> None:
        super()._child_died(pid, status)
        self._children.discard(pid)
        if self._deputy is None or pid != self._deputy.pid:
            return
        lived = time.monotonic() - self._deputy.since
        self._deputy = None
        self._answer_again()
        if status == 0:  # nobody is left who asks: we are about to see that, too
            return
        report("error", f"The fork server with models {reason_of_death(status)}.")
        if lived > STEADY_SECONDS:
            self._load()


@dataclass(frozen=True)
class ColdForkServer:
    """A child that answers while this process imports, and passes preload requests up."""

    pid: int
    to_parent: int  # descriptor


def fork_cold(common: Common) -> ColdForkServer | None:
    """Have a child answer from now on; None if that can't be, and callers have to wait."""
    to_parent, to_parent_end = os.pipe()
    origin = common.state.new_origin()
    own_pid = os.getpid()
    try:
        pid = os.fork()
    except OSError as error:
        report("warning", f"Nobody answers while modules are imported: {error.strerror}")
        os.close(to_parent)
        os.close(to_parent_end)
        return None
    if pid == 0:
        try:
            os.close(to_parent)
            die_with_parent(own_pid)
            prctl(PR_SET_CHILD_SUBREAPER, 1)
            ForkServer(common, Origin(origin), to_parent_end).run()
        except Exception as error:  # noqa: BLE001 - nobody else would hear of it
            report("error", "The cold fork server failed.", error)
        finally:
            os._exit(0)
    os.close(to_parent_end)
    common.state.set_origin(origin)
    return ColdForkServer(pid, to_parent)


def main() -> None:
    """Serve until nobody is left who could ask.

    Arguments: the descriptors of the requests' socket, the pipe that says when it's ready and the
    state's memory; MB that a worker may take; what it may touch; the modules to import.
    """
    requests_fd, ready_fd, state_fd, memory_mb, confining, *modules = sys.argv[1:]
    for ignored in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, LEAVE):
        # The web process is the one to drain; the fork server leaves when nobody is left to ask.
        signal.signal(ignored, signal.SIG_IGN)
    prctl(PR_SET_DUMPABLE, 0)  # for the workers, too: no script reads another's memory
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    state = ForkServerState(int(state_fd))
    os.close(int(state_fd))
    requests = socket.socket(fileno=int(requests_fd))
    requests.setblocking(False)  # of two fork servers that a request wakes, one finds nothing
    common = Common(
        requests,
        state,
        float(memory_mb),
        Confining.of_argument(confining),
        server=(os.getppid(), os.getpid()),
    )
    # Before any fork: the pipe says "ready" when the last process that holds it has closed it.
    os.write(int(ready_fd), READY)
    os.close(int(ready_fd))
    cold = fork_cold(common) if modules else None
    preload(modules)
    gc.collect()
    gc.freeze()  # keeps the collector from touching, and so copying, pages shared with the workers
    RootForkServer(common, Origin(state.new_origin()), cold).run()
    if common.confining.folder:
        remove(Path(common.confining.folder))


if __name__ == "__main__":
    main()
