"""What has happened in this web process since somebody last looked: counting that costs nothing.

`prometheus` takes it away once a second and makes it public.
"""

from collections import Counter
from dataclasses import dataclass, field, replace


@dataclass
class Counters:
    """`requests` by route, method and status; `waits` and `runs` in seconds, the latter by route;
    `ends` of workers by reason; `store` in seconds by kind of operation; `pure_calls` by how they
    came to their results. `result_bytes`: what kept results take now."""

    requests: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)
    runs: list[tuple[str, float]] = field(default_factory=list)
    starts: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    store: list[tuple[str, float]] = field(default_factory=list)
    pure_calls: Counter[str] = field(default_factory=Counter)
    result_bytes: int = 0

    def take(self) -> "Counters":
        """Return all of it; counting starts again. What is now stays."""
        taken = replace(self)
        self.requests, self.ends, self.pure_calls = Counter(), Counter(), Counter()
        self.waits, self.runs, self.store = [], [], []
        self.starts = 0
        return taken
