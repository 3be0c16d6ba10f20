"""A request with both replies to it, and the reasons for what differs."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.compat.replay.replies import Reply, differences, matches
from tests.compat.replay.requested import Everywhere, Request


@dataclass(frozen=True)
class Exchange:
    request: Request
    theirs: Reply
    ours: Reply
    differences: Sequence[str]

    @classmethod
    def of(cls, request: Request, theirs: Reply, ours: Reply) -> "Exchange":
        return cls(request, theirs, ours, differences(theirs, ours))

    def own(self, everywhere: Sequence[Everywhere]) -> list[str]:
        """The differences that not any reply may have."""
        return [
            each
            for each in self.differences
            if not any(matches(rule.differs, each) for rule in everywhere)
        ]

    def unexplained(self, everywhere: Sequence[Everywhere]) -> list[str]:
        return [
            each
            for each in self.own(everywhere)
            if not any(matches(pattern, each) for pattern in self.request.differs)
        ]

    def outdated(self) -> list[str]:
        """What the list says of this request, and is so no more."""
        return [
            pattern
            for pattern in self.request.differs
            if not any(matches(pattern, each) for each in self.differences)
        ]
