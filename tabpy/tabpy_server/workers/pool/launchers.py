"""The web process: the ways to start a script worker."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from tabpy.tabpy_server import own_python
from tabpy.tabpy_server.workers.fork_server_state import ForkServerState
from tabpy.tabpy_server.workers.protocol import FORK, REQUEST_LIMIT

SPAWNED = "tabpy.tabpy_server.workers.worker.spawned"


class Launcher(Protocol):
    """Starts script workers."""

    @property
    def origin(self) -> str:
        """Return what `Hello.origin` of a worker would be that is started now; "": not known."""

    def shelf_origin(self, key: str) -> str:
        """Return the same for a worker from a shelf; "": that isn't there."""

    def launch(self, worker_end: socket.socket, shelf: str = "") -> Callable[[], None]:
        """Have a new worker serve a socket; what is returned kills it. `shelf`: the key of the one
        that it comes from, if that is there. Raises OSError."""

    def ask_for_shelf(self, request: bytes) -> None:
        """Ask for the shelf of a request. Nobody answers: it is there some time, or never."""


class ForkLauncher:
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
        socket.send_fds(self._requests, [FORK + shelf.encode()], [worker_end.fileno()])
        return lambda: None  # the fork server kills it when our end is closed

    def ask_for_shelf(self, request: bytes) -> None:
        if len(request) > REQUEST_LIMIT:
            return
        with contextlib.suppress(OSError):  # it is being replaced, and the socket is full: later
            self._requests.send(request)


class SpawnLauncher:
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
                self._command, env=self._environment, stdin=subprocess.PIPE
            )
            assert process.stdin is not None
            process.stdin.write(worker_end.share(process.pid))
            process.stdin.close()
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


def _kill(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        if sys.platform == "win32":
            process.kill()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    threading.Thread(target=process.wait, daemon=True).start()  # reap it, off the event loop
