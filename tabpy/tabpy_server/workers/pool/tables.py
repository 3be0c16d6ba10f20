"""The web process: the Arrow tables of a job, as far as a pool has to know them."""

from typing import Protocol


class Memory(Protocol):
    """What holds a table."""

    @property
    def descriptor(self) -> int:
        """The file descriptor of it."""


class Tables(Protocol):
    """The tables of the user whose job it is (`flight.tables`)."""

    async def get(self, path: str) -> tuple[Memory, Memory]:
        """Return the table of that path, and memory for what becomes of it. Raises TabPyError."""
