"""Web processes ask the flight process for tables, on sockets and with descriptors."""

import asyncio
import os
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

if sys.platform != "linux":
    pytest.skip("memory of descriptors is Linux's", allow_module_level=True)

from tabpy.tabpy_server import memfd
from tabpy.tabpy_server.errors import (
    BadTableError,
    FlightUnavailableError,
    InternalError,
    TablesFullError,
    UnknownTableError,
)
from tabpy.tabpy_server.flight import tables
from tabpy.tabpy_server.flight.desk import Desk
from tabpy.tabpy_server.flight.store import Key, Limits, Store
from tabpy.tabpy_server.flight.tables import FlightTables
from tabpy.tabpy_server.memfd import Memory

LIMITS = Limits(size=2000, count=10, seconds=60.0)


class House:
    """A flight process and a web process, in one."""

    def __init__(self) -> None:
        self.store = Store(LIMITS)
        self.asked, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.asked.setblocking(False)
        self.desk_end = theirs
        self.tables = FlightTables(self.asked, LIMITS.own_size)
        self.problem: Exception | None = None

    def inspect(self, table: Memory) -> int:
        if self.problem is not None:
            raise self.problem
        return len(content(table))

    def run(self, doing: Coroutine[Any, Any, None], *, answers: bool = True) -> None:
        async def begin() -> None:
            if answers:
                Desk(self.desk_end, self.store, self.inspect).open()
            await doing

        asyncio.run(begin())

    def put(self, owner: str, path: bytes, data: bytes = b"table") -> None:
        made = memfd.empty("tabpy-table")
        os.write(made.descriptor, data)
        made.seal()
        with self.store.room(owner) as room:
            self.store.put(room, Key((path,)), made, 1)


def content(table: Memory) -> bytes:
    return os.pread(table.descriptor, 10_000, 0)


@pytest.fixture
def house() -> Iterator[House]:
    made = House()
    yield made
    made.asked.close()
    made.desk_end.close()


def returns(result: Memory, data: bytes) -> None:
    """As a worker writes it."""
    os.write(result.descriptor, data)
    os.truncate(result.descriptor, len(data))


def test_a_result_takes_the_place_of_the_table(house: House) -> None:
    house.put("ann", b"p")

    async def doing() -> None:
        own = house.tables.of("ann")
        table, result = await own.get("p")
        assert content(table) == b"table"
        assert house.store.find("ann", Key((b"p",)))  # until there is a result
        returns(result, b"result")
        path = await own.exchange()
        assert path is not None
        found = house.store.find("ann", Key((path.encode(),)))
        assert isinstance(found.content, Memory)
        assert (content(found.content), found.rows) == (b"result", 6)
        assert house.store.count == 1

    house.run(doing())


def test_there_is_a_place_for_a_result_where_there_is_one_for_the_table(house: House) -> None:
    names = [str(number).encode() for number in range(LIMITS.own_count)]
    for name in names:
        house.put("ann", name)

    async def doing() -> None:
        own = house.tables.of("ann")
        _, result = await own.get("0")
        returns(result, b"result")
        path = await own.exchange()
        left = [*map(bytes.decode, names[1:]), path]
        assert [table.key.name for table in house.store.of("ann")] == left

    house.run(doing())


def test_without_a_result_the_table_is_gone(house: House) -> None:
    house.put("ann", b"p")

    async def doing() -> None:
        own = house.tables.of("ann")
        _, result = await own.get("p")
        returns(result, b"")
        assert await own.exchange() is None
        assert house.store.count == 0

    house.run(doing())


@pytest.mark.parametrize("path", ["q", "x" * 5000, "\ud800", ""])
def test_a_table_of_somebody_else_or_of_nobody_is_unknown(house: House, path: str) -> None:
    house.put("bob", b"q")

    async def doing() -> None:
        with pytest.raises(UnknownTableError):
            await house.tables.of("ann").get(path)

    house.run(doing())


@pytest.mark.parametrize(
    ("problem", "error"),
    [(BadTableError("why"), BadTableError), (RuntimeError("ours"), InternalError)],
)
def test_a_bad_result_is_refused_and_the_table_stays(
    house: House, problem: Exception, error: type[Exception]
) -> None:
    house.put("ann", b"p")
    house.problem = problem

    async def doing() -> None:
        own = house.tables.of("ann")
        _, result = await own.get("p")
        returns(result, b"bad")
        with pytest.raises(error):
            await own.exchange()
        assert [table.key.name for table in house.store.of("ann")] == ["p"]

    house.run(doing())


def test_a_result_for_which_there_is_no_room_is_refused(house: House) -> None:
    house.put("ann", b"p", b"x" * 900)
    house.problem = RuntimeError("it was read before there was room for it")

    async def doing() -> None:
        own = house.tables.of("ann")
        _, result = await own.get("p")
        returns(result, b"y" * 200)
        with pytest.raises(TablesFullError):
            await own.exchange()

    house.run(doing())


def test_looking_at_a_result_may_take_longer_than_another_answer(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.put("ann", b"p")
    looked = threading.Event()

    def inspect(_: Memory) -> int:
        assert looked.wait(10)
        return 1

    monkeypatch.setattr(house, "inspect", inspect)

    async def doing() -> None:
        own = house.tables.of("ann")
        _, result = await own.get("p")
        returns(result, b"result")
        monkeypatch.setattr(tables, "PATIENCE", 0.01)
        asyncio.get_running_loop().call_later(0.1, looked.set)
        assert await own.exchange() is not None

    house.run(doing())


def test_a_worker_can_change_neither_the_table_nor_what_was_taken_of_it(house: House) -> None:
    house.put("ann", b"p")

    async def doing() -> None:
        own = house.tables.of("ann")
        table, result = await own.get("p")
        for change in (
            lambda: os.pwrite(table.descriptor, b"x", 0),
            lambda: os.truncate(table.descriptor, 1),
            lambda: os.pwrite(result.descriptor, b"x", LIMITS.own_size),  # beyond its bound
            lambda: os.truncate(result.descriptor, LIMITS.own_size + 1),
        ):
            with pytest.raises(PermissionError):
                change()
        returns(result, b"result")
        await own.exchange()
        with pytest.raises(PermissionError):
            os.pwrite(result.descriptor, b"x", 0)

    house.run(doing())


def test_a_result_that_is_still_mapped_to_be_written_is_refused(house: House) -> None:
    import mmap

    house.put("ann", b"p")

    async def doing() -> None:
        own = house.tables.of("ann")
        _, result = await own.get("p")
        returns(result, b"result")
        with mmap.mmap(result.descriptor, 6), pytest.raises(BadTableError, match="open"):
            await own.exchange()

    house.run(doing())


def test_questions_wait_for_a_flight_process_that_starts_anew(house: House) -> None:
    house.put("ann", b"p")

    async def doing() -> None:
        asking = asyncio.ensure_future(house.tables.of("ann").get("p"))
        await asyncio.sleep(0)  # the question is in the socket
        Desk(house.desk_end, house.store, house.inspect).open()
        table, _ = await asking
        assert content(table) == b"table"

    house.run(doing(), answers=False)


def died_over_the_question(house: House) -> None:
    """Read the question, and close the socket for its answer."""
    _, descriptors, _, _ = socket.recv_fds(house.desk_end, 10_000, 2)
    for each in descriptors:
        os.close(each)


@pytest.mark.parametrize("then", [died_over_the_question, lambda _: None], ids=["died", "silent"])
def test_one_that_does_not_answer_is_no_endless_wait(
    house: House, then: Callable[[House], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "PATIENCE", 0.05)

    async def doing() -> None:
        asking = asyncio.ensure_future(house.tables.of("ann").get("p"))
        await asyncio.sleep(0)
        then(house)
        with pytest.raises(FlightUnavailableError):
            await asking

    house.run(doing(), answers=False)


def test_questions_that_nobody_reads_are_refused_when_the_socket_is_full(house: House) -> None:
    async def doing() -> None:
        own = house.tables.of("ann")
        waiting = [asyncio.ensure_future(own.get("p")) for _ in range(2000)]
        done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert {type(each.exception()) for each in done} == {FlightUnavailableError}
        for each in pending:
            each.cancel()

    house.run(doing(), answers=False)


@pytest.mark.parametrize(
    ("data", "sockets"),
    [
        (b"[]", 0),
        (b"[]", 1),
        (b"[1,2,3]", 1),
        (b'["get","ann"]', 1),
        (b'["other","ann","p"]', 1),
        (b'["exchange","ann","p"]', 0),
    ],
)
def test_a_question_that_is_none_ends_nothing(house: House, data: bytes, sockets: int) -> None:
    house.put("ann", b"p")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    async def doing() -> None:
        with ours:
            with theirs:
                socket.send_fds(house.asked, [data], [theirs.fileno()] * sockets)
            table, _ = await house.tables.of("ann").get("p")
            assert ours.recv(1) == b""  # it is closed, with no answer
        assert content(table) == b"table"

    house.run(doing())
