"""What wasn't deployed at the start: one web process tries, and each can tell people.

It is in memory that they share, so it is of this start and no other.
"""

import mmap
from collections.abc import Iterable

SIZE = 1 << 14  # bytes; what doesn't fit is in the log
NOTHING = b"\0"


class StartupProblems:
    """A line for each. Make it before the web processes are forked."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, SIZE)

    def tell(self, problems: Iterable[str]) -> None:
        """Say what they are, in place of what was said before."""
        lines = "\n".join(" ".join(each.split()) for each in problems)
        self._shared[:] = lines.encode()[:SIZE].ljust(SIZE, NOTHING)

    def lines(self) -> list[str]:
        """Return what was said last, by whichever web process."""
        return self._shared[:].rstrip(NOTHING).decode("utf-8", "ignore").splitlines()
