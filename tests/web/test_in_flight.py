"""The requests under way: counted in and out once, so that a server that stops knows when."""

import asyncio
from collections.abc import Callable
from typing import ClassVar

import pytest

from tabpy.tabpy_server import process_memory
from tabpy.tabpy_server.web import in_flight
from tabpy.tabpy_server.web.handlers.base import BaseHandler
from tabpy.tabpy_server.web.in_flight import LARGE, Traffic
from tests.web.harness import SIGNED_IN, EchoHandler, Web, request_text

Serve = Callable[..., Web]
Failures = Callable[[], list[str]]

HEAD = {"Host": "x", "Authorization": SIGNED_IN}


class SlowHandler(BaseHandler):
    """Answers when it is told to: `begun` has the requests, `go_on` what lets each continue."""

    route = "/slow"
    begun: ClassVar[list["SlowHandler"]] = []

    async def post(self) -> None:
        self.go_on = asyncio.Event()
        self.is_over = False
        self.begun.append(self)
        try:
            await self.go_on.wait()
            self.write_json(len(self.whole_body()))
        finally:
            self.is_over = True


@pytest.fixture
def slow(serve: Serve) -> Web:
    SlowHandler.begun = []
    return serve(routes={"/slow": SlowHandler, "/echo": EchoHandler})


# --- counting ---


def test_a_drain_ends_with_the_last_request() -> None:
    async def drain() -> None:
        traffic = Traffic()
        traffic.enter()
        traffic.enter()
        drained = asyncio.ensure_future(traffic.drained())
        await asyncio.sleep(0)
        assert traffic.draining
        traffic.leave()
        await asyncio.sleep(0)
        assert not drained.done()
        traffic.leave()
        await drained

    asyncio.run(drain())


def test_without_requests_a_drain_ends_at_once() -> None:
    async def drain() -> None:
        traffic = Traffic()
        assert not traffic.draining
        traffic.enter()
        traffic.leave()
        await traffic.drained()

    asyncio.run(drain())


def test_the_memory_of_large_requests_is_given_back_once_for_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given_back = []
    monkeypatch.setattr(process_memory, "trim", lambda: given_back.append(True))
    monkeypatch.setattr(in_flight, "TRIM_AFTER", 0.0)

    async def pass_by(*sizes: int) -> None:
        for size in sizes:
            traffic.passed(size)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    traffic = Traffic()
    asyncio.run(pass_by(LARGE, 1))
    assert len(given_back) == 0
    asyncio.run(pass_by(LARGE + 1, LARGE * 9, LARGE + 1))
    assert len(given_back) == 1
    asyncio.run(pass_by(LARGE + 1))
    assert len(given_back) == 2


# --- a client that goes away ---


def test_a_cut_connection_is_counted_out_once(slow: Web, failures: Failures) -> None:
    """Twice would end a drain while another request still runs."""
    text = request_text("POST", "/slow", HEAD)

    async def exchange() -> None:
        async with slow.connection() as one, slow.connection() as other:
            await one.send(text)
            await slow.until(lambda: len(SlowHandler.begun) == 1)
            await other.send(text)
            await slow.until(lambda: len(SlowHandler.begun) == 2)
            cut, whole = SlowHandler.begun

            one.cut()
            await slow.until(lambda: bool(slow.context.counters.requests))
            cut.go_on.set()
            await slow.until(lambda: cut.is_over)
            drained = asyncio.ensure_future(slow.context.traffic.drained())
            for _ in range(5):
                await asyncio.sleep(0)
            assert not drained.done()

            whole.go_on.set()
            assert (await other.reply()).status == 200
            await drained

    slow.run(exchange())
    assert slow.context.counters.requests == {
        ("/slow", "POST", 499): 1,
        ("/slow", "POST", 200): 1,
    }
    assert failures() == []


def test_the_rest_of_a_body_that_was_cut_off_is_not_waited_for(
    slow: Web, failures: Failures
) -> None:
    async def exchange() -> None:
        before = asyncio.all_tasks()
        async with slow.connection() as connection:
            await connection.send(request_text("POST", "/echo", HEAD | {"Content-Length": "9"}))
            await connection.send(b"some")
            await slow.until(lambda: len(asyncio.all_tasks()) > len(before))
            connection.cut()
            await slow.until(lambda: bool(slow.context.counters.requests))
            await slow.until(lambda: asyncio.all_tasks() <= before)
            await slow.context.traffic.drained()

    slow.run(exchange())
    assert slow.context.counters.requests == {("/echo", "POST", 499): 1}
    assert failures() == []


def test_during_a_drain_a_reply_closes_its_connection(web: Web) -> None:
    async def exchange() -> None:
        async with web.connection() as connection:
            await connection.send(request_text("GET", "/info", HEAD))
            assert (await connection.reply()).headers["Connection"] is None
            await web.context.traffic.drained()
            await connection.send(request_text("GET", "/info", HEAD))
            assert (await connection.reply()).headers["Connection"] == "close"

    web.run(exchange())
