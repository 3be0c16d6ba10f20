"""The arbiter: starts the flight process, and knows when it has died.

It is forked, like web processes: so it has the gate and the settings, and nothing of them stands in
an environment or on a command line. Its port, and the socket on which web processes ask it, belong
to the arbiter and outlive it: who connects or asks meanwhile waits for the next one.
"""

import ctypes
import io
import logging
import os
import signal
import socket
import time
from collections.abc import Iterable, Sequence

from tabpy.tabpy_server.access.gate import Gate, OpenGate
from tabpy.tabpy_server.access.token_gate import TokenGate
from tabpy.tabpy_server.errors import StartError
from tabpy.tabpy_server.flight import main
from tabpy.tabpy_server.flight.figures import Figures
from tabpy.tabpy_server.flight.main import READY, Inherited
from tabpy.tabpy_server.flight.tables import FlightTables
from tabpy.tabpy_server.processes.listener import bind
from tabpy.tabpy_server.settings import Settings
from tabpy.tabpy_server.tls.served import ServedCertificate
from tabpy.tabpy_server.workers.fork_server import linux

logger = logging.getLogger(__name__)

NAME = b"tabpy-flight"  # in `ps`
PR_SET_NAME = 15  # linux/prctl.h
BACKLOG = 256  # connections that may wait
RESTART_PAUSE = 1.0  # seconds between two starts
# Stopping is the arbiter's business: scripts that still run have tables to get and to give.
IGNORED = (
    "SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGTTIN", "SIGTTOU",
    "SIGWINCH",
)  # fmt: skip


class FlightProcess:
    """The process that has the tables; web processes ask it through `tables`."""

    def __init__(
        self,
        settings: Settings,
        gate: Gate | OpenGate | TokenGate,
        certificate: ServedCertificate | None,
        others: Sequence[socket.socket] = (),
    ) -> None:
        """Start it. `others`: sockets of the arbiter's that are none of its business. Raises
        StartError if its port can't be had."""
        listener = bind(settings.address, settings.arrowflight_port, "TABPY_ARROWFLIGHT_PORT")
        try:
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            raise StartError(
                f"TABPY_ARROWFLIGHT_PORT is {settings.arrowflight_port}: {error.strerror}."
            ) from None
        asked, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        asked.setblocking(False)
        self.figures = Figures()
        self.tables = FlightTables(asked, main.limits_of(settings).own_size)
        self._asked = asked
        self._others = [*others]
        self._given = Inherited(
            settings=settings,
            gate=gate,
            certificate=certificate,
            listener=listener,
            asked=theirs,
            figures=self.figures,
        )
        self._start()

    def _start(self) -> None:
        self._started = time.monotonic()
        self.figures.show(0, 0, 0)
        self._ready, ready = os.pipe()
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            self._be_it(parent, io.FileIO(ready, "w"))
        os.close(ready)

    def _be_it(self, parent: int, ready: io.FileIO) -> None:
        """Serve in the forked process; never returns."""
        try:
            _leave_the_arbiter(parent, self._others)
            main.run(self._given, ready)
        except BaseException as error:
            if ready.closed:
                logger.exception("failure")
            else:
                ready.write(f"{type(error).__name__}: {error}".encode(errors="replace"))
        finally:
            logging.shutdown()
            os._exit(1)

    def wait_until_ready(self) -> None:
        """Wait until it serves. Raises StartError if it can't."""
        if hindrance := self._hindrance():
            raise StartError(f"TABPY_ARROW_ENABLE: Arrow Flight doesn't start: {hindrance}")

    def _hindrance(self) -> str:
        """Wait until it serves, or has ended; return why it doesn't serve, "" if it does."""
        said = b""
        while chunk := os.read(self._ready, 65536):
            said += chunk
        os.close(self._ready)
        self._ready = -1
        if said == READY:
            return ""
        return said.decode(errors="replace").partition("\n")[0][:300] or "it was killed"

    def restart_if_dead(self, others: Sequence[socket.socket]) -> None:
        """Start another if it has died; its tables are lost. `others`: more sockets that are none
        of its business."""
        if self._lives() or time.monotonic() < self._started + RESTART_PAUSE:
            return
        because = f" ({hindrance})" if self._ready >= 0 and (hindrance := self._hindrance()) else ""
        logger.error(
            "The flight process has died%s, and its tables are lost; starting another.", because
        )
        self._others += [each for each in others if each not in self._others]
        self._start()

    def _lives(self) -> bool:
        try:
            return os.waitpid(self._pid, os.WNOHANG) == (0, 0)
        except ChildProcessError:  # gunicorn has buried it
            return False

    def stop(self) -> None:
        """Kill it."""
        if self._lives():
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        if self._ready >= 0:
            os.close(self._ready)
        for each in (self._asked, self._given.asked, self._given.listener):
            each.close()


def _leave_the_arbiter(parent: int, theirs: Iterable[socket.socket]) -> None:
    """End with the arbiter, and let go of its business and of the sockets that are `theirs`."""
    linux.die_with_parent(parent)
    ctypes.CDLL(None).prctl(PR_SET_NAME, NAME, 0, 0, 0)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for name in IGNORED:
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    for each in theirs:
        each.close()  # or their ports would stay open when the arbiter closes them
