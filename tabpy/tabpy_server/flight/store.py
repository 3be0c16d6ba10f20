"""The tables that are there: whose they are, how many, how large and until when.

Called on any thread. A table that somebody reads stays whole until they have, whatever happens to
it here.
"""

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from tabpy.tabpy_server.errors import InvalidInputError, TablesFullError, UnknownTableError

LONGEST_KEY = 1024  # bytes
MB = 1 << 20


class Content(Protocol):
    """What a table is made of: memory that nobody can change."""

    @property
    def size(self) -> int:
        """How many bytes it has."""


@dataclass(frozen=True)
class Key:
    """What a client calls a table: a path, or a command that stands for it."""

    path: tuple[bytes, ...] = ()
    command: bytes | None = None

    @property
    def name(self) -> str:
        """Return it as people read it."""
        shown = b"/".join(self.path) if self.command is None else self.command
        return shown.decode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class Table:
    """A table that is there, of `size` bytes. `owner`: the user's name. `ticket`: what fetches it.
    `until`: by the store's clock."""

    owner: str
    key: Key
    content: Content
    size: int
    rows: int
    until: float
    ticket: bytes = field(default_factory=lambda: secrets.token_urlsafe(24).encode())


@dataclass(frozen=True)
class Limits:
    """`size` in bytes and `count` are those of all tables together; one user's may be half of
    each. `seconds`: how long a table is kept."""

    size: int
    count: int
    seconds: float

    @property
    def own_size(self) -> int:
        """Return how many bytes the tables of one user may have."""
        return self.size // 2

    @property
    def own_count(self) -> int:
        """Return how many tables one user may have."""
        return max(1, self.count // 2)


class Room:
    """What a table that is on its way takes already."""

    def __init__(self, store: "Store", owner: str) -> None:
        self._store = store
        self.owner = owner
        self.size = 0
        self.until = store.clock() + store.limits.seconds

    def grow(self, size: int) -> None:
        """Take up to `size` bytes in all. Raises TablesFullError if there aren't as many, or if
        it takes longer to come than a table is kept."""
        self._store.grow(self, size)


class Store:
    """The tables of all users."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self.clock = clock
        self._tables: dict[tuple[str, Key], Table] = {}
        self._rooms: set[Room] = set()
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """Return how many tables there are."""
        return len(self._tables)

    @property
    def size(self) -> int:
        """Return how many bytes they take, those on their way included."""
        with self._lock:
            return self._size()

    @contextmanager
    def room(self, owner: str) -> Iterator[Room]:
        """Have room for a table that is about to come; `put` turns it into the table's."""
        made = Room(self, owner)
        with self._lock:
            self._rooms.add(made)
        try:
            yield made
        finally:
            with self._lock:
                self._rooms.discard(made)

    def grow(self, room: Room, size: int) -> None:
        """See `Room.grow`."""
        limits = self.limits
        with self._lock:
            self._expire()
            if self.clock() >= room.until:
                raise TablesFullError(
                    f"It took longer than {limits.seconds:.0f} s to come "
                    "(TABPY_ARROW_TABLE_SECONDS)."
                )
            more = size - room.size
            if self._size(room.owner) + more > limits.own_size:
                raise TablesFullError(
                    f"One user's tables may take {limits.own_size / MB:.0f} MB, half of "
                    "TABPY_ARROW_MEMORY_MB."
                )
            if self._size() + more > limits.size:
                raise TablesFullError(
                    f"All tables may take {limits.size / MB:.0f} MB (TABPY_ARROW_MEMORY_MB)."
                )
            room.size = max(size, room.size)

    def put(
        self, room: Room, key: Key, content: Content, rows: int, instead: Table | None = None
    ) -> Table:
        """Keep a table, in place of one that its owner has by this key, and of `instead`.

        Raises TablesFullError, and InvalidInputError for a key that can't be one.
        """
        check_key(key)
        self.grow(room, content.size)
        limits = self.limits
        with self._lock:
            until = self.clock() + limits.seconds
            table = Table(room.owner, key, content, content.size, rows, until)
            place = room.owner, key
            others = {
                at: each for at, each in self._tables.items() if at != place and each is not instead
            }
            if sum(owner == room.owner for owner, _ in others) >= limits.own_count:
                raise TablesFullError(
                    f"One user may have {limits.own_count} tables, half of TABPY_ARROW_TABLES."
                )
            if len(others) >= limits.count:
                raise TablesFullError(f"There may be {limits.count} tables (TABPY_ARROW_TABLES).")
            self._tables = {**others, place: table}
            self._rooms.discard(room)
        return table

    def find(self, owner: str, key: Key) -> Table:
        """Return the owner's table of that key. Raises UnknownTableError."""
        with self._lock:
            self._expire()
            found = self._tables.get((owner, key))
        if found is None:
            raise UnknownTableError(key.name[:LONGEST_KEY])
        return found

    def redeem(self, owner: str, ticket: bytes) -> Table:
        """Return the owner's table of that ticket. Raises UnknownTableError."""
        for table in self.of(owner):
            if secrets.compare_digest(table.ticket, ticket):
                return table
        raise UnknownTableError

    def of(self, owner: str) -> list[Table]:
        """Return the owner's tables, the oldest first."""
        with self._lock:
            self._expire()
            return [table for table in self._tables.values() if table.owner == owner]

    def remove(self, table: Table) -> None:
        """Forget a table, unless another one has taken its place."""
        with self._lock:
            if self._tables.get((table.owner, table.key)) is table:
                del self._tables[table.owner, table.key]

    def clear(self, owner: str) -> None:
        """Forget the owner's tables."""
        for table in self.of(owner):
            self.remove(table)

    def expire(self) -> None:
        """Forget the tables whose time is over."""
        with self._lock:
            self._expire()

    def _expire(self) -> None:
        now = self.clock()
        for place, table in [*self._tables.items()]:
            if now >= table.until:
                del self._tables[place]

    def _size(self, owner: str | None = None) -> int:
        """Return the bytes of the tables of `owner`, or of all."""
        tables = sum(each.size for each in self._tables.values() if owner in (None, each.owner))
        return tables + sum(each.size for each in self._rooms if owner in (None, each.owner))


def check_key(key: Key) -> None:
    """Raise InvalidInputError for what can't be a table's key."""
    length = sum(map(len, key.path)) + len(key.command or b"")
    if not length:
        raise InvalidInputError("The table has no name.", "Give it a path or a command.")
    if length > LONGEST_KEY:
        raise InvalidInputError(
            "The table's name is too long.", f"It may have {LONGEST_KEY} bytes, and has {length}."
        )
