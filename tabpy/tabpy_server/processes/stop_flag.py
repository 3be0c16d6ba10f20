"""Whether the server is to stop, in a byte that the arbiter and its web processes share.

The arbiter sends a signal as well, once. One that comes between a web process's fork and its
first look at signals is lost; this isn't.
"""

import mmap

RUN, FINISH, STOP_AT_ONCE = range(3)


class StopFlag:
    """Make it before the web processes are forked."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 1)

    @property
    def value(self) -> int:
        """Return RUN, FINISH (requests under way are answered) or STOP_AT_ONCE."""
        return self._shared[0]

    def set(self, value: int) -> None:
        """Say so to all web processes."""
        self._shared[0] = value
