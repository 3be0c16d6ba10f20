"""The web process: the ways to start a script worker."""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from tabpy.tabpy_server import own_python
from tabpy.tabpy_server.workers.fork_server_state import ForkServerState
from tabpy.tabpy_server.workers.pool.hired import Worker
from tabpy.tabpy_server.workers.pool.source import Source
from tabpy.tabpy_server.workers.pool.worker import LocalWorker
from tabpy.tabpy_server.workers.protocol import FORK, REQUEST_LIMIT

logger = logging.getLogger(__name__)

SPAWNED = "tabpy.tabpy_server.workers.worker.spawned"


class Launcher(Protocol):
    """Starts script workers: here, or elsewhere."""

    @property
    def origin(self) -> str:
        """Return what `Hello.origin` of a worker would be that is started now; "": not known."""

    def shelf_origin(self, key: str) -> str:
        """Return the same for a worker from a shelf; "": that isn't there."""

    def hire(
        self, on_death: Callable[[], None], memory_mb: float, source: Source | None = None
    ) -> Worker:
        """Start one. Raises OSError.

        `on_death` is called when it has died by itself, not when it's killed from here.
        `memory_mb`: what a script may take, and so its result, too. `source`: the shelf that it
        comes from.
        """

    def ask_for_shelf(self, request: bytes) -> None:
        """Ask for the shelf of a request. Nobody answers: it is there some time, or never."""


class SocketLauncher(ABC):
    """Starts workers of this machine, each with a socket of its own."""

    @abstractmethod
    def launch(self, worker_end: socket.socket, shelf: str = "") -> Callable[[], None]:
        """Have a new worker serve a socket; what is returned kills it. `shelf`: the key of the one
        that it comes from, if that is there. Raises OSError."""

    def hire(
        self, on_death: Callable[[], None], memory_mb: float, source: Source | None = None
    ) -> Worker:
        return LocalWorker(self.launch, on_death, memory_mb, source)


class ForkLauncher(SocketLauncher):
    """Asks the fork server, through the socket that all web processes share."""

    def __init__(self, requests: socket.socket, state: ForkServerState) -> None:
        self._requests = requests
        self._state = state

    @property
    def origin(self) -> str:
        return self._state.origin

    def shelf_origin(self, key: str) -> str:
        return self._state.shelf_origin(key)

    def launch(self, worker_end: socket.socket, shelf: str = "") -> Callable[[], None]:
        if sys.platform != "win32":  # where there is no fork server to ask
            socket.send_fds(self._requests, [FORK + shelf.encode()], [worker_end.fileno()])
        return lambda: None  # the fork server kills it when our end is closed

    def ask_for_shelf(self, request: bytes) -> None:
        if len(request) > REQUEST_LIMIT:
            return
        with contextlib.suppress(OSError):  # it is being replaced, and the socket is full: later
            self._requests.send(request)


class SpawnLauncher(SocketLauncher):
    """Starts each worker as a fresh interpreter; about half a second with pandas preloaded."""

    origin = ""

    def __init__(
        self, modules: Sequence[str], memory_mb: float, environment: Mapping[str, str]
    ) -> None:
        """`environment`: what scripts find in `os.environ`."""
        self._command = own_python.command(SPAWNED, str(memory_mb), *modules)
        self._environment = environment

    def shelf_origin(self, key: str) -> str:
        return ""

    def launch(self, worker_end: socket.socket, shelf: str = "") -> Callable[[], None]:
        if sys.platform == "win32":
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module # nosec B603
                self._command,
                env=self._environment,
                stdin=subprocess.PIPE,
                stderr=subprocess.PIPE,
                # A Ctrl-C in the server's console is the server's.
                creationflags=subprocess.CREATE_NEW_PROCESS_GROUP,
            )
            handing = worker_end.dup(), process
            threading.Thread(target=_hand_over, args=handing, daemon=True).start()
        else:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module # nosec B603
                self._command,
                env=self._environment,
                stdin=worker_end.fileno(),
                start_new_session=True,
            )
        return lambda: _kill(process)

    def ask_for_shelf(self, request: bytes) -> None:
        """Do nothing: processes that weren't forked share no memory."""


def _hand_over(worker_end: socket.socket, process: "subprocess.Popen[bytes]") -> None:
    """Give a worker its socket on Windows, where one is handed to a process by its pid.

    The worker says what that is: in a virtual environment `process` is a launcher, which starts the
    interpreter as a process of its own. What it says before is an error, and logged.
    """
    assert process.stdin is not None
    assert process.stderr is not None
    with contextlib.suppress(OSError), worker_end, process.stderr, process.stdin:  # it has ended
        for line in process.stderr:
            if sys.platform == "win32" and line.strip().isdigit():
                process.stdin.write(worker_end.share(int(line)))
                return
            logger.warning("A script worker says: %s", line.decode(errors="replace").rstrip())


def _kill(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        if sys.platform == "win32":
            process.kill()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    threading.Thread(target=process.wait, daemon=True).start()  # reap it, off the event loop
