"""What one web process has done: the last hour by minutes, and the latest requests.

No data of a request is in it: a user, a route, times, and of a failure what the log says.
Everything is bounded, however much happens.
"""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tabpy.tabpy_server.activity.durations import length_of

MINUTES = 60
LATEST = 100  # requests of who signed in
REFUSED = 20  # of who didn't, in a list of their own: they push no others out
KINDS = 12  # of errors in a minute; more are counted together
OTHERS = "others"
TEXT_LIMIT = 120  # characters of a user, a route, an id


class Request(NamedTuple):
    """One that is over. `at`: when, in seconds since 1970. `error`: as in the log, with the line
    and the function where a script failed; None: it didn't fail."""

    at: float
    id: str
    user: str | None
    method: str
    route: str
    status: int
    queued_ms: float
    run_ms: float
    total_ms: float
    error: str | None = None
    line: int = 0
    function: str = ""


@dataclass(frozen=True)
class Sample:
    """How things stand: jobs on workers and without one, workers, and the memory that the machine's
    container takes, in bytes (0: not known)."""

    busy: int
    waiting: int
    workers: int
    memory: int


@dataclass
class Minute:
    """What happened in one. Of the samples, sums, and the most memory; of jobs, how many waited and
    ran for which of the lengths in `durations`."""

    requests: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    queued: Counter[int] = field(default_factory=Counter)
    run: Counter[int] = field(default_factory=Counter)
    samples: int = 0
    busy: int = 0
    memory: int = 0

    def count_error(self, kind: str, number: int = 1) -> None:
        """Count an error; of a new kind with the others, when there are many kinds."""
        is_new = kind not in self.errors and len(self.errors) >= KINDS
        self.errors[OTHERS if is_new else kind] += number


class History:
    """What has happened, by `now`: seconds since 1970 which each call is given."""

    def __init__(self) -> None:
        self.minutes: dict[int, Minute] = {}  # by their numbers since 1970
        self.latest: deque[Request] = deque(maxlen=LATEST)
        self.refused: deque[Request] = deque(maxlen=REFUSED)
        self.sample = Sample(0, 0, 0, 0)
        self.sampled_at = 0.0
        self._written: dict[int, dict[str, Any]] = {}  # of minutes that haven't changed since

    def note(self, request: Request, *, signed_in: bool) -> None:
        """Count a request, and keep it with the latest ones. `signed_in`: its sender has."""
        minute = self._minute(request.at)
        minute.requests += 1
        if request.error is not None:
            minute.count_error(request.error[:TEXT_LIMIT])
        if request.run_ms or request.queued_ms:
            minute.queued[length_of(request.queued_ms)] += 1
        if request.run_ms:
            minute.run[length_of(request.run_ms)] += 1
        (self.latest if signed_in else self.refused).append(_cut(request))

    def take_sample(self, now: float, sample: Sample) -> None:
        """Note how things stand."""
        minute = self._minute(now)
        minute.samples += 1
        minute.busy += sample.busy
        minute.memory = max(minute.memory, sample.memory)
        self.sample, self.sampled_at = sample, now

    def _minute(self, now: float) -> Minute:
        number = int(now // 60)
        self._written.pop(number, None)
        if number not in self.minutes:
            self.minutes[number] = Minute()
            # A clock that is put back leaves minutes in the future: those go, too.
            kept = range(number - MINUTES, number + 1)
            self.minutes = {key: self.minutes[key] for key in self.minutes if key in kept}
        return self.minutes[number]

    # As JSON

    def written(self) -> dict[str, Any]:
        """Return all of it, as `read` takes it. Once a second, so what is over is kept as it is."""
        self._written = {
            number: self._written.get(number) or _written(each)
            for number, each in self.minutes.items()
        }
        return {
            "minutes": [*self._written.items()],
            "latest": [each._asdict() for each in self.latest],
            "refused": [each._asdict() for each in self.refused],
            "sample": vars(self.sample),
            "sampled_at": self.sampled_at,
        }

    @classmethod
    def read(cls, written: Mapping[str, Any]) -> "History":
        """Return what was written."""
        history = cls()
        history.minutes = {number: _read(each) for number, each in written["minutes"]}
        history.latest.extend(Request(**each) for each in written["latest"])
        history.refused.extend(Request(**each) for each in written["refused"])
        history.sample = Sample(**written["sample"])
        history.sampled_at = written["sampled_at"]
        return history


def _cut(request: Request) -> Request:
    texts = (request.id, request.user, request.method, request.route, request.error)
    if all(each is None or len(each) <= TEXT_LIMIT for each in texts):
        return request  # as nearly all are: to make another costs more than all else here
    return request._replace(
        id=request.id[:TEXT_LIMIT],
        user=request.user and request.user[:TEXT_LIMIT],
        method=request.method[:TEXT_LIMIT],
        route=request.route[:TEXT_LIMIT],
        error=request.error and request.error[:TEXT_LIMIT],
    )


def _written(minute: Minute) -> dict[str, Any]:
    counts = {name: [*getattr(minute, name).items()] for name in ("queued", "run")}
    return {**vars(minute), **counts}


def _read(written: Mapping[str, Any]) -> Minute:
    counts = {name: Counter(dict(written[name])) for name in ("queued", "run", "errors")}
    return Minute(**{**written, **counts})
