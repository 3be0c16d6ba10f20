"""How much memory the bodies of requests may take together, in this web process.

Each body has a limit of its own, but several large ones at once could still end the process, and
with it everybody's requests. What doesn't fit is refused before it comes.
"""

from tabpy.tabpy_server import machine
from tabpy.tabpy_server.web.answers import Answer, RefusedRequestError

SMALL = 1 << 20  # bytes: what large bodies never keep out
SPARE = 1 << 25  # bytes beyond the budget, for small ones only
PART = 4  # of the machine's memory, for the bodies of all web processes

NO_ROOM = Answer(
    503,
    "The server has as many large requests under way as it has memory for.",
    "This one was not read. Try again later.",
    {"Retry-After": "5"},
)


class BodyBudget:
    """The bytes that may be held, and that are."""

    def __init__(self, limit: float) -> None:
        """`limit` is in bytes, and may be infinite."""
        self._limit = limit
        self.held = 0

    def share(self) -> "BodyShare":
        """Return what one request counts with."""
        return BodyShare(self)

    def take(self, size: int, more: int) -> None:
        """Count `more` bytes, of a body that has `size` with them. Raises RefusedRequestError."""
        limit = self._limit + (SPARE if size <= SMALL else 0)
        if self.held + more > limit:
            raise RefusedRequestError(NO_ROOM)
        self.held += more

    def give_back(self, size: int) -> None:
        """Count `size` bytes out."""
        self.held -= size


class BodyShare:
    """The bytes that one body is counted with: never twice, and not beyond its end."""

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self._size = 0
        self._is_over = False

    def grow(self, size: int) -> None:
        """Have it be at least `size` bytes. Raises RefusedRequestError, and then it stays as it is.

        After its end it stays nothing.
        """
        if size > self._size and not self._is_over:
            self._budget.take(size, size - self._size)
            self._size = size

    def end(self) -> None:
        """Give all back; nothing more will be held."""
        self._is_over = True
        self._budget.give_back(self._size)
        self._size = 0


def body_budget(web_processes: int, max_request_size: int) -> BodyBudget:
    """Return the budget of one of `web_processes`: its part of this machine's memory, but enough
    for one request of `max_request_size` bytes."""
    part = machine.memory_mb() * (1 << 20) / PART / web_processes
    return BodyBudget(max(part, max_request_size))
