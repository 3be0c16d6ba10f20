"""Where the pieces of a request's body go."""

from typing import Protocol

from tabpy.tabpy_server.web.body_budget import BodyShare


class Body(Protocol):
    """Takes the pieces of a request that is let in."""

    def expect(self, size: int) -> None:
        """Make ready for so many bytes. An error raised here refuses the request."""

    def keep(self, piece: bytes) -> None:
        """Keep the next piece. An error raised here refuses the request."""

    def drop(self) -> None:
        """Forget all, and keep no more."""


class HeldBody:
    """Has them in memory, as far as there is room."""

    def __init__(self, share: BodyShare) -> None:
        self.pieces: list[bytes] = []
        self._share = share
        self._size = 0

    def expect(self, size: int) -> None:
        self._share.grow(size)

    def keep(self, piece: bytes) -> None:
        # Nobody may have said how large it is, or unpacked will be.
        self._size += len(piece)
        self._share.grow(self._size)
        self.pieces.append(piece)

    def drop(self) -> None:
        self.pieces.clear()
        self._share.end()
