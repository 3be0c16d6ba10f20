"""The web process: a request's body, as it comes in for a worker.

A large one doesn't stay in this process: its pieces go to memory whose descriptor the worker gets.
"""

from tabpy.tabpy_server import memfd
from tabpy.tabpy_server.memfd import Memory

LARGE = 1 << 18  # bytes: below, two copies through a socket cost less than mapping it


class Body:
    """What has come so far: in `pieces`, or, if it is large, all of it in `memory`."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.memory: Memory | None = None
        self.size = 0
        self._stays = not memfd.IS_HERE

    def add(self, piece: bytes) -> None:
        """Take the next piece. Raises OSError if there's no memory for it."""
        self.size += len(piece)
        if self.memory is not None:
            self.memory.write([piece])
            return
        self.pieces.append(piece)
        if self.size > LARGE and not self._stays:
            self._move()

    def clear(self) -> None:
        """Let go of it."""
        self.pieces.clear()
        if self.memory is not None:
            self.memory.close()
        self.memory = None

    def whole(self) -> bytes:
        """Return all of it, which is small."""
        if self.memory is None:
            return b"".join(self.pieces)
        with self.memory.view() as view:
            return bytes(view)

    def _move(self) -> None:
        try:
            self.memory = memfd.empty("tabpy-body")
        except OSError:  # no descriptor is left: then it goes through the socket
            self._stays = True
            return
        self.memory.write(self.pieces)
        self.pieces.clear()
