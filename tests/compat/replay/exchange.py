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
        """What the list doesn't say of the replies. Of a status that both have it says which:
        else a request that isn't what it should be would pass, since both refuse it."""
        found = [
            each
            for each in self.own(everywhere)
            if not any(matches(pattern, each) for pattern in self.request.differs)
        ]
        if self.theirs.status == self.ours.status != self.request.status:
            found.append(f"both say {self.ours.status}, not {self.request.status}")
        return found

    def outdated(self) -> list[str]:
        """What the list says of this request, and is so no more."""
        return [
            pattern
            for pattern in self.request.differs
            if not any(matches(pattern, each) for each in self.differences)
        ]
