"""What is counted, until it is taken away."""

from collections import Counter
from dataclasses import fields

import pytest

from tabpy.tabpy_server.metrics.counters import Counters


def test_what_is_taken_is_all_and_counting_starts_again() -> None:
    counters = Counters()
    counters.requests["/evaluate", "POST", 200] += 2
    counters.waits.append(0.5)
    counters.runs.append(("/evaluate", 1.5))
    counters.starts += 1
    counters.ends["died"] += 1
    counters.store.append(("read", 0.1))
    counters.pure_calls["hit"] += 3
    assert counters.take() == Counters(
        requests=Counter({("/evaluate", "POST", 200): 2}),
        waits=[0.5],
        runs=[("/evaluate", 1.5)],
        starts=1,
        ends=Counter({"died": 1}),
        store=[("read", 0.1)],
        pure_calls=Counter({"hit": 3}),
    )
    assert counters == Counters()


def test_what_is_now_stays() -> None:
    counters = Counters(result_bytes=5)
    assert (counters.take().result_bytes, counters.result_bytes) == (5, 5)


NUMBERS = ("starts", "result_bytes")


@pytest.mark.parametrize(
    "name", [each.name for each in fields(Counters) if each.name not in NUMBERS]
)
def test_what_is_counted_later_does_not_change_what_was_taken(name: str) -> None:
    counters = Counters()
    before = getattr(counters, name)
    assert getattr(counters.take(), name) is before
    assert getattr(counters, name) is not before
