"""Memory as a descriptor that processes pass on; Linux's memfd_create(2).

Whoever has it from us may be hostile. So it is made here, with its limits: nobody sends us any.
"""

import mmap
import os
import sys
from collections.abc import Sequence

F_ADD_SEALS = 1033  # linux/fcntl.h, as are the seals
NO_MORE_SEALS, NO_SHRINKING, NO_GROWING, NO_WRITING = 1, 2, 4, 8
SEALED = NO_MORE_SEALS | NO_SHRINKING | NO_GROWING | NO_WRITING
IS_HERE = sys.platform == "linux" and hasattr(os, "memfd_create")


class Memory:
    """Owns a descriptor, and closes it when nobody uses this object any more."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it, once; who has it mapped, or has a descriptor too, keeps it."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    @property
    def size(self) -> int:
        """Return how many bytes it has."""
        return os.fstat(self.descriptor).st_size

    @property
    def taken(self) -> int:
        """Return how many bytes the system has given for it."""
        return 0 if self.descriptor < 0 else os.fstat(self.descriptor).st_blocks * 512

    def write(self, pieces: Sequence[bytes]) -> None:
        """Add `pieces` at its end. Raises OSError."""
        for piece in pieces:
            view = memoryview(piece)
            while view:
                view = view[os.write(self.descriptor, view) :]

    def view(self) -> memoryview:
        """Return what is in it, mapped. It has to be sealed against shrinking: to read beyond the
        end of a mapping ends the process."""
        # Private, since kernels before 6.7 have sealed memory shared by nobody who could write.
        mapped = mmap.mmap(self.descriptor, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
        return memoryview(mapped)

    def seal(self) -> None:
        """Have the kernel keep it as it is, whoever has a descriptor of it.

        Raises OSError while anybody could still write: a process that has it mapped so.
        """
        self._add(SEALED)

    def stop_growing(self) -> None:
        """Have the kernel refuse what goes beyond its end."""
        self._add(NO_GROWING)

    def stop_shrinking(self) -> None:
        """Have the kernel keep its size from getting smaller."""
        self._add(NO_SHRINKING)

    def _add(self, seals: int) -> None:
        import fcntl  # web processes import this module everywhere, and use it on Linux

        fcntl.fcntl(self.descriptor, F_ADD_SEALS, seals)


def empty(name: str) -> Memory:
    """Return new memory, of no size. `name` is for people who look at /proc. Raises OSError, also
    where the system has no such memory."""
    if sys.platform != "linux" or not IS_HERE:
        raise OSError("There is no memfd here.")
    return Memory(os.memfd_create(name, os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC))


def bounded(name: str, limit: int) -> Memory:
    """Return new memory for a process that isn't trusted: as large as it may get, which takes
    nothing until it's written to. The process is to cut it to what it has written. Raises
    OSError."""
    made = empty(name)
    os.truncate(made.descriptor, limit)
    made.stop_growing()
    return made
