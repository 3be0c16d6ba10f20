"""The connections of a web process: how many there may be, and how long each may stand still.

A connection costs a descriptor, and whoever can reach the port can open many. So there is a limit
below that of the process, and when it's reached, the one goes first that waits for nothing of ours.
"""

import asyncio
import logging
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

logger = logging.getLogger(__name__)

LOOK_EVERY = 1.0  # seconds
FIRST_LOOK = 0.01  # seconds between looks for first requests, while the server stops
HEADER_SECONDS = 15.0  # from a connection's start, or a later request's first byte, to its headers
STILL_SECONDS = 60.0  # in which a body or a reply has to get on by a byte
REPLY_SECONDS = 300.0  # in which a client has to have taken what waits for it
TELL_EVERY = 600.0  # seconds between warnings of the same kind
SPEAKS_HTTP = (
    "A client speaks https to this port, which speaks http. Set Require SSL to no in Tableau, or "
    "begin the address with http://, or give the server a certificate (TABPY_TRANSFER_PROTOCOL)."
)


class Connections:
    """All that are open, in the order in which they may have to go."""

    def __init__(
        self,
        most: int,
        clock: Callable[[], float] = time.monotonic,
        *,
        idle_seconds: float = math.inf,
        body_seconds: float = math.inf,
    ) -> None:
        """`clock` tells seconds. `idle_seconds`: for which one may wait for a request;
        `body_seconds`: in which a request's body has to have come."""
        self.most = most
        self.clock = clock
        self.idle_seconds = idle_seconds
        self.body_seconds = body_seconds
        self._https_clients = 0  # that have come since it was last told of them
        self._https_told: float | None = None  # when that was
        # Each in the order in which they came to be so.
        self.idle: dict[Watched, None] = {}
        self.unadmitted: dict[Watched, None] = {}
        self.admitted: dict[Watched, None] = {}

    def __len__(self) -> int:
        return len(self.idle) + len(self.unadmitted) + len(self.admitted)

    def make_room(self) -> bool:
        """Tell whether there is room for one more. Closes one if need be: the one that has waited
        longest for a request, else the oldest whose request isn't let in, or not yet."""
        if len(self) < self.most:
            return True
        oldest = next(iter(self.idle), None) or next(iter(self.unadmitted), None)
        if oldest is None:
            return False
        oldest.close()
        return True

    def move(self, connection: "Watched", to: "dict[Watched, None]") -> None:
        """Have an open one be in `to`, as the newest there, and in none of the others."""
        connection.place.pop(connection, None)
        to[connection] = None
        connection.place = to

    async def first_requests(self, seconds: float) -> None:
        """Wait until each has made its first request that was opened less than `seconds` ago: a
        proxy that connected just before the port closed sends one, and no other server gets it."""
        while any(each.headers_expected(seconds) for each in self.idle):  # noqa: ASYNC110
            await asyncio.sleep(FIRST_LOOK)

    def count_https(self) -> None:
        """Note that a client has spoken https to this http port, and say so now and then: whoever
        does it often is a monitor, or has a workbook with many marks."""
        self._https_clients += 1
        now = self.clock()
        if self._https_told is not None and now - self._https_told < TELL_EVERY:
            return
        fields = {"connections": self._https_clients}
        logger.warning(SPEAKS_HTTP, extra={"fields": fields})
        self._https_told, self._https_clients = now, 0

    async def watch(self) -> None:
        """Look after them, for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            self.close_slow()

    def close_slow(self) -> None:
        """Close those that have taken too long."""
        now = self.clock()
        slow = [each for each in self.idle if each.rests_too_long(now)]
        slow += [each for each in (*self.unadmitted, *self.admitted) if each.stands_still(now)]
        for connection in slow:
            connection.close()


class Watched(ABC):
    """A connection that knows whether anything moves on it."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._since = connections.clock()  # of waiting for a request, or of a request's headers
        # When the headers that are to come began; None until they do, on a connection kept alive.
        self.headers_since: float | None = self._since
        self._waits_for_headers = True
        self.moved = 0  # bytes that came
        self._seen = (-1, 0.0)  # so many had moved, in and out, at that time
        self._writing_since: float | None = None
        self.place = connections.idle  # among the connections
        self.place[self] = None

    # What it is

    @abstractmethod
    def close(self) -> None:
        """Close it at once."""

    @abstractmethod
    def reading(self) -> bool:
        """Tell whether more of a body has to come."""

    @abstractmethod
    def writing(self) -> bool:
        """Tell whether the client has to take something."""

    @abstractmethod
    def taken(self) -> int:
        """Return how many bytes the client has taken so far."""

    # What happens to it

    def note(self, size: int) -> None:
        """Note that so many bytes have come."""
        self.moved += size
        if self._waits_for_headers and self.headers_since is None:
            self.headers_since = self._connections.clock()

    def await_request(self) -> None:
        """Note that the last request is answered, and another may come."""
        self._waits_for_headers = True
        self._since = self._connections.clock()
        self.headers_since = None
        self._connections.move(self, self._connections.idle)

    def begin_request(self) -> None:
        """Note that a request's headers have come."""
        self._waits_for_headers = False
        self._since = self._connections.clock()
        self._seen = (-1, 0.0)
        self._writing_since = None
        self._connections.move(self, self._connections.unadmitted)

    def admit_request(self) -> None:
        """Note that the request is let in: it will be answered."""
        self._move_on(self._connections.admitted)

    def refuse_request(self) -> None:
        """Note that the rest of the request is only read to be dropped."""
        self._move_on(self._connections.unadmitted)

    def _move_on(self, to: "dict[Watched, None]") -> None:
        if self in self.place and self.place is not self._connections.idle:
            self._connections.move(self, to)

    def forget(self) -> None:
        """Note that it is closed."""
        self.place.pop(self, None)

    # How long it takes

    def headers_expected(self, seconds: float) -> bool:
        """Tell whether it was opened, or headers began to come, less than `seconds` ago."""
        since = self.headers_since
        return since is not None and self._connections.clock() - since < seconds

    def rests_too_long(self, now: float) -> bool:
        """Tell whether headers have begun to come, and should have come by now, or nobody makes a
        request."""
        is_late = self.headers_since is not None and now - self.headers_since > HEADER_SECONDS
        return is_late or now - self._since > self._connections.idle_seconds

    def stands_still(self, now: float) -> bool:
        """Tell whether the client keeps a body or a reply from getting on. To be asked often."""
        is_reading, is_writing = self.reading(), self.writing()
        if not is_writing:
            self._writing_since = None
        elif self._writing_since is None:
            self._writing_since = now
        moved, since = self._seen
        if moved != self.moved + self.taken() or not (is_writing or is_reading):
            self._seen = (self.moved + self.taken(), now)
            since = now
        is_slow = self._writing_since is not None and now - self._writing_since > REPLY_SECONDS
        is_long = is_reading and now - self._since > self._connections.body_seconds
        return is_slow or is_long or now - since > STILL_SECONDS
