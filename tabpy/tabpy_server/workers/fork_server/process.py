"""The arbiter: starts the fork server and knows when it has died."""

import logging
import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tabpy.tabpy_server import own_python
from tabpy.tabpy_server.errors import StartError
from tabpy.tabpy_server.script_rules import InForce
from tabpy.tabpy_server.workers.fork_server import script_folders
from tabpy.tabpy_server.workers.fork_server.confining import Confining
from tabpy.tabpy_server.workers.fork_server_state import ForkServerState
from tabpy.tabpy_server.workers.protocol import READY

logger = logging.getLogger(__name__)

MODULE = "tabpy.tabpy_server.workers.fork_server.main"


class ForkServerProcess:
    """The process that forks script workers.

    Web processes ask it through `requests`, and see in `state` who answers.
    """

    def __init__(
        self,
        preload: Sequence[str],
        memory_mb: float,
        shelves_mb: float,
        environment: Mapping[str, str],
        confining: Confining,
    ) -> None:
        """Start it.

        `preload`: modules to import. `memory_mb`: what a worker may take in addition to what it
        starts with. `shelves_mb`: what the models on all shelves may take. `environment`: what
        scripts find in `os.environ`. `confining`: what they may touch; its folder is removed when
        this stops.
        """
        self._confining = confining
        self._preload = preload
        self._memory_mb = memory_mb
        self._shelves_mb = shelves_mb
        self._environment = environment
        self.requests, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.requests.setblocking(False)
        self.state = ForkServerState()
        self._start()

    def _start(self) -> None:
        self.state.reset()
        self._ready: int | None
        self._ready, ready = os.pipe()
        handed_over = (self._theirs.fileno(), ready, self.state.descriptor)
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module # nosec B603
            own_python.command(
                MODULE,
                *map(str, handed_over),
                str(self._memory_mb),
                str(self._shelves_mb),
                self._confining.argument(),
                *self._preload,
            ),
            env=self._environment,
            pass_fds=handed_over,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C at a terminal is for the arbiter to answer, alone
        )
        os.close(ready)

    @property
    def parts(self) -> InForce:
        """Return what keeps scripts to what they may touch."""
        return self._confining.parts

    def wait_until_ready(self) -> None:
        """Wait until it could fork a worker. Raises StartError if it can't."""
        said = b""
        assert self._ready is not None
        while chunk := os.read(self._ready, 65536):
            said += chunk
        self._close_ready()
        if said != READY:
            raise StartError("The fork server ended before it was ready; its output says why.")

    def restart_if_dead(self) -> None:
        """Start another if it has died; requests that came in between wait for it in the socket."""
        if self._process.poll() is None:
            return
        logger.error("The fork server has died; starting another.")
        self._close_ready()
        self._start()

    def stop(self) -> None:
        """Kill it, and with it all of its workers; nobody can ask it any more."""
        self._process.kill()
        self._process.wait()
        self._close_ready()
        self.requests.close()
        self._theirs.close()
        self.state.close()
        os.close(self.state.descriptor)
        if self._confining.folder:
            script_folders.remove(Path(self._confining.folder))

    def _close_ready(self) -> None:
        if self._ready is not None:
            os.close(self._ready)
            self._ready = None
