"""The template process: imports the heavy libraries once, then has workers forked in ~20 ms.

It is a fresh interpreter with a clean environment, so nothing of the server's memory (settings,
credentials, other people's requests) is within a script's reach. It serves every web process of
the machine: each asks through one shared socket, passing along the worker's end of a private
socket pair, or wishes for models that all workers should share.

Two others, forked from it, may answer in its place. Importing pandas takes longer than all the
rest of the start, so meanwhile a copy from before serves the first requests; its workers say that
they are cold, and the web processes replace them as soon as they can. And once there are large
models, a copy that has loaded them does.
"""

import gc
import os
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass

from tabpy.tabpy_server.workers.fork_server import preloaded_models
from tabpy.tabpy_server.workers.fork_server.forker import (
    LEAVE,
    MESSAGE_LIMIT,
    PR_SET_PDEATHSIG,
    Forker,
    kill_group,
    prctl,
)
from tabpy.tabpy_server.workers.worker.main import detach_standard_streams
from tabpy.tabpy_server.workers.worker.memory import Memory
from tabpy.tabpy_server.workers.worker.preload import preload

PR_SET_DUMPABLE = 4  # linux/prctl.h
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
READY = b"ready"
LOAD_TIMEOUT = 30.0  # seconds for all models of a shelf
STEADY_AFTER = 5.0  # seconds; a shelf that dies sooner isn't made again


@dataclass
class Attempt:
    """A shelf being filled: how far it is, and what it's filled with."""

    pid: int
    progress: int  # descriptor
    wish: bytes
    wanted: list[dict[str, object]]
    deadline: float
    begun: int = 0


class Template(Forker):
    """A forker that hands its work to shelves, and takes it back when they fail."""

    def __init__(self, requests: socket.socket, memory_mb: float) -> None:
        super().__init__(requests, memory_mb)
        self._wished = b""
        self._unfit: set[object] = set()  # SHA-256 of what couldn't be shared
        self._attempt: Attempt | None = None
        self._serving: tuple[int, float] | None = None  # the shelf that forks, and since when
        self._serves_itself = True

    def listen_to(self, pid: int, upward: int) -> None:
        """Spare a child, and do what it passes up."""
        self._spared.add(pid)
        self._poll.register(upward, select.EPOLLIN)

    def _patience(self) -> float | None:
        if self._attempt is None:
            return None
        left = self._attempt.deadline - time.monotonic()
        if left <= 0:
            self._give_up()
            return self._patience()
        return left

    def _other(self, fd: int) -> None:
        if self._attempt is not None and fd == self._attempt.progress:
            self._progress(os.read(fd, 4096))
            return
        message = os.read(fd, MESSAGE_LIMIT)
        if message:
            self._wish(message)
        else:  # that child has gone
            self._poll.unregister(fd)
            os.close(fd)

    def _wish(self, message: bytes) -> None:
        if message == self._wished:
            return
        self._wished = message
        if self._attempt is not None:
            self._drop_attempt()
        if self._serving is not None:
            os.kill(self._serving[0], LEAVE)
            self._serving = None
        self._try(message)

    def _try(self, message: bytes) -> None:
        wanted = [
            each
            for each in preloaded_models.references(message)
            if each["sha256"] not in self._unfit
        ]
        self._serve_itself(not wanted)
        if not wanted:
            return
        progress, progress_end = os.pipe()
        upward, upward_end = os.pipe()
        own_pid = os.getpid()
        pid = os.fork()
        if pid == 0:
            os.close(progress)
            os.close(upward)
            try:
                self.become_child(own_pid)
                prctl(PR_SET_CHILD_SUBREAPER, 1)
                detach_standard_streams()
                Memory(self._memory_mb).limit()
                filled = preloaded_models.fill(message, wanted, progress_end)
                os.close(progress_end)
                Forker(self._requests, self._memory_mb, filled, upward=upward_end).run()
            finally:
                os._exit(0)
        os.close(progress_end)
        os.close(upward_end)
        self.listen_to(pid, upward)
        self._attempt = Attempt(pid, progress, message, wanted, time.monotonic() + LOAD_TIMEOUT)
        self._poll.register(progress, select.EPOLLIN)

    def _progress(self, said: bytes) -> None:
        assert self._attempt is not None
        self._attempt.begun += said.count(preloaded_models.LOADING)
        if preloaded_models.READY in said:
            self._serving = (self._attempt.pid, time.monotonic())
            self._end_attempt()
        elif not said:
            self._give_up()

    def _give_up(self) -> None:
        """Without the model that it was loading, which every worker then loads for itself."""
        attempt = self._attempt
        assert attempt is not None
        culprit = attempt.wanted[max(0, attempt.begun - 1)]
        self._unfit.add(culprit["sha256"])
        self._drop_attempt()
        self._try(attempt.wish)

    def _drop_attempt(self) -> None:
        assert self._attempt is not None
        kill_group(self._attempt.pid)
        self._end_attempt()

    def _end_attempt(self) -> None:
        assert self._attempt is not None
        self._poll.unregister(self._attempt.progress)
        os.close(self._attempt.progress)
        self._attempt = None

    def _serve_itself(self, wanted: bool) -> None:
        if wanted and not self._serves_itself:
            self._poll.register(self._requests, select.EPOLLIN)
        elif self._serves_itself and not wanted:
            self._poll.unregister(self._requests)
        self._serves_itself = wanted

    def _died(self, pid: int) -> None:
        self._spared.discard(pid)
        if self._serving is None or pid != self._serving[0]:
            return
        steady = time.monotonic() - self._serving[1] > STEADY_AFTER
        self._serving = None
        if steady and not self._nobody_asks():
            self._try(self._wished)
        else:
            self._serve_itself(True)

    def _nobody_asks(self) -> bool:
        """Whether no process is left that could: the shelf has seen that, and left."""
        try:
            return not self._requests.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False


def stand_in(requests: socket.socket, memory_mb: float) -> tuple[int, int]:
    """Fork a forker that serves while this process is busy importing; its pid, and the descriptor
    on which it passes up what it can't do."""
    upward, upward_end = os.pipe()
    own_pid = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(upward)
            forker = Forker(requests, memory_mb, cold=True, upward=upward_end)
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() == own_pid:
                forker.run()
        finally:
            os._exit(0)
    os.close(upward_end)
    return pid, upward


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
    standing_in = stand_in(requests, float(memory_mb)) if modules else None
    os.write(int(ready_fd), READY)
    os.close(int(ready_fd))
    preload(modules)
    gc.collect()
    gc.freeze()  # keeps the collector from touching, and so copying, pages shared with the workers
    template = Template(requests, float(memory_mb))
    if standing_in is not None:
        template.listen_to(*standing_in)
        os.kill(standing_in[0], LEAVE)
    template.run()


if __name__ == "__main__":
    main()
