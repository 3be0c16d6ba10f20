"""What the fork server says to all web processes at once: a few bytes of memory that they share.

Comparing costs nothing, so a pool compares what it has with what it could have all the time, and
no notice can get lost when a process dies.
"""

import hashlib
import mmap
import os

SIZE = 8  # bytes of each of the two values
NONE = bytes(SIZE)


class ForkServerState:
    """`origin` names the fork server that answers now: a cold one, a warm one, one with models.

    A worker that another one has forked is to be recycled. Made by the arbiter; the fork server
    gets it as a descriptor.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        """`descriptor`: of memory that another process has made; it may be closed afterwards."""
        own = os.memfd_create("tabpy") if descriptor is None else descriptor
        if descriptor is None:
            os.truncate(own, 2 * SIZE)
        self._memory = mmap.mmap(own, 2 * SIZE)
        self.descriptor = own

    @property
    def origin(self) -> str:
        """Return the name of the fork server that answers now; "" before the first one does."""
        return _text(self._memory[:SIZE])

    @property
    def preload_request(self) -> str:
        """Return the digest of the preload request that came last; "" if none has come."""
        return _text(self._memory[SIZE:])

    def new_origin(self) -> str:
        """Make up the name of the next fork server."""
        return os.urandom(SIZE).hex()

    def set_origin(self, origin: str) -> None:
        """Say that the fork server of that name answers from now on."""
        self._memory[:SIZE] = bytes.fromhex(origin)

    def set_preload_request(self, request: bytes) -> None:
        """Say that a preload request has come."""
        self._memory[SIZE:] = bytes.fromhex(digest(request))

    def reset(self) -> None:
        """Say that no fork server is there: another is about to start."""
        self._memory[:] = NONE + NONE

    def close(self) -> None:
        """Let go of the memory, in a process that has no business with it."""
        self._memory.close()


def digest(request: bytes) -> str:
    """Return the digest of a preload request."""
    return hashlib.blake2b(request, digest_size=SIZE).hexdigest()


def _text(value: bytes) -> str:
    return "" if value == NONE else value.hex()
