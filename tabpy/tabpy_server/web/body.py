"""Where the pieces of a request's body go."""

from typing import Protocol

from tabpy.tabpy_server.web.answers import RefusedRequestError
from tabpy.tabpy_server.web.body_budget import NO_ROOM, BodyShare
from tabpy.tabpy_server.workers.pool.body import Body as Content


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
        self.content = Content()
        self._share = share
        self._size = 0

    def expect(self, size: int) -> None:
        self._share.grow(size)

    def keep(self, piece: bytes) -> None:
        # Nobody may have said how large it is, or unpacked will be.
        self._size += len(piece)
        self._share.grow(self._size)
        try:
            self.content.add(piece)
        except OSError:
            raise RefusedRequestError(NO_ROOM) from None

    @property
    def pieces(self) -> list[bytes]:
        """Return it as bytes: a large one is copied."""
        return self.content.pieces if self.content.memory is None else [self.content.whole()]

    def drop(self) -> None:
        self.content.clear()
        self._share.end()
