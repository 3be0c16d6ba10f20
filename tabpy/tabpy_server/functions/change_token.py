"""A value that all web processes of a machine share and that changes when the store has changed.

Comparing it costs nothing, so every request can, and a function that one web process has stored
is known to the others before the client hears that it was.
"""

import mmap
import os

SIZE = 8  # bytes


class ChangeToken:
    """Make it before the web processes are forked."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, SIZE)

    def value(self) -> str:
        """Return the present value."""
        return self._shared[:SIZE].hex()

    def change(self) -> None:
        """Take a value that it never had; counting up would need a lock."""
        self._shared[:SIZE] = os.urandom(SIZE)
