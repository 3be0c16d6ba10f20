"""Script workers where there is no template process: fresh interpreters (Windows, macOS).

Runs on both sides: `SpawnLauncher` in the web process, `main` in the worker, which finds its
socket as its standard input (POSIX) or described there (Windows).
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tabpy.tabpy_server.workers import child
from tabpy.tabpy_server.workers.launch import script_environment
from tabpy.tabpy_server.workers.template import preload


class SpawnLauncher:
    """Starts each worker as a process of its own; about half a second with pandas preloaded."""

    def __init__(
        self, modules: Sequence[str], memory_mb: float, environment: Mapping[str, str]
    ) -> None:
        self._command = [sys.executable, "-m", __name__, str(memory_mb), *modules]
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


def main() -> None:
    if sys.platform == "win32":
        connection = socket.fromshare(sys.stdin.buffer.read())
    else:
        connection = socket.socket(fileno=os.dup(0))
    memory_mb, *modules = sys.argv[1:]
    preload(modules)
    child.serve(connection, float(memory_mb), shared={})


if __name__ == "__main__":
    main()
