"""On a node: the script worker of a seat, and the private socket to it.

It is for threads, not for an event loop: a call comes on a thread of Ray's, and handing it to a
loop and back would cost a third of what the whole call takes.
"""

import contextlib
import socket
from collections.abc import Mapping

from tabpy.tabpy_server.errors import WorkerDiedError
from tabpy.tabpy_server.process_memory import resident
from tabpy.tabpy_server.process_usage import Usage
from tabpy.tabpy_server.workers.pool.frame_reader import FrameReader
from tabpy.tabpy_server.workers.pool.hired import ENDED, Received
from tabpy.tabpy_server.workers.pool.launchers import ForkLauncher
from tabpy.tabpy_server.workers.pool.worker import may_say, socket_pair, too_large
from tabpy.tabpy_server.workers.protocol import (
    Death,
    Hello,
    Message,
    ProtocolError,
    TooLargeError,
)

READ_SIZE = 1 << 18  # bytes


class NodeWorker:
    """Runs one job at a time; any thread may kill it."""

    held = 0  # bytes; see `Worker.held`

    def __init__(self, launcher: ForkLauncher, memory_mb: float) -> None:
        """Start one, and wait until it's ready. Raises OSError and WorkerDiedError."""
        self._memory_mb = memory_mb
        self._limits: Mapping[type[Message], int] = may_say(memory_mb)
        self._socket, theirs = socket_pair()
        self._reader = FrameReader()
        self._death = ENDED
        self.end = "died"
        self.alive = True
        self.used = False
        self.rested: tuple[Usage, ...] = ()
        with theirs:
            launcher.launch(theirs)
        hello, _ = self._receive()
        if not isinstance(hello, Hello):
            self.kill("did not say hello")
            raise WorkerDiedError(self._death)
        self.pid, self.origin = hello.pid, hello.origin
        self.size_at_start = resident(self.pid)

    def ask(self, frame: bytes) -> Received:
        """Send it a frame, and return what it says next. Raises WorkerDiedError."""
        self.used = True
        self.rested = ()
        # One that dies in mid-message also ends the wait for its reply, with a better reason.
        with contextlib.suppress(OSError):
            self._socket.sendall(frame)
        return self._receive()

    def is_quiet(self) -> bool:
        """Say whether it lives and has said nothing."""
        try:
            self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return self.alive
        except OSError:
            return False
        return False

    def kill(self, because: str = ENDED) -> None:
        """End it now, whatever it does: the fork server sees its socket shut."""
        self.alive = False
        if self._death == ENDED:
            self._death = because
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of what is left of it, when no thread waits for it any more."""
        self.kill()
        self._socket.close()

    def _receive(self) -> Received:
        while True:
            try:
                data = self._socket.recv(READ_SIZE)
                if not data:
                    break
                for message, body in self._reader.feed(data, self._limits):
                    if not isinstance(message, Death):
                        return message, body
                    self._death = message.reason
            except TooLargeError:
                self.kill(too_large(self._memory_mb))
            except ProtocolError as error:
                self.kill(f"was stopped: {error}")
            except OSError:
                break
        self.kill()
        raise WorkerDiedError(self._death)
