"""A connection: which reply goes where, who waits for whom, and what ends it."""

import asyncio
import gc
import logging
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from tornado.httputil import HTTPInputError

from tabpy.tabpy_server.web.http1.connection import (
    BAD_REQUEST,
    EVENTS_A_TURN,
    GO_ON,
    TOO_LARGE_HEADERS,
)
from tests.web.http1.shapes import MUCH, chunked, request, sized
from tests.web.http1.wires import Client, Handler, Quick, run, turns

GET = request(first="GET /a HTTP/1.1")
ASKS = request("Content-Length: 3", "Expect: 100-continue")


# --- one request after the other ---


@run
async def test_a_connection_takes_many_requests() -> None:
    client = Client(Quick)
    for _ in range(3):
        await client.send(sized())
        assert client.take() == b"HTTP/1.1 200 Fine\r\nContent-Length: 3\r\n\r\nabc"
        assert list(client.connections.idle) == [client.connection]
    assert not client.is_closed


@run
async def test_requests_that_come_at_once_are_answered_in_their_order() -> None:
    client = Client(Quick)
    count = 5 * EVENTS_A_TURN
    text = b"".join(
        request(f"Content-Length: {len(each)}", body=each) for each in map(word, range(count))
    )
    await client.send(text)
    await turns(2 * count)
    bodies = client.take().split(b"HTTP/1.1 200 Fine\r\n")[1:]
    assert [each.partition(b"\r\n\r\n")[2] for each in bodies] == [*map(word, range(count))]


def word(number: int) -> bytes:
    return b"%d" % number


@run
async def test_the_next_request_waits_for_the_reply_before_it() -> None:
    client = Client()
    await client.send(GET + GET)
    assert len(client.handlers) == 1
    client.transport.room = 0
    client.handlers[0].reply(b"x")
    await turns()
    assert len(client.handlers) == 1, "not before the client has taken it"
    client.transport.give_room(1000)
    await turns()
    assert len(client.handlers) == 2


@run
async def test_many_at_once_leave_others_a_turn() -> None:
    client = Client()
    seen: list[int] = []
    asyncio.get_running_loop().call_soon(lambda: seen.append(len(client.handlers[0].body)))
    size = 256 * EVENTS_A_TURN * 2
    await client.send(chunked(b"1\r\nx\r\n" * size + b"0\r\n\r\n"))
    await turns()
    assert 0 < seen[0] < size
    assert client.handlers[0].body == b"x" * size


@run
async def test_nothing_of_a_request_lives_on() -> None:
    """Not even in a circle, until the collector finds it: bodies are large."""
    client = Client(Quick)
    gc.disable()
    try:
        await client.send(sized())
        handler = weakref.ref(client.handlers.pop())
        assert handler() is None
    finally:
        gc.enable()


# --- who asks first ---


@run
async def test_a_client_that_asks_is_told_to_go_on() -> None:
    client = Client(Quick)
    await client.send(ASKS)
    assert client.take() == GO_ON
    await client.send(b"abc")
    assert client.take().endswith(b"abc")


@run
async def test_a_client_that_does_not_wait_for_the_word_gets_none() -> None:
    client = Client(Quick)
    await client.send(ASKS + b"abc")
    assert client.take().startswith(b"HTTP/1.1 200")


@run
async def test_a_client_that_is_refused_is_not_told_to_go_on() -> None:
    class Refusing(Handler):
        async def prepare(self) -> None:
            await asyncio.sleep(0)
            self.reply(b"", 413)

    client = Client(Refusing)
    await client.send(ASKS)
    assert client.take().startswith(b"HTTP/1.1 413")
    assert client.is_closed


@run
async def test_a_reply_that_has_begun_is_not_interrupted_by_that_word() -> None:
    class Beginning(Handler):
        async def prepare(self) -> None:
            self.begin(body=b"x")

    client = Client(Beginning)
    await client.send(ASKS)
    assert client.take().endswith(b"\r\n\r\n1\r\nx\r\n")


# --- what is no request ---


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"nonsense\r\n\r\n", BAD_REQUEST),
        (b"\x16\x03\x01", BAD_REQUEST),
        (request("X: " + "a" * MUCH), TOO_LARGE_HEADERS),
        (chunked(b"nonsense"), BAD_REQUEST),
    ],
    ids=["line", "handshake", "large", "chunk"],
)
def test_what_is_no_request_is_answered_and_the_end(
    text: bytes, said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def exchange() -> None:
        client = Client()
        await client.send(text + GET)
        assert client.take() == said
        assert client.is_closed
        assert all(each.is_gone for each in client.handlers)

    asyncio.run(exchange())
    [record] = [each for each in caplog.records if each.levelno == logging.INFO]
    assert record.getMessage() == "no request"
    assert record.__dict__["fields"]["caller"] == "203.0.113.7"


@run
async def test_a_reply_that_has_begun_is_not_mixed_with_another() -> None:
    client = Client()
    await client.send(chunked(b""))
    client.handlers[0].begin(body=b"x")
    client.take()
    await client.send(b"nonsense")
    assert client.take() == b""
    assert client.is_closed


@run
async def test_what_an_application_refuses_is_a_bad_request() -> None:
    class Refusing(Handler):
        def prepare(self) -> None:
            raise HTTPInputError("no such host")

    client = Client(Refusing)
    await client.send(GET + GET)
    assert client.take() == BAD_REQUEST
    assert client.is_closed
    assert len(client.handlers) == 1


# --- a handler that fails ---


def fail(*_: object) -> None:
    raise RuntimeError("a bug")


async def fail_later(*_: object) -> None:
    raise RuntimeError("a bug")


@pytest.mark.parametrize(
    ("where", "failing"),
    [
        ("prepare", fail),
        ("prepare", fail_later),
        ("take", fail),
        ("take", fail_later),
        ("answer", fail),
    ],
)
def test_a_handlers_bug_ends_its_connection_and_is_logged(
    where: str, failing: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def exchange() -> None:
        client = Client(type("Failing", (Handler,), {where: failing}))
        await client.send(sized())
        assert client.is_closed
        assert client.take() == b""

    asyncio.run(exchange())
    [record] = caplog.records
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "a bug"
