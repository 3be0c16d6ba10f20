"""Where the pieces of a request's body go."""

import time
from collections.abc import Awaitable
from typing import Protocol

from tabpy.tabpy_server.web.answers import RefusedRequestError
from tabpy.tabpy_server.web.body_budget import NO_ROOM, BodyShare
from tabpy.tabpy_server.workers.pool.body import Body as Content


class Body(Protocol):
    """Takes the pieces of a request that is let in."""

    def keep(self, piece: bytes) -> Awaitable[None] | None:
        """Keep the next piece; wait for what is returned. An error raised here, or while waiting,
        refuses the request."""

    def drop(self) -> None:
        """Forget all, and keep no more."""


class HeldBody:
    """Has them in memory, as far as there is room; else they wait in line for it, unread. `waited`:
    seconds in line so far."""

    def __init__(self, share: BodyShare, patience: float) -> None:
        """`patience`: seconds that it may wait in all."""
        self.content = Content()
        self.waited = 0.0
        self._share = share
        self._patience = patience
        self._size = 0
        self._is_dropped = False

    def keep(self, piece: bytes) -> Awaitable[None] | None:
        self._size += len(piece)
        if not self._share.grow(self._size):
            return self._keep_in_line(piece)
        self._add(piece)
        return None

    async def _keep_in_line(self, piece: bytes) -> None:
        began = time.monotonic()
        try:
            await self._share.grow_in_line(self._size, self._patience - self.waited)
        finally:
            self.waited += time.monotonic() - began
        if not self._is_dropped:
            self._add(piece)

    def _add(self, piece: bytes) -> None:
        try:
            self.content.add(piece)
        except OSError:
            raise RefusedRequestError(NO_ROOM) from None

    @property
    def pieces(self) -> list[bytes]:
        """Return it as bytes: a large one is copied."""
        return self.content.pieces if self.content.memory is None else [self.content.whole()]

    def drop(self) -> None:
        self._is_dropped = True
        self.content.clear()
        self._share.end()
