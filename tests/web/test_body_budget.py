"""The bodies under way have a budget, and whatever becomes of one, it is given back once."""

import asyncio
import gzip
from collections.abc import Callable
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabpy.tabpy_server import machine
from tabpy.tabpy_server.web.answers import RefusedRequestError
from tabpy.tabpy_server.web.body_budget import SMALL, SPARE, BodyBudget, BodyShare, body_budget
from tests.deploying import FORM, form, part
from tests.web.harness import SIGNED_IN, Connection, EchoHandler, Web, request_text
from tests.web.test_in_flight import SlowHandler

Serve = Callable[..., Web]

MIB = 1 << 20
HEAD = {"Host": "x", "Authorization": SIGNED_IN}
GZIP = {"Content-Encoding": "gzip"}
CHUNKED = {"Transfer-Encoding": "chunked"}
NO_ROOM = (
    503,
    "The server has as many large requests under way as it has memory for.",
    "This one was not read. Try again later.",
)


# --- counting ---


SIZES = st.integers(0, 3 * SMALL)


@given(
    limit=st.integers(0, 4 * SMALL),
    # Requests by their number: one grows to a size, or ends (None). Both may come at any time.
    events=st.lists(st.tuples(st.integers(0, 5), st.none() | SIZES), max_size=50),
)
def test_what_is_held_is_what_the_requests_hold(
    limit: int, events: list[tuple[int, int | None]]
) -> None:
    budget = BodyBudget(limit)
    shares = [budget.share() for _ in range(6)]
    sizes: list[int | None] = [0] * 6  # None: over
    for number, size in events:
        if size is None:
            shares[number].end()
            sizes[number] = None
        elif grows(shares[number], size) and sizes[number] is not None:
            sizes[number] = max(sizes[number] or 0, size)
        assert budget.held == sum(filter(None, sizes))
        assert budget.held <= limit + SPARE
        assert budget.held <= limit or any(size and size <= SMALL for size in sizes)
    for share in shares:
        share.end()
    assert budget.held == 0


def grows(share: BodyShare, size: int) -> bool:
    try:
        share.grow(size)
    except RefusedRequestError:
        return False
    return True


def test_large_ones_do_not_keep_small_ones_out() -> None:
    budget = BodyBudget(10 * MIB)
    large, larger, small = budget.share(), budget.share(), budget.share()
    assert grows(large, 10 * MIB)
    assert not grows(larger, SMALL + 1)
    assert grows(small, SMALL)
    assert not grows(small, SMALL + 1)
    assert sum(grows(budget.share(), SMALL) for _ in range(100)) == SPARE // SMALL - 1
    large.end()
    assert grows(larger, SMALL + 1) is False  # small ones have taken what was large ones'
    assert grows(budget.share(), SMALL)


@pytest.mark.parametrize(
    ("memory", "processes", "largest", "limit"),
    [
        (512.0, 2, 100, 100),
        (8192.0, 2, 100, 1024),
        (8192.0, 8, 100, 256),
        (float("inf"), 2, 100, float("inf")),
    ],
)
def test_it_is_a_part_of_the_memory_and_one_request_fits(
    monkeypatch: pytest.MonkeyPatch, memory: float, processes: int, largest: int, limit: float
) -> None:
    monkeypatch.setattr(machine, "memory_mb", lambda: memory)
    budget = body_budget(processes, largest * MIB)
    assert budget._limit == limit * MIB
    assert grows(budget.share(), largest * MIB)


# --- requests ---


class BrokenHandler(EchoHandler):
    """Fails."""

    def post(self) -> None:
        raise ZeroDivisionError


class PackedHandler(EchoHandler):
    """Can be looked at."""

    last: ClassVar["PackedHandler"]

    def initialize(self) -> None:
        PackedHandler.last = self


@pytest.fixture
def web(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Web:
    """A server that takes ten MiB in a request, and no more in all."""
    monkeypatch.setattr(machine, "memory_mb", lambda: 8.0)
    SlowHandler.begun = []
    routes = {
        "/echo": EchoHandler,
        "/slow": SlowHandler,
        "/broken": BrokenHandler,
        "/packed": PackedHandler,
    }
    return serve({"max_request_size_mb": 10.0}, routes=routes)


def held(web: Web) -> int:
    return web.context.bodies.held


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@pytest.mark.parametrize(
    ("path", "headers", "body", "status"),
    [
        ("/echo", {}, b"x" * MIB, 200),
        ("/echo", GZIP, gzip.compress(b"x" * 5 * MIB), 200),
        ("/echo", CHUNKED, chunk(b"x" * MIB) + chunk(b""), 200),
        ("/broken", {}, b"x" * MIB, 500),
        ("/nosuch", {}, b"x" * MIB, 404),
        ("/evaluate", {}, b"x" * MIB, 503),  # no worker is here
        ("/endpoints", {}, b"x" * MIB, 400),
        ("/endpoints", FORM, form(part("metadata", b"{}"), part("archive", b"x" * MIB)), 400),
        ("/echo", {}, b"x" * 11 * MIB, 413),
        ("/echo", {"Content-Length": str(99 * MIB)}, b"x", 413),
        ("/echo", CHUNKED, chunk(b"x" * 11 * MIB) + chunk(b""), 413),
        ("/echo", GZIP, gzip.compress(b"x" * 11 * MIB), 413),
        ("/echo", GZIP, b"x" * MIB, 400),
        ("/echo", GZIP, gzip.compress(b"x" * MIB)[:-1], 400),
        ("/echo", {"Content-Encoding": "br"}, b"x" * MIB, 415),
        ("/echo", {"Origin": "http://foe.example"}, b"x" * MIB, 403),
        ("/echo", {"Authorization": "Basic eDp5"}, b"x" * MIB, 401),
        ("/echo", {**CHUNKED, "Expect": "100-continue"}, b"no chunk\r\n", 400),
    ],
)
def test_after_its_end_a_body_is_held_no_more(
    web: Web, path: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    sized = {} if "Transfer-Encoding" in headers else {"Content-Length": str(len(body))}
    text = request_text("POST", path, {**HEAD, **sized, **headers}) + body

    async def exchange() -> None:
        async with web.connection() as connection:
            await connection.send(text)
            reply = await connection.reply()
            if reply.status == 100:
                reply = await connection.reply()
            assert reply.status == status
            await web.until(lambda: held(web) == 0)

    web.run(exchange())


def test_while_it_runs_a_body_is_held(web: Web) -> None:
    async def exchange() -> None:
        async with web.connection() as connection:
            await begin(web, connection, b"x" * MIB)
            assert held(web) == MIB
            SlowHandler.begun[0].go_on.set()
            assert (await connection.reply()).status == 200
            assert held(web) == 0

    web.run(exchange())


async def begin(web: Web, connection: Connection, body: bytes) -> None:
    """Have a request run, with its whole body."""
    before = len(SlowHandler.begun)
    sized = {"Content-Length": str(len(body))}
    await connection.send(request_text("POST", "/slow", HEAD | sized) + body)
    await web.until(lambda: len(SlowHandler.begun) > before)


def test_a_client_that_goes_takes_its_body_along(web: Web) -> None:
    async def exchange() -> None:
        async with web.connection() as running, web.connection() as sending:
            await begin(web, running, b"x" * MIB)
            sized = {"Content-Length": str(2 * MIB)}
            await sending.send(request_text("POST", "/echo", HEAD | sized) + b"x" * MIB)
            await web.until(lambda: held(web) == 3 * MIB)
            running.cut()
            await web.until(lambda: held(web) == 2 * MIB)
            sending.cut()
            await web.until(lambda: held(web) == 0)
            SlowHandler.begun[0].go_on.set()
            await web.until(lambda: SlowHandler.begun[0].is_over)
            assert held(web) == 0

    web.run(exchange())


def test_what_is_unpacked_after_its_client_has_gone_is_not_held(web: Web) -> None:
    body = gzip.compress(b"x" * 9 * MIB)
    text = request_text("POST", "/packed", HEAD | GZIP | {"Content-Length": str(len(body) + 1)})

    async def exchange() -> None:
        async with web.connection() as connection:
            before = asyncio.all_tasks()
            await connection.send(text + body)
            await web.until(lambda: held(web) > MIB)
            PackedHandler.last.on_connection_close()
            assert held(web) == 0
            connection.cut()
            await web.until(lambda: asyncio.all_tasks() <= before)
            assert held(web) == 0
            assert PackedHandler.last.whole_body() == []

    web.run(exchange())


# --- no room ---


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Length": str(2 * MIB)}, b"x" * 2 * MIB),
        (CHUNKED, chunk(b"x" * 2 * MIB) + chunk(b"")),
        (GZIP, gzip.compress(b"x" * 2 * MIB)),
    ],
    ids=["sized", "chunked", "gzip"],
)
def test_what_does_not_fit_is_told_to_come_back(
    web: Web, headers: dict[str, str], body: bytes
) -> None:
    sized = {"Content-Length": str(len(body))} if headers is GZIP else {}
    text = request_text("POST", "/echo", {**HEAD, **sized, **headers}) + body

    async def exchange() -> None:
        async with web.connection() as large, web.connection() as other:
            await begin(web, large, b"x" * 9 * MIB)
            await other.send(text)
            reply = await other.reply()
            assert reply.error == NO_ROOM
            assert reply.headers["Retry-After"] == "5"
            assert held(web) == 9 * MIB
            small = {"Content-Length": "2"}
            await other.send(request_text("POST", "/echo", HEAD | small) + b"ok")
            assert (await other.reply()).json["body"] == "ok"
            SlowHandler.begun[0].go_on.set()
            assert (await large.reply()).status == 200
            await other.send(text)
            assert (await other.reply()).status == 200

    web.run(exchange())


def test_a_body_that_does_not_fit_is_refused_before_it_comes(web: Web) -> None:
    asking = {"Content-Length": str(2 * MIB), "Expect": "100-continue"}

    async def exchange() -> None:
        async with web.connection() as large, web.connection() as other:
            await begin(web, large, b"x" * 9 * MIB)
            await other.send(request_text("POST", "/echo", HEAD | asking))
            assert (await other.reply()).error == NO_ROOM
            SlowHandler.begun[0].go_on.set()
            assert (await large.reply()).status == 200

    web.run(exchange())
