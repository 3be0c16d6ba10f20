"""The web process: how many workers there should be, by the jobs that there are."""

import time

KEEP_SECONDS = 60.0  # that workers stay beyond the least, in case the next burst comes


class Demand:
    """As many as there are jobs, at once; as few as there were lately, after a while."""

    def __init__(self, least: int, most: int) -> None:
        self._least = least
        self._most = most
        self._size = least
        self._peak = 0  # jobs at a time since `_since`
        self._since = time.monotonic()

    def size(self, jobs: int) -> int:
        """Return how many there should be now that so many jobs run or wait."""
        now = time.monotonic()
        self._peak = max(self._peak, jobs)
        if now > self._since + KEEP_SECONDS:
            self._size = self._within(self._peak)
            self._peak, self._since = jobs, now
        self._size = max(self._size, self._within(jobs))
        return self._size

    def _within(self, jobs: int) -> int:
        return min(max(jobs, self._least), self._most)
