"""`AsyncClient`: what `Client` does, without keeping the event loop."""

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Iterator

import pytest

from tabpy.tabpy_tools.async_client import AsyncClient
from tabpy.tabpy_tools.client import Client
from tabpy.tabpy_tools.connection import Connection
from tabpy.tabpy_tools.rest import ResponseError
from tests.client.fake_server import Answer, FakeServer, Request, fake_server


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with fake_server() as fake:
        yield fake


def test_it_has_every_method_of_the_other_with_its_arguments_and_words() -> None:
    for name, method in inspect.getmembers(Client, inspect.isfunction):
        if name.startswith("_"):
            continue
        own = getattr(AsyncClient, name)
        assert inspect.getdoc(own), name
        if name not in ("set_credentials", "set_token"):
            assert inspect.iscoroutinefunction(own), name
        if name != "close":
            assert inspect.signature(own) == inspect.signature(method), name


def test_a_call_answers_what_the_server_says(server: FakeServer) -> None:
    server.answers["POST /query/add"] = Answer({"response": 3})

    async def call() -> object:
        async with AsyncClient(server.url) as client:
            client.set_credentials("ann", "hush")
            return await client.query("add", 1, 2)

    assert asyncio.run(call()) == {"response": 3}
    assert server.last.json == {"data": [1, 2]}
    assert "Authorization" in server.last.headers


def test_a_refusal_is_the_same_error(server: FakeServer) -> None:
    async def call() -> object:
        async with AsyncClient(server.url) as client:
            return await client.versions("nope")

    with pytest.raises(ResponseError, match="404"):
        asyncio.run(call())


class Gate:
    """A server's answers, held back until as many requests as are waited for have come."""

    def __init__(self, server: FakeServer, count: int) -> None:
        self.barrier = threading.Barrier(count, timeout=20)
        self._answer = server.answer
        server.answer = self.answer  # type: ignore[method-assign]

    def answer(self, request: Request) -> Answer:
        self.barrier.wait()
        return self._answer(request)


def test_calls_go_on_at_the_same_time_and_the_event_loop_is_free(server: FakeServer) -> None:
    server.answers["POST /query/add"] = Answer({"response": 3})
    Gate(server, 4)  # none is answered before all have come

    async def call() -> int:
        async with AsyncClient(server.url, at_once=4) as client:
            calls = [asyncio.create_task(client.query("add", each)) for each in range(4)]
            turns = 0
            while not all(each.done() for each in calls):
                await asyncio.sleep(0)
                turns += 1
            return turns

    assert asyncio.run(call()) > 4
    assert sorted(each.json["data"][0] for each in server.requests) == [0, 1, 2, 3]


def test_a_cancelled_call_raises_at_once_and_its_request_is_answered_all_the_same(
    server: FakeServer,
) -> None:
    server.answers["POST /query/add"] = Answer({"response": 3})
    gate = Gate(server, 2)

    async def call() -> None:
        async with AsyncClient(server.url) as client:
            query = asyncio.create_task(client.query("add", 1))
            await asyncio.sleep(0)  # it has begun
            query.cancel()
            with pytest.raises(asyncio.CancelledError):
                await query
            assert server.requests == []
            await asyncio.to_thread(gate.barrier.wait)

    asyncio.run(call())
    assert len(server.requests) == 1


def test_after_closing_nothing_is_sent(server: FakeServer) -> None:
    async def call() -> None:
        client = AsyncClient(server.url)
        await client.close()
        with pytest.raises(RuntimeError, match="shutdown"):
            await client.get_status()

    asyncio.run(call())
    assert server.requests == []


def test_closing_closes_the_connections_that_are_kept_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed: list[Connection] = []
    monkeypatch.setattr(Connection, "close", lambda self: closed.append(self))  # noqa: PLW0108 - a method
    client = AsyncClient("http://localhost:9004")
    asyncio.run(client.close())
    assert closed == [client._client._connection]


def test_each_call_at_a_time_has_a_connection_that_is_kept(
    server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers["POST /query/add"] = Answer({"response": 3})
    many = 12  # requests keeps ten by itself
    Gate(server, many)

    async def call() -> None:
        async with AsyncClient(server.url, at_once=many) as client:
            await asyncio.gather(*(client.query("add", each) for each in range(many)))

    asyncio.run(call())
    assert [each.getMessage() for each in caplog.records if each.levelname == "WARNING"] == []


def test_a_call_is_in_the_context_of_who_awaits_it() -> None:
    caller: contextvars.ContextVar[str] = contextvars.ContextVar("caller")

    async def call() -> str:
        caller.set("ann")
        async with AsyncClient("http://localhost:9004") as client:
            return await client._on_thread(caller.get)

    assert asyncio.run(call()) == "ann"


def test_it_shows_itself() -> None:
    client = AsyncClient("http://localhost:9004")
    assert repr(client) == "<AsyncClient of http://localhost:9004>"
    assert "http://localhost:9004" in client._repr_html_()
