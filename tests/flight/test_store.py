"""Tables have an owner, a bound and an end."""

from dataclasses import dataclass

import pytest

from tabpy.tabpy_server.errors import InvalidInputError, TablesFullError, UnknownTableError
from tabpy.tabpy_server.flight.store import LONGEST_KEY, Key, Limits, Store, Table

ONE, OTHER = Key((b"one",)), Key(command=b"one")


@dataclass(frozen=True)
class Bytes:
    size: int


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Store:
    return Store(Limits(size=1000, count=6, seconds=60.0), clock)


def put(store: Store, owner: str, key: Key = ONE, size: int = 1) -> Table:
    with store.room(owner) as room:
        return store.put(room, key, Bytes(size), rows=1)


def test_a_table_is_its_owners_alone(store: Store) -> None:
    table = put(store, "ann")
    assert store.find("ann", ONE) is store.redeem("ann", table.ticket) is table
    assert store.of("ann") == [table]
    assert store.of("bob") == []
    with pytest.raises(UnknownTableError):
        store.find("bob", ONE)
    with pytest.raises(UnknownTableError):
        store.redeem("bob", table.ticket)
    store.clear("bob")
    assert store.of("ann") == [table]
    store.clear("ann")
    assert store.count == 0


def test_a_path_and_a_command_are_two_tables_and_a_path_has_parts(store: Store) -> None:
    found = {put(store, "ann", key) for key in (ONE, OTHER, Key((b"o", b"ne")))}
    assert len(found) == store.count == 3
    assert len({table.ticket for table in found}) == 3
    assert {store.redeem("ann", table.ticket) for table in found} == found
    with pytest.raises(UnknownTableError):
        store.redeem("ann", b"")


def test_a_table_takes_the_place_of_another_and_not_of_a_later_one(store: Store) -> None:
    first, second = put(store, "ann", size=3), put(store, "ann", size=4)
    assert store.find("ann", ONE) is second
    assert store.size == 4
    store.remove(first)
    assert store.find("ann", ONE) is second


@pytest.mark.parametrize(
    ("name", "right"), [(b"x" * LONGEST_KEY, True), (b"x" * (LONGEST_KEY + 1), False), (b"", False)]
)
def test_names_are_neither_empty_nor_endless(store: Store, name: bytes, right: bool) -> None:
    if right:
        put(store, "ann", Key((name,)))
        return
    with pytest.raises(InvalidInputError):
        put(store, "ann", Key((name,)))
    assert (store.count, store.size) == (0, 0)


def test_a_table_ends_by_itself(store: Store, clock: Clock) -> None:
    table = put(store, "ann", size=5)
    clock.now += 59.9
    assert store.find("ann", ONE) is table
    clock.now += 0.1
    with pytest.raises(UnknownTableError):
        store.redeem("ann", table.ticket)
    assert (store.count, store.size) == (0, 0)


def test_old_tables_go_without_being_asked_for(store: Store, clock: Clock) -> None:
    put(store, "ann", size=5)
    clock.now += 60
    store.expire()
    assert (store.count, store.size) == (0, 0)


def test_one_user_has_half_of_the_bytes_and_all_have_the_whole(store: Store) -> None:
    put(store, "ann", size=500)
    with pytest.raises(TablesFullError, match="TABPY_ARROW_MEMORY_MB"):
        put(store, "ann", OTHER, size=1)
    put(store, "bob", size=500)
    with pytest.raises(TablesFullError, match="TABPY_ARROW_MEMORY_MB"):
        put(store, "eve", size=1)
    assert store.size == 1000


def test_one_user_has_half_of_the_tables_and_all_have_the_whole(store: Store) -> None:
    keys = [Key((str(number).encode(),)) for number in range(4)]
    for owner in ("ann", "bob"):
        for key in keys[:3]:
            put(store, owner, key)
        with pytest.raises(TablesFullError, match="half of TABPY_ARROW_TABLES"):
            put(store, owner, keys[3])
        put(store, owner, keys[0])  # in place of one
    with pytest.raises(TablesFullError, match="TABPY_ARROW_TABLES"):
        put(store, "eve")
    assert store.count == 6


def test_a_table_that_goes_for_another_leaves_room_for_it(store: Store) -> None:
    first, *others = [put(store, "ann", Key((name,))) for name in (b"a", b"b", b"c")]
    with store.room("ann") as room:
        second = store.put(room, Key((b"d",)), Bytes(1), rows=1, instead=first)
    assert store.of("ann") == [*others, second]
    with store.room("ann") as room, pytest.raises(TablesFullError):
        store.put(room, Key((b"e",)), Bytes(1), rows=1, instead=first)  # which has gone
    assert store.of("ann") == [*others, second]


def test_what_comes_counts_before_it_is_there_and_not_after_it_failed(store: Store) -> None:
    with store.room("ann") as room:
        room.grow(400)
        room.grow(300)  # it never gets smaller
        assert store.size == 400
        with store.room("ann") as another, pytest.raises(TablesFullError):
            another.grow(101)
        assert store.size == 400
    assert store.size == 0


def test_a_table_may_not_take_longer_to_come_than_it_would_be_kept(
    store: Store, clock: Clock
) -> None:
    with store.room("ann") as room:
        room.grow(1)
        clock.now += 60
        with pytest.raises(TablesFullError, match="TABPY_ARROW_TABLE_SECONDS"):
            room.grow(2)
