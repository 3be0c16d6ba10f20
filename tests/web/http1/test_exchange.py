"""A reply: how its client learns where it ends, and whether another request may follow."""

import asyncio
from typing import Any

import pytest
from tornado.httputil import HTTPOutputError

from tabpy.tabpy_server.web.http1.body import CHUNKS_A_PIECE
from tests.web.http1.shapes import chunked, request
from tests.web.http1.wires import Client, Handler, run, turns

GET = request(first="GET /a HTTP/1.1")


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
