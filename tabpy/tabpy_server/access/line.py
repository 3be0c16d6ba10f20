"""Waiting for one another, the newest first."""

import asyncio
from types import TracebackType

from tabpy.tabpy_server.errors import TooManySignInsError

MOST_WAITING = 64
RETRY_SECONDS = 5.0


class Line:
    """A lock that who came last gets next: in a flood of guesses somebody's one right password
    doesn't wait for all that came before it.

    At most `MOST_WAITING` wait; then the one that has waited longest gets TooManySignInsError.
    """

    def __init__(self) -> None:
        self._taken = False
        self._waiting: list[asyncio.Future[None]] = []

    async def __aenter__(self) -> None:
        if not self._taken:
            self._taken = True
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        if len(self._waiting) > MOST_WAITING:
            self._waiting.pop(0).set_exception(TooManySignInsError(RETRY_SECONDS))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._waiting.remove(turn)
            else:  # its turn had come in the same moment
                self._pass_on()
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        if self._waiting:
            self._waiting.pop().set_result(None)
        else:
            self._taken = False
