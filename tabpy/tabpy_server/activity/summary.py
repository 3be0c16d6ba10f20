"""The histories of a machine's web processes as one, and what of it somebody may see."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tabpy.tabpy_server.activity.activity import INTERVAL
from tabpy.tabpy_server.activity.durations import quantiles
from tabpy.tabpy_server.activity.history import (
    KINDS,
    LATEST,
    MINUTES,
    OTHERS,
    REFUSED,
    History,
    Minute,
    Request,
)

STALE = 5 * INTERVAL  # seconds after which a process that says nothing is gone
ANY_KIND = "any"  # what all errors are for who may not know of others' classes


def summary(
    histories: Sequence[History],
    now: float,
    is_seen: Callable[[Request], bool] | None,
) -> dict[str, Any]:
    """Return what is shown at `now`, in seconds since 1970.

    `is_seen` says which requests may be: those of the person who asks. None: all, and the classes
    of errors, too, which are in authors' own words.
    """
    last = int(now // 60)
    numbers = range(last - MINUTES + 1, last + 1)
    minutes = [
        [each.minutes[number] for each in histories if number in each.minutes] for number in numbers
    ]
    alive = [each.sample for each in histories if each.sampled_at > now - STALE]
    return {
        "now": round(now, 3),
        "web_processes": len(alive),
        "workers": sum(each.workers for each in alive),
        "busy": sum(each.busy for each in alive),
        "waiting": sum(each.waiting for each in alive),
        "memory": max((each.memory for each in alive), default=0) or None,
        "rate": _rate([*minutes[-2], *minutes[-1]], now),
        "hour": _counted([each for minute in minutes for each in minute], is_seen is None),
        "minutes": [
            {"at": number * 60, **_counted(minute, is_seen is None), **_sampled(minute)}
            for number, minute in zip(numbers, minutes, strict=True)
        ],
        "requests": _latest(histories, is_seen),
    }


def _counted(parts: Sequence[Minute], with_kinds: bool) -> dict[str, Any]:
    errors: Counter[str] = sum((each.errors for each in parts), Counter())
    if not with_kinds:
        errors = +Counter({ANY_KIND: errors.total()})
    elif len(errors) > KINDS:
        most = Counter(dict(errors.most_common(KINDS)))
        errors = most + Counter({OTHERS: errors.total() - most.total()})
    return {
        "requests": sum(each.requests for each in parts),
        "errors": dict(errors.most_common()),
        "queued": quantiles(sum((each.queued for each in parts), Counter())),
        "run": quantiles(sum((each.run for each in parts), Counter())),
    }


def _sampled(parts: Sequence[Minute]) -> dict[str, Any]:
    """Return the mean of workers that were busy, and the most memory, in one minute of several web
    processes; None where nobody looked."""
    means = [each.busy / each.samples for each in parts if each.samples]
    return {
        "busy": round(sum(means), 2) if means else None,
        "memory": max((each.memory for each in parts), default=0) or None,
    }


def _rate(parts: Sequence[Minute], now: float) -> float:
    """Return the requests a second, of the minute that runs and the one before it."""
    return round(sum(each.requests for each in parts) / (60 + now % 60), 3)


def _latest(
    histories: Iterable[History], is_seen: Callable[[Request], bool] | None
) -> list[dict[str, Any]]:
    """Return the latest first. Of who didn't sign in, only who sees all sees anything."""
    seen = _last(
        LATEST,
        (each for history in histories for each in history.latest if not is_seen or is_seen(each)),
    )
    if is_seen is None:
        seen += _last(REFUSED, (each for history in histories for each in history.refused))
    return [
        {**each._asdict(), "line": each.line or None, "function": each.function or None}
        for each in _last(len(seen), seen)
    ]


def _last(number: int, requests: Iterable[Request]) -> list[Request]:
    return sorted(requests, key=lambda each: each.at, reverse=True)[:number]
