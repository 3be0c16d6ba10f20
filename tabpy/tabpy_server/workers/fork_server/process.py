"""The arbiter: starts the template process and knows when it has died."""

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence

from tabpy.tabpy_server.errors import StartError
from tabpy.tabpy_server.workers.fork_server import main
from tabpy.tabpy_server.workers.fork_server.environment import script_environment

logger = logging.getLogger(__name__)


class TemplateProcess:
    """The process that forks script workers; `requests` is how web processes ask it to."""

    def __init__(
        self, preload: Sequence[str], memory_mb: float, environment: Mapping[str, str]
    ) -> None:
        """`memory_mb`: what a worker may take in addition to what it starts with."""
        self._preload = preload
        self._memory_mb = memory_mb
        self._environment = script_environment(environment)
        self.requests, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.requests.setblocking(False)
        self._start()

    def _start(self) -> None:
        self._ready: int | None
        self._ready, ready = os.pipe()
        handed_over = (self._theirs.fileno(), ready)
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [
                sys.executable,
                "-m",
                main.__name__,
                *map(str, handed_over),
                str(self._memory_mb),
                *self._preload,
            ],
            env=self._environment,
            pass_fds=handed_over,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C at a terminal is for the arbiter to answer, alone
        )
        os.close(ready)

    def wait_until_ready(self) -> None:
        """Until it could run a script. Raises StartError if it can't."""
        said = b""
        assert self._ready is not None
        while chunk := os.read(self._ready, 65536):
            said += chunk
        self._close_ready()
        if said != main.READY:
            raise StartError("The template process ended before it was ready; its output says why.")

    def restart_if_dead(self) -> None:
        if self._process.poll() is None:
            return
        logger.error("The template process has died; starting another.")
        self._close_ready()
        self._start()

    def stop(self) -> None:
        self._process.kill()

    def _close_ready(self) -> None:
        if self._ready is not None:
            os.close(self._ready)
            self._ready = None
