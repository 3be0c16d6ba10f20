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

from tabpy.tabpy_server.workers.fork_server_state import ForkServerState, digest
from tabpy.tabpy_server.workers.protocol import PRELOAD_LIMIT

SPAWNED = "tabpy.tabpy_server.workers.worker.spawned"


class Launcher(Protocol):
    """Starts script workers."""

    @property
    def origin(self) -> str:
        """Return what `Hello.origin` of a worker would be that is started now; "": not known."""

    def launch(self, worker_end: socket.socket) -> Callable[[], None]:
        """Have a new worker serve a socket; what is returned kills it. Raises OSError."""

    def ensure_preload(self, request: bytes) -> None:
        """See to it that workers start with the models of a preload request; cheap if they do."""


class ForkLauncher:
    """Asks the fork server, through the socket that all web processes share."""

    def __init__(self, requests: socket.socket, state: ForkServerState) -> None:
        self._requests = requests
        self._state = state
        self._sent = b""

    @property
    def origin(self) -> str:
        return self._state.origin

    def launch(self, worker_end: socket.socket) -> Callable[[], None]:
        socket.send_fds(self._requests, [b"fork"], [worker_end.fileno()])
        return lambda: None  # the fork server kills it when our end is closed

    def ensure_preload(self, request: bytes) -> None:
        # What another web process has asked for since isn't fought: it knows the same store.
        if len(request) > PRELOAD_LIMIT or (request == self._sent and self._state.preload_request):
            return
        if not self._sent and self._state.preload_request == digest(request):
            self._sent = request
            return
        with contextlib.suppress(OSError):  # it is being replaced, and the socket is full: later
            self._requests.send(request)
            self._sent = request


class SpawnLauncher:
    """Starts each worker as a fresh interpreter; about half a second with pandas preloaded."""

    origin = ""

    def __init__(
        self, modules: Sequence[str], memory_mb: float, environment: Mapping[str, str]
    ) -> None:
        """`environment`: what scripts find in `os.environ`."""
        self._command = [sys.executable, "-m", SPAWNED, str(memory_mb), *modules]
        self._environment = environment

    def launch(self, worker_end: socket.socket) -> Callable[[], None]:
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

    def ensure_preload(self, request: bytes) -> None:
        """Do nothing: processes that weren't forked share no memory."""


def _kill(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        if sys.platform == "win32":
            process.kill()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    threading.Thread(target=process.wait, daemon=True).start()  # reap it, off the event loop
