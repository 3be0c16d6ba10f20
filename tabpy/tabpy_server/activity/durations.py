"""Many durations in little room: how many there were of about each length.

Each length is FACTOR times the one before, so what is read from it is right to 8 %.
"""

import math
from collections import Counter
from collections.abc import Mapping

FACTOR = 1.15
SHORTEST, LONGEST = 0.1, 86_400_000.0  # milliseconds: shorter counts as none, longer as a day
NONE = -1_000  # the length of what took no time


def length_of(ms: float) -> int:
    """Return the number of the length that `ms` milliseconds are nearest to."""
    if ms < SHORTEST:
        return NONE
    return round(math.log(min(ms, LONGEST), FACTOR))


def quantile(counts: Mapping[int, int], share: float) -> float | None:
    """Return the milliseconds that a share of the durations didn't pass; None if there are none."""
    rank = math.ceil(share * sum(counts.values()))
    for length, count in sorted(counts.items()):
        rank -= count
        if rank <= 0:
            return 0.0 if length == NONE else round(FACTOR**length, 1)
    return None


def quantiles(counts: Counter[int]) -> dict[str, float] | None:
    """Return p50 and p99 in milliseconds; None if there are none."""
    middle, high = quantile(counts, 0.5), quantile(counts, 0.99)
    return None if middle is None or high is None else {"p50": middle, "p99": high}
