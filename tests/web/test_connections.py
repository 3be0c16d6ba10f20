"""Connections: not too many, and none stands still for long."""

import asyncio
import ssl
from collections.abc import Callable

import pytest

from tabpy.tabpy_server.web.connections import (
    HEADER_SECONDS,
    REPLY_SECONDS,
    SPEAKS_HTTP,
    STILL_SECONDS,
    TELL_EVERY,
    Connections,
)
from tests.web.harness import SIGNED_IN, Connection, EchoHandler, Web, request_text
from tests.web.test_in_flight import SlowHandler

Serve = Callable[..., Web]

HEAD = {"Host": "x", "Authorization": SIGNED_IN}
LARGE = 50_000_000  # bytes: far more than the kernel takes for a client that doesn't read


class LargeHandler(EchoHandler):
    """Answers with much."""

    route = "/large"

    def get(self) -> None:
        self.finish(b" " * LARGE)


@pytest.fixture
def web(serve: Serve) -> Web:
    SlowHandler.begun = []
    return serve(routes={"/echo": EchoHandler, "/slow": SlowHandler, "/large": LargeHandler})


def later(web: Web, seconds: float) -> None:
    """Let time pass, for the server's connections."""
    web.time += seconds
    web.connections.close_slow()


async def is_closed(connection: Connection) -> bool:
    """Whether the server has closed it without a word."""
    try:
        return await connection.rest() == b""
    except ConnectionResetError:
        return True


async def opened(web: Web, count: int) -> None:
    await web.until(lambda: len(web.connections) == count)


# --- of which kind ---


def test_https_is_told_at_once_that_this_is_http(web: Web) -> None:
    port = web.port

    async def exchange() -> None:
        context = ssl.create_default_context()
        with pytest.raises(ssl.SSLError, match="WRONG_VERSION_NUMBER"):
            await asyncio.open_connection("127.0.0.1", port, ssl=context)
        await opened(web, 0)

    web.run(exchange())


def test_of_https_the_log_has_a_line_now_and_then(
    web: Web, caplog: pytest.LogCaptureFixture
) -> None:
    port = web.port

    async def speak_https(times: int) -> None:
        for _ in range(times):
            with pytest.raises(ssl.SSLError):
                await asyncio.open_connection("127.0.0.1", port, ssl=ssl.create_default_context())

    web.run(speak_https(3))
    later(web, TELL_EVERY)
    web.run(speak_https(2))
    told = [each for each in caplog.records if each.levelname == "WARNING"]
    assert [each.message for each in told] == [SPEAKS_HTTP] * 2
    assert [vars(each)["fields"] for each in told] == [{"connections": 1}, {"connections": 3}]


def test_a_body_may_begin_like_a_handshake(web: Web) -> None:
    reply = web.request("POST", "/echo", b"\x16\x03\x01")
    assert reply.status == 200
    assert reply.json["body"] == "\x16\x03\x01"


# --- how many ---


def test_the_one_that_has_waited_longest_makes_room(web: Web) -> None:
    web.connections.most = 2

    async def exchange() -> None:
        async with web.connection() as oldest, web.connection() as used:
            await opened(web, 2)
            await used.send(request_text("GET", "/info", HEAD))
            assert (await used.reply()).status == 200
            await oldest.send(request_text("GET", "/info", HEAD))
            assert (await oldest.reply()).status == 200  # and has waited less than `used` now
            async with web.connection() as newest:
                await newest.send(request_text("GET", "/info", HEAD))
                assert (await newest.reply()).status == 200
                assert await is_closed(used)
                await oldest.send(request_text("GET", "/info", HEAD))
                assert (await oldest.reply()).status == 200
                assert len(web.connections) == 2

    web.run(exchange())


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [("POST", "/info", {"Host": "x"}), ("OPTIONS", "/info", {"Host": "x"}), ("POST", "/no", HEAD)],
    ids=["without a password", "a preflight", "refused for its size"],
)
def test_one_that_is_not_let_in_makes_room(
    web: Web, method: str, path: str, headers: dict[str, str]
) -> None:
    web.connections.most = 2
    size = web.context.max_request_size + 1 if headers is HEAD else 9
    unwanted = request_text(method, path, {**headers, "Content-Length": str(size)})

    async def exchange() -> None:
        async with web.connection() as runs, web.connection() as slow:
            await runs.send(request_text("POST", "/slow", HEAD))
            await web.until(lambda: len(SlowHandler.begun) == 1)
            await slow.send(unwanted)
            await web.until(lambda: slow_ones(web) == 1)
            async with web.connection() as newest:
                await newest.send(request_text("GET", "/info", HEAD))
                assert (await newest.reply()).status == 200
            assert await is_closed(slow)
            SlowHandler.begun[0].go_on.set()
            assert (await runs.reply()).status == 200

    web.run(exchange())


def test_one_that_turns_out_too_large_makes_room(serve: Serve) -> None:
    web = serve({"max_request_size_mb": 1 / 1024}, routes={"/echo": EchoHandler})

    async def exchange() -> None:
        async with web.connection() as connection:
            chunks = request_text("POST", "/echo", HEAD | {"Transfer-Encoding": "chunked"})
            await connection.send(chunks + b"1\r\nx\r\n")
            await web.until(lambda: len(web.connections.admitted) == 1)
            await connection.send(b"400\r\n%b\r\n" % (b"x" * 0x400))
            await web.until(lambda: slow_ones(web) == 1)
            web.connections.most = 1
            assert web.connections.make_room()
            assert await is_closed(connection)

    web.run(exchange())


def slow_ones(web: Web) -> int:
    return len(web.connections.unadmitted)


def test_what_runs_is_never_closed_for_another(web: Web) -> None:
    async def exchange() -> None:
        async with web.connection() as runs, web.connection() as sends:
            await runs.send(request_text("POST", "/slow", HEAD))
            await web.until(lambda: len(SlowHandler.begun) == 1)
            await sends.send(request_text("POST", "/echo", {**HEAD, "Content-Length": "2"}))
            await web.until(lambda: len(web.connections.admitted) == 2)
            web.connections.most = 2
            assert not web.connections.make_room()
            await sends.send(b"ok")
            assert (await sends.reply()).json["body"] == "ok"
            await opened(web, 2)
            assert web.connections.make_room()  # the one that has its answer
            assert len(web.connections) == 1
            SlowHandler.begun[0].go_on.set()
            assert (await runs.reply()).status == 200

    web.run(exchange())


def test_one_that_its_client_closes_is_forgotten(web: Web) -> None:
    async def exchange() -> None:
        async with web.connection():
            await opened(web, 1)
        await opened(web, 0)

    web.run(exchange())


# --- without end ---


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"x" * 70_000, 431),
        (b"GET /info HTTP/1.1\r\nHost: x\r\na: " + b"x" * 70_000, 431),
        (b"GET /info HTTP/1.1\r\nHost: x\r\n" + b"a:b\r\n" * 20_000, 431),
        (request_text("POST", "/echo", {**HEAD, "Transfer-Encoding": "chunked"}) + b"1" * 99, 400),
        (
            request_text("POST", "/echo", {**HEAD, "Transfer-Encoding": "chunked"}) + b"1\nx" * 99,
            400,
        ),
    ],
    ids=["line", "header", "headers", "chunk", "chunks"],
)
def test_what_has_no_end_is_told_so(web: Web, text: bytes, status: int) -> None:
    async def exchange() -> None:
        async with web.connection() as connection:
            await connection.send(text)
            assert (await connection.reply()).status == status
            assert await is_closed(connection)
        await opened(web, 0)

    web.run(exchange())


# --- how long ---


@pytest.mark.parametrize("text", [b"", b"GET /info HTTP/1.1\r\nHost: x\r\n"])
def test_headers_have_to_come_soon(web: Web, text: bytes) -> None:
    async def exchange() -> None:
        async with web.connection() as connection:
            await opened(web, 1)
            await connection.send(text)
            later(web, HEADER_SECONDS)
            await connection.send(b"")
            assert len(web.connections) == 1
            later(web, 0.1)
            assert await is_closed(connection)

    web.run(exchange())


def test_between_requests_a_connection_may_rest(web: Web) -> None:
    async def exchange() -> None:
        async with web.connection() as connection:
            await connection.send(request_text("GET", "/info", HEAD))
            await connection.reply()
            later(web, HEADER_SECONDS * 9)
            await connection.send(request_text("GET", "/info", HEAD))
            assert (await connection.reply()).status == 200
            later(web, HEADER_SECONDS * 9)
            await connection.send(b"GET /info")
            await web.until(lambda: any(each.headers_since for each in web.connections.idle))
            later(web, HEADER_SECONDS + 0.1)
            assert await is_closed(connection)

    web.run(exchange())


def test_but_not_for_ever(web: Web) -> None:
    web.connections.idle_seconds = 95.0

    async def exchange() -> None:
        async with web.connection() as connection:
            await connection.send(request_text("GET", "/info", HEAD))
            await connection.reply()
            await web.until(lambda: bool(web.connections.idle))
            later(web, 95.0)
            assert len(web.connections) == 1
            later(web, 0.1)
            assert await is_closed(connection)

    web.run(exchange())


def test_a_body_has_to_come_in_time(web: Web) -> None:
    web.connections.body_seconds = 300.0

    async def exchange() -> None:
        async with web.connection() as connection:
            await connection.send(request_text("POST", "/echo", {**HEAD, "Content-Length": "99"}))
            await web.until(lambda: len(web.connections.admitted) == 1)
            for _ in range(10):
                await send_one(web, connection, b"a")
                later(web, 30.0)
            assert len(web.connections) == 1
            await send_one(web, connection, b"a")
            later(web, 0.1)
            assert await is_closed(connection)

    web.run(exchange())


def test_a_body_has_to_get_on(web: Web) -> None:
    async def exchange() -> None:
        async with web.connection() as connection:
            await connection.send(request_text("POST", "/echo", {**HEAD, "Content-Length": "9"}))
            await web.until(lambda: len(web.connections.admitted) == 1)
            for byte in (b"a", b"b", b"c"):
                await send_one(web, connection, byte)
                later(web, STILL_SECONDS)
                later(web, STILL_SECONDS)
            assert len(web.connections) == 1
            later(web, 0.1)
            assert await is_closed(connection)

    web.run(exchange())


def test_what_takes_long_here_is_not_the_clients_fault(web: Web) -> None:
    async def exchange() -> None:
        async with web.connection() as connection:
            await connection.send(request_text("POST", "/slow", HEAD))
            await web.until(lambda: len(SlowHandler.begun) == 1)
            for _ in range(3):
                later(web, REPLY_SECONDS * 9)
            SlowHandler.begun[0].go_on.set()
            assert (await connection.reply()).status == 200

    web.run(exchange())


async def send_one(web: Web, connection: Connection, byte: bytes) -> None:
    """Send a byte of a request, and wait until it has come."""
    [stream] = web.connections.admitted
    before = stream.moved
    await connection.send(byte)
    await web.until(lambda: stream.moved > before)


async def with_a_reply_that_waits(web: Web, connection: Connection) -> None:
    connection.pause()
    await connection.send(request_text("GET", "/large", HEAD))
    await web.until(lambda: any(each.writing() for each in web.connections.admitted))


def test_a_reply_has_to_be_taken(web: Web) -> None:
    async def exchange() -> None:
        async with web.connection() as connection:
            await with_a_reply_that_waits(web, connection)
            later(web, 1)
            later(web, STILL_SECONDS)
            assert len(web.connections) == 1
            later(web, 0.1)
            assert len(web.connections) == 0

    web.run(exchange())


def test_a_reply_has_to_be_taken_as_a_whole(web: Web) -> None:
    async def exchange() -> None:
        async with web.connection() as connection:
            await with_a_reply_that_waits(web, connection)
            [stream] = web.connections.admitted
            later(web, 1)
            for _ in range(int(REPLY_SECONDS // STILL_SECONDS)):
                stream.moved += 1
                later(web, STILL_SECONDS)
            assert len(web.connections) == 1
            stream.moved += 1
            later(web, 1)
            assert len(web.connections) == 0

    web.run(exchange())


def test_it_looks_after_them_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tabpy.tabpy_server.web.connections.LOOK_EVERY", 0.0)
    looked = asyncio.Event()

    class Watched(Connections):
        def close_slow(self) -> None:
            super().close_slow()
            looked.set()

    async def watch() -> None:
        watching = asyncio.ensure_future(Watched(1).watch())
        await asyncio.wait_for(looked.wait(), 5)
        watching.cancel()

    asyncio.run(watch())
