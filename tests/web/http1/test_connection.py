"""A connection: which reply goes where, who waits for whom, and who learns that a client went."""

import asyncio
import gc
import logging
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from tornado.httputil import HTTPInputError, HTTPOutputError
from tornado.iostream import StreamClosedError

from tabpy.tabpy_server.web.http1.body import CHUNKS_A_PIECE
from tabpy.tabpy_server.web.http1.connection import (
    BAD_REQUEST,
    EVENTS_A_TURN,
    GO_ON,
    MOST_HELD,
    TOO_LARGE_HEADERS,
)
from tabpy.tabpy_server.web.http1.outgoing import PIECE, PIECES_A_TURN
from tests.web.http1.shapes import MUCH, chunked, request, sized
from tests.web.http1.wires import Client, Handler, turns

GET = request(first="GET /a HTTP/1.1")
ASKS = request("Content-Length: 3", "Expect: 100-continue")


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Make a test of a coroutine."""

    def runs() -> None:
        asyncio.run(test())

    runs.__name__ = test.__name__
    return runs


class Quick(Handler):
    """Answers with the body it got, at once."""

    def answer(self) -> None:
        self.reply(self.body)


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


# --- how a reply ends, and what comes after it ---


@pytest.mark.parametrize(
    ("first", "lines", "headers", "said", "is_closed"),
    [
        ("GET / HTTP/1.1", [], {"Content-Length": "2"}, b"ok", False),
        ("GET / HTTP/1.1", ["Connection: close"], {"Content-Length": "2"}, b"ok", True),
        ("GET / HTTP/1.1", [], {"Content-Length": "2", "Connection": "close"}, b"ok", True),
        ("GET / HTTP/1.1", [], {}, b"2\r\nok\r\n0\r\n\r\n", False),
        ("GET / HTTP/1.0", [], {"Content-Length": "2"}, b"ok", True),
        ("GET / HTTP/1.0", ["Connection: keep-alive"], {"Content-Length": "2"}, b"ok", False),
        ("GET / HTTP/1.0", ["Connection: keep-alive"], {}, b"ok", True),
    ],
)
def test_the_client_learns_where_a_reply_ends_and_whether_it_may_go_on(
    first: str, lines: list[str], headers: dict[str, str], said: bytes, is_closed: bool
) -> None:
    async def exchange() -> None:
        client = Client()
        await client.send(request(*lines, first=first))
        client.handlers[0].begin(200, headers, b"ok")
        client.handlers[0].exchange.finish()
        await turns()
        head, _, body = client.take().partition(b"\r\n\r\n")
        assert body == said
        assert (b"Transfer-Encoding: chunked" in head) is (said[-1:] == b"\n")
        assert (b"Connection: close" in head) is is_closed
        assert (b"Connection: Keep-Alive" in head) is (not is_closed and "1.0" in first)
        assert client.is_closed is is_closed

    asyncio.run(exchange())


@pytest.mark.parametrize(
    ("method", "status", "headers"),
    [
        ("HEAD", 200, {"Content-Length": "2"}),
        ("HEAD", 200, {}),
        ("GET", 304, {"Content-Length": "2"}),
        ("GET", 304, {}),
        ("GET", 204, {}),
    ],
)
def test_some_replies_have_no_body(method: str, status: int, headers: dict[str, str]) -> None:
    async def exchange() -> None:
        client = Client()
        await client.send(request(first=f"{method} / HTTP/1.1"))
        client.handlers[0].begin(status, headers)
        client.handlers[0].exchange.finish()
        await turns()
        assert client.take().partition(b"\r\n\r\n")[2] == b""
        await client.send(GET)
        assert len(client.handlers) == 2

    asyncio.run(exchange())


@run
async def test_a_reply_may_come_in_pieces() -> None:
    client = Client()
    await client.send(GET)
    exchange = client.handlers[0].exchange
    client.handlers[0].begin(body=b"one")
    assert client.take().endswith(b"\r\n\r\n3\r\none\r\n")
    exchange.write(b"")  # no end
    assert client.take() == b""
    exchange.write(b"twelve bytes")
    assert client.take() == b"c\r\ntwelve bytes\r\n"
    exchange.finish()
    assert client.take() == b"0\r\n\r\n"


@run
async def test_a_reply_of_another_length_than_it_said_is_cut() -> None:
    short, long = Client(), Client()
    for client in (short, long):
        await client.send(GET)
        client.handlers[0].begin(headers={"Content-Length": "3"}, body=b"ab")
    with pytest.raises(HTTPOutputError):
        short.handlers[0].exchange.finish()
    with pytest.raises(HTTPOutputError):
        long.handlers[0].exchange.write(b"cd")
    assert short.is_closed
    assert long.is_closed


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_no_header_of_a_reply_is_two(end: str) -> None:
    class Headers(dict[str, str]):
        def get_all(self) -> Any:
            return self.items()

    async def exchange() -> None:
        client = Client()
        await client.send(GET)
        line: Any = client.handlers[0]
        with pytest.raises(ValueError, match="end of line"):
            line.begin(headers=Headers({"X": f"a{end}b"}))
        assert client.take() == b""

    asyncio.run(exchange())


@run
async def test_a_reply_before_the_end_of_the_body_ends_the_connection() -> None:
    client = Client()
    await client.send(request("Content-Length: 9", body=b"abc"))
    client.handlers[0].reply(b"no", 413)
    await turns()
    assert b"Connection: close" in client.take()
    assert client.is_closed
    assert client.handlers[0].is_gone, "or it would wait for the rest"


@run
async def test_what_comes_after_such_a_reply_reaches_nobody() -> None:
    class Refusing(Handler):
        def take(self) -> None:
            self.reply(b"no", 413)

    client = Client(Refusing)
    await client.send(chunked(b"1\r\nx\r\n" * 600 + b"0\r\n\r\n") + GET)
    [handler] = client.handlers
    assert len(handler.body) == CHUNKS_A_PIECE
    assert not handler.is_whole


@run
async def test_a_reply_before_the_end_of_a_request_without_a_body_does_not() -> None:
    class Refusing(Handler):
        async def prepare(self) -> None:
            self.reply(b"no", 401)

    client = Client(Refusing)
    for _ in range(2):
        await client.send(GET)
        assert client.take().startswith(b"HTTP/1.1 401")
    assert not client.is_closed
    assert [each.is_whole for each in client.handlers] == [False, False]


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


# --- how much is held ---


class Slow(Handler):
    """Takes the next piece when it is told to."""

    def __init__(self, exchange: Any) -> None:
        super().__init__(exchange)
        self.go_on = asyncio.Event()

    async def take(self) -> None:
        self.go_on.clear()
        await self.go_on.wait()


@run
async def test_of_a_body_no_more_is_held_than_some() -> None:
    client = Client(Slow)
    size = 9 * MOST_HELD
    await client.send(request(f"Content-Length: {size}"))
    [handler] = client.handlers
    assert isinstance(handler, Slow)
    left = size
    most = 0
    while left or not handler.is_whole:
        if left and not client.transport.is_paused:
            buffer = client.connection.get_buffer(-1)
            count = min(left, len(buffer))
            client.connection.buffer_updated(count)
            left -= count
        else:
            handler.go_on.set()
            await turns(3)
        most = max(most, size - left - len(handler.body))
    assert len(handler.body) == size
    assert MOST_HELD <= most < 2 * MOST_HELD


@run
async def test_of_the_next_requests_no_more_is_held_than_some() -> None:
    client = Client()
    await client.send(GET)
    for _ in range(9):
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * (MOST_HELD // 99))
    assert client.transport.is_paused
    assert len(client.handlers) == 1
    client.handlers[0].reply()
    await turns()
    assert len(client.handlers) == 2


@run
async def test_a_long_reply_is_handed_on_as_the_client_takes_it() -> None:
    client = Client()
    client.transport.room = 10
    await client.send(GET)
    [handler] = client.handlers
    taken = handler.reply(b"x" * (5 * PIECE))
    for _ in range(5):
        assert client.transport.get_write_buffer_size() <= PIECE
        assert not taken.done()
        client.transport.give_room(PIECE)
    client.transport.give_room(1000)
    assert taken.done()
    assert client.take().endswith(b"x" * (5 * PIECE))
    await turns()
    assert list(client.connections.idle) == [client.connection]


@run
async def test_a_client_as_quick_as_we_are_leaves_others_a_turn() -> None:
    client = Client()
    await client.send(GET)
    size = 2 * PIECES_A_TURN * PIECE
    taken = client.handlers[0].reply(b"x" * size)
    assert 0 < len(client.transport.said) <= PIECES_A_TURN * PIECE
    assert not taken.done()
    await turns()
    assert taken.done()
    assert client.take().endswith(b"x" * size)


@run
async def test_what_waits_counts_as_moving_when_the_client_takes_a_byte() -> None:
    client = Client()
    client.transport.room = 0
    await client.send(GET)
    client.handlers[0].begin(body=b"x")
    assert client.connection.writing()
    before = client.connection.taken()
    client.transport.give_room(1)
    assert client.connection.taken() == before + 1
    client.transport.give_room(1000)
    assert not client.connection.writing()


# --- a client that goes ---


@run
async def test_a_client_that_leaves_while_its_script_runs_is_noticed() -> None:
    client = Client()
    await client.send(GET)
    await client.leave()
    assert client.handlers[0].is_gone
    assert client.connection.lost.done()
    assert len(client.connections) == 0


@run
async def test_who_stops_sending_does_not_wait_for_a_reply() -> None:
    client = Client()
    await client.send(GET)
    client.connection.eof_received()
    await turns()
    assert client.is_closed
    assert client.handlers[0].is_gone


@run
async def test_a_client_that_leaves_in_a_body_is_noticed() -> None:
    client = Client()
    await client.send(request("Content-Length: 9", body=b"abc"))
    await client.leave()
    assert client.handlers[0].is_gone
    assert not client.handlers[0].is_whole


@run
async def test_a_handler_ends_what_it_does_before_it_learns_that_its_client_has_gone() -> None:
    """It may be verifying a password, and counts what it keeps afterwards."""
    client = Client(Slow)
    await client.send(request("Content-Length: 9", body=b"abc"))
    [handler] = client.handlers
    assert isinstance(handler, Slow)
    await client.leave()
    assert not handler.is_gone
    handler.go_on.set()
    await turns()
    assert handler.is_gone


@run
async def test_a_client_that_has_its_reply_may_go() -> None:
    client = Client(Quick)
    await client.send(GET)
    await client.leave()
    assert not client.handlers[0].is_gone


@run
async def test_what_is_written_for_a_client_that_has_gone_fails() -> None:
    client = Client()
    client.transport.room = 0
    await client.send(GET)
    waits = client.handlers[0].begin()
    await client.leave()
    assert isinstance(waits.exception(), StreamClosedError)
    assert isinstance(client.handlers[0].exchange.write(b"x").exception(), StreamClosedError)
    client.handlers[0].exchange.finish()  # and nothing happens


@run
async def test_what_waits_is_dropped_when_it_is_closed() -> None:
    client = Client()
    client.transport.room = 0
    await client.send(GET)
    taken = client.handlers[0].reply(b"x" * 9 * PIECE)
    client.connection.close()
    assert isinstance(taken.exception(), StreamClosedError)
    handed_over = client.transport.get_write_buffer_size()
    await turns()
    assert client.transport.get_write_buffer_size() == handed_over


@run
async def test_one_that_is_closed_before_it_is_connected_stays_closed() -> None:
    client = Client()
    client.connection.close()
    other = Client()
    other.connection.is_closed = True
    other.connection.connection_made(other.transport)
    assert client.is_closed
    assert other.is_closed


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
