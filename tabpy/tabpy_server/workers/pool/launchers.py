"""The web process: the ways to start a script worker."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from tabpy.tabpy_server.workers.fork_server import preloaded_models
from tabpy.tabpy_server.workers.fork_server.environment import script_environment
from tabpy.tabpy_server.workers.fork_server.forker import MESSAGE_LIMIT
from tabpy.tabpy_server.workers.worker import spawned


class Launcher(Protocol):
    """Makes a new script worker serve a socket; what it returns kills that worker."""

    def launch(self, worker_end: socket.socket) -> Callable[[], None]: ...

    def share(self, references: Sequence[Mapping[str, Any]]) -> bool:
        """Have workers started from now on share these models; whether that can be."""


class TemplateLauncher:
    """Asks the template process for a fork, through the socket that all web processes share."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests

    def launch(self, worker_end: socket.socket) -> Callable[[], None]:
        socket.send_fds(self._requests, [b"fork"], [worker_end.fileno()])
        return lambda: None  # the template kills it when our end is closed

    def share(self, references: Sequence[Mapping[str, Any]]) -> bool:
        message = preloaded_models.wish(references)
        if len(message) > MESSAGE_LIMIT:
            return False
        self._requests.send(message)
        return True


class SpawnLauncher:
    """Starts each worker as a process of its own; about half a second with pandas preloaded."""

    def __init__(
        self, modules: Sequence[str], memory_mb: float, environment: Mapping[str, str]
    ) -> None:
        self._command = [sys.executable, "-m", spawned.__name__, str(memory_mb), *modules]
        self._environment = script_environment(environment)

    def launch(self, worker_end: socket.socket) -> Callable[[], None]:
        """Start a worker on `worker_end`; the returned function kills it and all it started."""
        if sys.platform == "win32":
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                self._command, env=self._environment, stdin=subprocess.PIPE
            )
            assert process.stdin is not None
            process.stdin.write(worker_end.share(process.pid))
            process.stdin.close()
        else:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                self._command,
                env=self._environment,
                stdin=worker_end.fileno(),
                start_new_session=True,
            )
        return lambda: _kill(process)

    def share(self, references: Sequence[Mapping[str, Any]]) -> bool:
        """Nothing is shared between processes that weren't forked."""
        return False


def _kill(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        if sys.platform == "win32":
            process.kill()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    threading.Thread(target=process.wait, daemon=True).start()  # reap it, off the event loop
