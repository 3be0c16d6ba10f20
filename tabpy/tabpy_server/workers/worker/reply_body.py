"""The script worker: the body of a reply, which goes to memory of the web process if it is large.

Nobody can make that memory grow: the kernel refuses what goes beyond its end.
"""

import os
from collections.abc import Callable, Iterable

from tabpy.tabpy_server.workers.worker.results import Piece
from tabpy.tabpy_tools.unfit import UnfitError

LARGE = 1 << 18  # bytes: below, two copies through a socket cost less than mapping it
MB = 1 << 20


class ReplyBody:
    """One job's. `in_memory`: bytes that lie there, and not here."""

    def __init__(self, ask: Callable[[], int | None]) -> None:
        """`ask` returns a descriptor of memory, None if there is none. It is asked once at most."""
        self._ask = ask
        self.in_memory = 0

    def take(self, pieces: Iterable[Piece]) -> bytes:
        """Take `pieces`, and return what is to be sent with the reply. Raises UnfitError for more
        than there may be."""
        kept: list[Piece] = []
        size = 0
        rest = iter(pieces)
        for piece in rest:
            kept.append(piece)
            size += len(piece)
            if size > LARGE:
                break
        else:
            return b"".join(kept)
        descriptor = self._ask()
        if descriptor is None:
            return b"".join((*kept, *rest))
        try:
            _write(descriptor, kept)
            for piece in rest:
                _write(descriptor, [piece])
            self.in_memory = os.lseek(descriptor, 0, os.SEEK_CUR)
            os.truncate(descriptor, self.in_memory)
        finally:
            os.close(descriptor)
        return b""


def _write(descriptor: int, pieces: list[Piece]) -> None:
    try:
        while pieces:
            view = memoryview(pieces.pop(0))
            while view:
                view = view[os.write(descriptor, view) :]
    except OSError:
        limit = os.fstat(descriptor).st_size / MB
        raise UnfitError(
            f"more than {limit:.0f} MB of JSON",
            "less: no result is larger here (TABPY_SCRIPT_MEMORY_MB)",
        ) from None
