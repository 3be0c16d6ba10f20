"""What was answered in the storm, and whether it may be."""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from tabpy.tabpy_server import errors
from tests.running import Reply, Server
from tests.storm.strikes import Strike

# What a client may be told while processes are killed, and no more than that: docs/rest.md.
DIED = ("Error processing script", "The script's process ")
LOST_CHECK = "It ended its process. The process "  # of an archive
TRY_AGAIN = {
    each.message
    for each in (
        errors.AllBusyError,
        errors.QueueFullError,
        errors.DrainingError,
        errors.FunctionNotReadyError,
        errors.StoreUnavailableError,
    )
}
NO_ANSWER = (OSError, http.client.HTTPException)


@dataclass
class Outage:
    """From a strike until all is well again: `until` is None before that. In seconds of
    `time.monotonic`."""

    strike: Strike
    since: float
    until: float | None = None

    def meets(self, since: float, until: float) -> bool:
        return self.since <= until and (self.until is None or self.until >= since)


class Record:
    """Counts answers, by what they are, and keeps what may not be."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outages: list[Outage] = []
        self.answers: Counter[str] = Counter()
        self.wrong: list[str] = []

    def begin_outage(self, strike: Strike) -> Outage:
        outage = Outage(strike, time.monotonic())
        with self._lock:
            self._outages.append(outage)
        return outage

    def complain(self, what: str) -> None:
        with self._lock:
            self.wrong.append(what)
        print(f"WRONG {what}", flush=True)

    def ask(
        self, what: str, server: Server, send: Callable[[Server], Reply], *right: int
    ) -> Reply | None:
        """The reply if its status is `right`; else None, and it has to have its reason."""
        since = time.monotonic()
        try:
            reply = send(server)
        except NO_ANSWER as error:
            name = type(error).__name__
            met = [each.strike for each in self._met(since)]
            if isinstance(error, ConnectionRefusedError):
                excused = any(each.ends_the_server for each in met)
            else:
                excused = any(each.breaks_connections for each in met)
            if isinstance(error, TimeoutError) or not excused:
                self.complain(f"{what}: {name} {error}, {_during(met)}")
            self._count(name)
            return None
        if reply.status in right:
            return reply
        met = [each.strike for each in self._met(since)]
        if not met or not _is_documented(reply):
            self.complain(f"{what}: {reply.status} {reply.body[:500]!r}, {_during(met)}")
        else:
            self._count(f"{reply.status} {reply.json['message']}")
        return None

    def count_right(self, what: str) -> None:
        self._count(f"right: {what}")

    def _count(self, answer: str) -> None:
        with self._lock:
            self.answers[answer] += 1

    def _met(self, since: float) -> list[Outage]:
        with self._lock:
            return [each for each in self._outages if each.meets(since, time.monotonic())]


def _during(strikes: list[Strike]) -> str:
    return f"during {', '.join(map(str, strikes))}" if strikes else "out of the blue"


def _is_documented(reply: Reply) -> bool:
    try:
        status, message, info = reply.error
    except (ValueError, AssertionError):
        return False
    match status:
        case 408:
            return message.startswith("User defined script timed out.")
        case 500:
            return (message, info[: len(DIED[1])]) == DIED
        case 503:
            return message in TRY_AGAIN and "Retry-After" in reply.headers
        case 400:
            return info.startswith(LOST_CHECK)
        case _:
            return False
