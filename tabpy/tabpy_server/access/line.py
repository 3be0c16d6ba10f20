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
        self._waiting = [*self._still_waiting(), turn]
        if len(self._waiting) > MOST_WAITING:
            self._waiting.pop(0).set_exception(TooManySignInsError(RETRY_SECONDS))
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.exception() is None:
                self._pass_on()  # its turn had come in the same moment
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        self._waiting = self._still_waiting()
        if self._waiting:
            self._waiting.pop().set_result(None)
        else:
            self._taken = False

    def _still_waiting(self) -> list[asyncio.Future[None]]:
        """Return those that haven't been cancelled, also in this moment."""
        return [each for each in self._waiting if not each.cancelled()]
