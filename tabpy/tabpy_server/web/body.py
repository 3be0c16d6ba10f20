"""Where the pieces of a request's body go."""

import time
from collections.abc import Awaitable
from typing import Protocol

from tabpy.tabpy_server.web.body_budget import BodyShare


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
        self.pieces: list[bytes] = []
        self.waited = 0.0
        self._share = share
        self._patience = patience
        self._size = 0
        self._is_dropped = False

    def keep(self, piece: bytes) -> Awaitable[None] | None:
        self._size += len(piece)
        if not self._share.grow(self._size):
            return self._keep_in_line(piece)
        self.pieces.append(piece)
        return None

    async def _keep_in_line(self, piece: bytes) -> None:
        began = time.monotonic()
        try:
            await self._share.grow_in_line(self._size, self._patience - self.waited)
        finally:
            self.waited += time.monotonic() - began
        if not self._is_dropped:
            self.pieces.append(piece)

    def drop(self) -> None:
        self._is_dropped = True
        self.pieces.clear()
        self._share.end()
