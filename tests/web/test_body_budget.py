"""The bodies under way have a budget, and whatever becomes of one, it is given back once."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabpy.tabpy_server import machine
from tabpy.tabpy_server.web.body_budget import (
    PART,
    SMALL,
    SPARE,
    BodyBudget,
    BodyShare,
    body_budget,
)
from tests.deploying import FORM, form, part
from tests.running import Reply
from tests.web.harness import SIGNED_IN, Connection, EchoHandler, Web, request_text
from tests.web.test_in_flight import SlowHandler

Serve = Callable[..., Web]

MIB = 1 << 20
WEB_PROCESSES = 2
HEAD = {"Host": "x", "Authorization": SIGNED_IN}
GZIP = {"Content-Encoding": "gzip"}
CHUNKED = {"Transfer-Encoding": "chunked"}
NO_ROOM = (
    503,
    "The server has as many large requests under way as it has memory for.",
    "This one has waited in line and was not read to its end. Try again later.",
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
        elif shares[number].grow(size) and sizes[number] is not None:
            sizes[number] = max(sizes[number] or 0, size)
        assert budget.held == sum(filter(None, sizes))
        assert budget.held <= limit + SPARE
        assert budget.held <= limit or any(size and size <= SMALL for size in sizes)
    for share in shares:
        share.end()
    assert budget.held == 0


def test_large_ones_do_not_keep_small_ones_out() -> None:
    budget = BodyBudget(10 * MIB)
    large, larger, small = budget.share(), budget.share(), budget.share()
    assert large.grow(10 * MIB)
    assert not larger.grow(SMALL + 1)
    assert small.grow(SMALL)
    assert not small.grow(SMALL + 1)
    assert sum(budget.share().grow(SMALL) for _ in range(100)) == SPARE // SMALL - 1
    large.end()
    assert larger.grow(SMALL + 1) is False  # small ones have taken what was large ones'
    assert budget.share().grow(SMALL)


@pytest.mark.parametrize(
    ("memory", "processes", "limit"),
    [(512.0, 2, 16), (8192.0, 2, 256), (8192.0, 8, 64), (float("inf"), 2, float("inf"))],
)
def test_it_is_a_part_of_the_memory(
    monkeypatch: pytest.MonkeyPatch, memory: float, processes: int, limit: float
) -> None:
    monkeypatch.setattr(machine, "memory_mb", lambda: memory)
    assert body_budget(processes)._limit == limit * MIB


# --- the line ---


def in_line(share: BodyShare, size: int, seconds: float = 5.0) -> "asyncio.Task[None]":
    """Have a body wait, if it has to."""
    return asyncio.get_running_loop().create_task(share.grow_in_line(size, seconds))


async def turns() -> None:
    """Let everybody go on as far as they can."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_who_came_first_is_served_first() -> None:
    async def wait() -> None:
        budget = BodyBudget(10 * MIB)
        held, first, second = budget.share(), budget.share(), budget.share()
        favoured = in_line(held, 10 * MIB)
        await favoured
        waiting = [in_line(first, 6 * MIB), in_line(second, 6 * MIB)]
        await turns()
        assert not any(each.done() for each in waiting)
        held.end()
        await turns()
        assert [each.done() for each in waiting] == [True, False]
        first.end()
        await asyncio.gather(*waiting)
        second.end()
        assert budget.held == 0

    asyncio.run(wait())


def test_one_larger_than_the_budget_is_read_too() -> None:
    async def wait() -> None:
        share = BodyBudget(MIB).share()
        await share.grow_in_line(50 * MIB, 5.0)
        assert share.grow(60 * MIB)

    asyncio.run(wait())


def test_two_that_have_come_halfway_do_not_wait_for_each_other() -> None:
    async def wait() -> None:
        budget = BodyBudget(10 * MIB)
        one, other = budget.share(), budget.share()
        assert one.grow(5 * MIB)
        assert other.grow(5 * MIB)
        waiting = [in_line(one, 6 * MIB), in_line(other, 6 * MIB)]
        await waiting[0]
        assert one.grow(9 * MIB)
        await turns()
        assert not waiting[1].done()
        one.end()
        await waiting[1]

    asyncio.run(wait())


def test_who_leaves_the_line_is_in_nobodys_way() -> None:
    async def wait() -> None:
        budget = BodyBudget(10 * MIB)
        held, left, next_one = budget.share(), budget.share(), budget.share()
        await in_line(held, 10 * MIB)
        leaving, waiting = in_line(left, 10 * MIB), in_line(next_one, 10 * MIB)
        await turns()
        leaving.cancel()
        await asyncio.wait((leaving,))
        left.end()
        held.end()
        await waiting
        assert budget.held == 10 * MIB

    asyncio.run(wait())


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
    return small_server(serve, monkeypatch)


def small_server(serve: Serve, monkeypatch: pytest.MonkeyPatch, **settings: float) -> Web:
    """A server that takes ten MiB in a request, and no more in all."""
    monkeypatch.setattr(machine, "memory_mb", lambda: 10.0 * PART * WEB_PROCESSES)
    SlowHandler.begun = []
    routes = {
        "/echo": EchoHandler,
        "/slow": SlowHandler,
        "/broken": BrokenHandler,
        "/packed": PackedHandler,
    }
    settings |= {"max_request_size_mb": 10.0, "web_processes": WEB_PROCESSES}
    return serve(settings, routes=routes)


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
            await web.until(lambda: held(web) == 2 * MIB)
            running.cut()
            await web.until(lambda: held(web) == MIB)
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


KINDS = pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Length": str(2 * MIB)}, b"x" * 2 * MIB),
        (CHUNKED, chunk(b"x" * 2 * MIB) + chunk(b"")),
        (GZIP, gzip.compress(b"x" * 2 * MIB)),
    ],
    ids=["sized", "chunked", "gzip"],
)


def text_of(headers: dict[str, str], body: bytes) -> bytes:
    sized = {"Content-Length": str(len(body))} if headers is GZIP else {}
    return request_text("POST", "/echo", {**HEAD, **sized, **headers}) + body


@asynccontextmanager
async def full(web: Web) -> AsyncIterator[Callable[[], Coroutine[Any, Any, None]]]:
    """Requests that leave no room for another large one; gives what has them end."""

    async def end() -> None:
        for each in SlowHandler.begun:
            each.go_on.set()
        assert [(await each.reply()).status for each in (first, favoured)] == [200, 200]

    async with web.connection() as first, web.connection() as favoured:
        for each in (first, favoured):
            await begin(web, each, b"x" * 9 * MIB)
        assert held(web) == 18 * MIB
        yield end


@KINDS
def test_what_does_not_fit_waits_and_small_ones_pass_it(
    web: Web, headers: dict[str, str], body: bytes
) -> None:
    async def exchange() -> None:
        async with full(web) as end, web.connection() as other, web.connection() as little:
            asking = asyncio.ensure_future(ask(other, text_of(headers, body)))
            await web.until(lambda: is_in_line(web))
            small = {"Content-Length": "2"}
            await little.send(request_text("POST", "/echo", HEAD | small) + b"ok")
            assert (await little.reply()).json["body"] == "ok"
            assert not asking.done()
            await end()
            assert (await asking).status == 200
            await web.until(lambda: held(web) == 0)

    web.run(exchange())


async def ask(connection: Connection, text: bytes) -> Reply:
    await connection.send(text)
    return await connection.reply()


def is_in_line(web: Web) -> bool:
    return bool(web.context.bodies._line)


@KINDS
def test_who_has_waited_too_long_is_told_to_come_back(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], body: bytes
) -> None:
    web = small_server(serve, monkeypatch, evaluate_timeout=0.01)

    async def exchange() -> None:
        async with full(web) as end, web.connection() as other:
            reply = await ask(other, text_of(headers, body))
            assert reply.error == NO_ROOM
            assert reply.headers["Retry-After"] == "5"
            await web.until(lambda: held(web) == 18 * MIB)
            await end()
            assert (await ask(other, text_of(headers, body))).status == 200

    web.run(exchange())


def test_who_goes_while_waiting_leaves_the_line(web: Web) -> None:
    async def exchange() -> None:
        async with full(web) as end, web.connection() as gone, web.connection() as other:
            sized = {"Content-Length": str(9 * MIB)}
            await gone.send(request_text("POST", "/echo", HEAD | sized) + b"x" * 2 * MIB)
            await web.until(lambda: is_in_line(web))
            gone.cut()
            await end()
            text = request_text("POST", "/echo", HEAD | sized) + b"x" * 9 * MIB
            assert (await ask(other, text)).status == 200
            await web.until(lambda: held(web) == 0)

    web.run(exchange())
