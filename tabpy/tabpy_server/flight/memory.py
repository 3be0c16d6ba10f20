"""Memory of one Arrow table, as a descriptor that processes pass on; Linux's memfd_create(2)."""

import os

F_ADD_SEALS = 1033  # linux/fcntl.h, as are the seals
NO_MORE_SEALS, NO_SHRINKING, NO_GROWING, NO_WRITING = 1, 2, 4, 8
SEALED = NO_MORE_SEALS | NO_SHRINKING | NO_GROWING | NO_WRITING


class Memory:
    """Owns a descriptor, and closes it when nobody uses this object any more."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __del__(self) -> None:
        os.close(self.descriptor)

    @property
    def size(self) -> int:
        """Return how many bytes it has."""
        return os.fstat(self.descriptor).st_size

    def seal(self) -> None:
        """Have the kernel keep it as it is, whoever has a descriptor of it.

        Raises OSError while anybody could still write: a process that has it mapped so.
        """
        self._add(SEALED)

    def stop_growing(self) -> None:
        """Have the kernel refuse what goes beyond its end."""
        self._add(NO_GROWING)

    def _add(self, seals: int) -> None:
        import fcntl  # web processes import this module everywhere, and use it on Linux

        fcntl.fcntl(self.descriptor, F_ADD_SEALS, seals)


def empty() -> Memory:
    """Return new memory, of no size."""
    return Memory(os.memfd_create("tabpy-table", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC))


def bounded(limit: int) -> Memory:
    """Return new memory for a process that isn't trusted: as large as it may get, which takes
    nothing until it's written to. The process is to cut it to what it has written."""
    made = empty()
    os.truncate(made.descriptor, limit)
    made.stop_growing()
    return made
