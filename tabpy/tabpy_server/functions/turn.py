"""A turn that one web process of a server has at a time, until it ends.

Not by the name of a file: another server, the next version of this one perhaps, may have the same
state folder, and its web processes share nothing with these.
"""

import os
import sys
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform != "win32":  # where there is one web process
    import fcntl

LOOK_INTERVAL = 0.5  # seconds


class Turn:
    """Make it before the web processes are forked."""

    def __init__(self) -> None:
        self._file = -1
        if sys.platform != "win32":
            self._file, name = tempfile.mkstemp()
            Path(name).unlink()  # its lock is all that is needed of it
            weakref.finalize(self, os.close, self._file)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait until no other web process has the turn, and have it as long as the context; the
        kernel takes it from who dies. It blocks, so it belongs on a thread."""
        # Not by waiting in the kernel, which would take two processes for a deadlock when one of
        # them waits here, on a thread, and the other for a lock of `FunctionFigures`.
        while not self._take():
            time.sleep(LOOK_INTERVAL)
        try:
            yield
        finally:
            if sys.platform != "win32":
                fcntl.lockf(self._file, fcntl.LOCK_UN)

    def _take(self) -> bool:
        if sys.platform != "win32":
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):  # POSIX has either for a lock that is taken
                return False
        return True
