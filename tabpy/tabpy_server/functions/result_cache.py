"""Results that are kept for a while, as many as there is room for."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

SHARE = 8  # a result that would take more than this part of the room isn't kept
OVERHEAD = 500  # bytes that an entry takes beside its result (measured)
STEPS = 1_000  # entries dropped in one go: some milliseconds


@dataclass(frozen=True)
class Result:
    """What a function's call came to: the reply's `body`, JSON, and its `etag`."""

    body: bytes
    etag: str


class Found(NamedTuple):
    """A result, the seconds since it was kept, and those that it will be kept for."""

    result: Result
    age: float
    left: float


class ResultCache:
    """Results by key, each for `seconds`; the least lately used go when there are too many.

    `size`: the bytes that they take now, keys included.
    """

    def __init__(
        self, room: int, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`room`: bytes that they may take; with 0 none is kept."""
        self.room = room
        self.size = 0
        self._seconds = seconds
        self._clock = clock
        self._by_use: OrderedDict[bytes, Result] = OrderedDict()
        self._by_age: OrderedDict[bytes, float] = OrderedDict()  # when they were kept

    def __len__(self) -> int:
        return len(self._by_use)

    def get(self, key: bytes) -> Found | None:
        """Return what is kept, None if nothing is."""
        if key not in self._by_use:
            return None
        age = self._clock() - self._by_age[key]
        if age >= self._seconds:
            self._drop(key)
            return None
        self._by_use.move_to_end(key)
        return Found(self._by_use[key], age, self._seconds - age)

    def put(self, key: bytes, result: Result) -> bool:
        """Keep a result, in the place of others; say whether there is room for it."""
        size = _size(key, result)
        if size * SHARE > self.room:
            return False
        if key in self._by_use:
            self._drop(key)
        while self.size + size > self.room:
            self._drop(next(iter(self._by_use)))
        self._by_use[key] = result
        self._by_age[key] = self._clock()
        self.size += size
        return True

    def drop_old(self) -> None:
        """Drop those whose time is over, but not too many at once."""
        for _ in range(STEPS):
            oldest = next(iter(self._by_age.items()), None)
            if oldest is None or self._clock() - oldest[1] < self._seconds:
                return
            self._drop(oldest[0])

    def clear(self) -> None:
        """Drop all of them."""
        self._by_use, self._by_age = OrderedDict(), OrderedDict()
        self.size = 0

    def _drop(self, key: bytes) -> None:
        self.size -= _size(key, self._by_use.pop(key))
        del self._by_age[key]


def _size(key: bytes, result: Result) -> int:
    return len(key) + len(result.body) + len(result.etag) + OVERHEAD
