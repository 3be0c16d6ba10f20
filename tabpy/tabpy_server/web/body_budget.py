"""How much memory the bodies of requests may take together, in this web process.

Each body has a limit of its own, but several large ones at once could still end the process, and
with it everybody's requests. So a body is read as long as there is room, and then waits in line
unread, which its client notices as a slow connection. What has come counts, not what was said to
come: who sends slowly holds little.

Bodies of which each has come halfway could wait for each other. So one at a time, the first in
line, is read to its end whatever there is room for.
"""

import asyncio
from dataclasses import dataclass

from tabpy.tabpy_server import machine
from tabpy.tabpy_server.web.answers import Answer, RefusedRequestError

SMALL = 1 << 20  # bytes: what large bodies never keep out
SPARE = 1 << 25  # bytes beyond the budget, for small ones only
PART = 16  # of the machine's memory, for the bodies of all web processes: jobs take ten times that

NO_ROOM = Answer(
    503,
    "The server has as many large requests under way as it has memory for.",
    "This one has waited in line and was not read to its end. Try again later.",
    {"Retry-After": "5"},
)


@dataclass(eq=False)
class _Waiter:
    """A body that is to grow to `size` when there is room."""

    share: "BodyShare"
    size: int
    has_room: asyncio.Future[None]


class BodyBudget:
    """The bytes that may be held, and that are."""

    def __init__(self, limit: float) -> None:
        """`limit` is in bytes, and may be infinite."""
        self._limit = limit
        self.held = 0
        self.favoured: BodyShare | None = None  # who is read to its end, room or not
        self._line: list[_Waiter] = []

    def share(self) -> "BodyShare":
        """Return what one request counts with."""
        return BodyShare(self)

    def fits(self, size: int, more: int) -> bool:
        """Say whether there is room for `more` bytes, of a body that has `size` with them."""
        limit = self._limit + (SPARE if size <= SMALL else 0)
        return self.held + more <= limit

    def give_back(self, size: int) -> None:
        """Count `size` bytes out: others may have room then."""
        self.held -= size
        self.serve_line()

    def enter(self, share: "BodyShare", size: int) -> _Waiter:
        """Put a body at the end of the line."""
        waiter = _Waiter(share, size, asyncio.get_running_loop().create_future())
        self._line.append(waiter)
        self.serve_line()
        return waiter

    def leave(self, waiter: _Waiter) -> None:
        """Take a body out of the line, if it is there."""
        if waiter in self._line:
            self._line.remove(waiter)

    def serve_line(self) -> None:
        """Let those grow who may."""
        for waiter in [*self._line]:
            if self.favoured is None:
                self.favoured = waiter.share
            if waiter.share.grow(waiter.size):
                self._line.remove(waiter)
                if not waiter.has_room.done():
                    waiter.has_room.set_result(None)


class BodyShare:
    """The bytes that one body is counted with: never twice, and not beyond its end."""

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self._size = 0
        self._is_over = False

    def grow(self, size: int) -> bool:
        """Have it be at least `size` bytes; False if there is no room, and then it stays as it is.

        After its end it stays nothing.
        """
        if size <= self._size or self._is_over:
            return True
        more = size - self._size
        if self._budget.favoured is not self and not self._budget.fits(size, more):
            return False
        self._budget.held += more
        self._size = size
        return True

    async def grow_in_line(self, size: int, seconds: float) -> None:
        """Do the same as soon as there is room. Raises RefusedRequestError after `seconds`."""
        waiter = self._budget.enter(self, size)
        try:
            async with asyncio.timeout(seconds):
                await waiter.has_room
        except TimeoutError:
            raise RefusedRequestError(NO_ROOM) from None
        finally:
            self._budget.leave(waiter)

    def end(self) -> None:
        """Give all back; nothing more will be held."""
        self._is_over = True
        if self._budget.favoured is self:
            self._budget.favoured = None
        size, self._size = self._size, 0
        self._budget.give_back(size)


def body_budget(web_processes: int) -> BodyBudget:
    """Return the budget of one of `web_processes`: its part of this machine's memory."""
    return BodyBudget(machine.memory_mb() * (1 << 20) / PART / web_processes)
