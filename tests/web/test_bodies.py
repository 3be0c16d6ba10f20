"""How much of a body is taken in: never more than the limit, and of a refused one not much more."""

from collections.abc import Callable
from typing import ClassVar

import pytest

from tabpy.tabpy_server.web.body import HeldBody
from tabpy.tabpy_server.web.visit import DISCARD_FACTOR
from tests.running import Reply
from tests.web.harness import SIGNED_IN, Connection, EchoHandler, FakeGate, Web, request_text

Serve = Callable[..., Web]

LIMIT = 1024  # bytes
TOO_LARGE = "Request with size {} exceeded limit of 1024 (bytes)."
CHUNKED = {"Transfer-Encoding": "chunked"}


class WatchedHandler(EchoHandler):
    """Tells how many pieces have come in a test, and whether they have been answered."""

    pieces = 0
    is_finished = False

    async def data_received(self, chunk: bytes) -> None:
        if (taking := super().data_received(chunk)) is not None:
            await taking
        WatchedHandler.pieces += 1

    def on_finish(self) -> None:
        super().on_finish()
        WatchedHandler.is_finished = True


@pytest.fixture(params=[True, False], ids=["known", "unknown"])
def small(request: pytest.FixtureRequest, serve: Serve) -> Web:
    """A server that takes a kilobyte, from somebody it remembers or has to ask about."""
    WatchedHandler.pieces, WatchedHandler.is_finished = 0, False
    settings = {"max_request_size_mb": LIMIT / (1 << 20)}
    return serve(settings, gate=FakeGate(request.param), routes={"/echo": WatchedHandler})


def head(headers: dict[str, str], *, authorization: str | None = SIGNED_IN) -> bytes:
    signed = {} if authorization is None else {"Authorization": authorization}
    return request_text("POST", "/echo", {"Host": "x", **signed, **headers})


def sized(size: int) -> dict[str, str]:
    return {"Content-Length": str(size)}


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def still_works(connection: Connection) -> bool:
    """Whether the connection takes another request, since the last one was read to its end."""
    await connection.send(head(sized(2)) + b"ok")
    reply: Reply = await connection.reply()
    return reply.status == 200 and reply.json["body"] == "ok"


# --- within the limit ---


@pytest.mark.parametrize("size", [0, 1, LIMIT])
def test_a_body_up_to_the_limit_is_taken(small: Web, size: int) -> None:
    assert small.request("POST", "/echo", b"x" * size).json["body"] == "x" * size


def test_a_body_without_a_size_is_taken_up_to_the_limit(small: Web) -> None:
    async def exchange() -> Reply:
        async with small.connection() as connection:
            await connection.send(head(CHUNKED) + chunk(b"x" * LIMIT) + chunk(b""))
            return await connection.reply()

    assert small.run(exchange()).json["body"] == "x" * LIMIT


# --- refused ---


@pytest.mark.parametrize("size", [LIMIT + 1, DISCARD_FACTOR * LIMIT])
def test_a_body_over_the_limit_is_read_and_then_refused(small: Web, size: int) -> None:
    async def exchange() -> None:
        async with small.connection() as connection:
            await connection.send(head(sized(size)) + b"x" * size)
            reply = await connection.reply()
            assert reply.error == (413, TOO_LARGE.format(size), "Request Entity Too Large")
            assert await still_works(connection)

    small.run(exchange())


def test_a_body_far_over_the_limit_is_refused_before_it_comes(small: Web) -> None:
    size = DISCARD_FACTOR * LIMIT + 1

    async def exchange() -> None:
        async with small.connection() as connection:
            await connection.send(head(sized(size)))
            reply = await connection.reply()
            assert reply.error == (413, TOO_LARGE.format(size), "Request Entity Too Large")
            assert await connection.rest() == b""

    small.run(exchange())


def test_a_client_that_asks_first_is_told_at_once(small: Web) -> None:
    async def exchange() -> None:
        async with small.connection() as connection:
            await connection.send(head({**sized(LIMIT + 1), "Expect": "100-continue"}))
            assert (await connection.reply()).status == 413
            assert await connection.rest() == b""

    small.run(exchange())


def test_without_a_body_a_refusal_is_told_at_once(small: Web) -> None:
    async def exchange() -> None:
        async with small.connection() as connection:
            await connection.send(head({}, authorization=None))
            assert (await connection.reply()).status == 401

    small.run(exchange())


@pytest.mark.parametrize(
    ("authorization", "headers", "status"),
    [
        (SIGNED_IN, {}, 413),
        (None, {}, 401),
        (SIGNED_IN, {"Content-Encoding": "br"}, 415),
        (SIGNED_IN, {"Content-Encoding": "gzip"}, 400),
        (SIGNED_IN, {"Origin": "http://foe.example"}, 403),
    ],
)
def test_a_refused_body_without_end_is_cut(
    small: Web, authorization: str | None, headers: dict[str, str], status: int
) -> None:
    async def exchange() -> None:
        async with small.connection() as connection:
            await connection.send(head({**CHUNKED, **headers}, authorization=authorization))
            # One that is refused, one that is discarded, and one more.
            for taken in (
                lambda: WatchedHandler.pieces >= 1,
                lambda: WatchedHandler.pieces >= 2,
                lambda: WatchedHandler.pieces >= 3,
            ):
                await connection.send(chunk(b"x" * DISCARD_FACTOR * LIMIT))
                await small.until(taken)
                if WatchedHandler.is_finished:
                    break
            assert (await connection.reply()).error[0] == status
            assert await connection.rest() == b""

    small.run(exchange())


def test_a_refused_body_is_read_for_a_while(small: Web) -> None:
    async def exchange() -> None:
        async with small.connection() as connection:
            await connection.send(head(CHUNKED, authorization=None))
            for _ in range(DISCARD_FACTOR):
                await connection.send(chunk(b"x" * LIMIT))
            await connection.send(chunk(b""))
            assert (await connection.reply()).error[0] == 401
            assert await still_works(connection)

    small.run(exchange())


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("route", ["/echo", "/info", "/static/page.js", "/nosuch"])
def test_a_refusal_comes_before_any_method(small: Web, method: str, route: str) -> None:
    body = b"x" * (LIMIT + 1)
    assert small.request(method, route, body).status == 413
    assert small.request(method, route, body, authorization=None).status == 401


# --- without credentials ---


class NotedBody(HeldBody):
    """Says what it was given to keep."""

    kept: ClassVar[list[bytes]] = []

    def keep(self, piece: bytes) -> None:
        self.kept.append(piece)


class KeepingHandler(EchoHandler):
    """Has such a body."""

    def initialize(self) -> None:
        self.visit.body = NotedBody(self.context.bodies.share(), 1.0)


@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "gzip"}])
def test_of_what_needs_no_credentials_no_body_is_kept(
    serve: Serve, headers: dict[str, str]
) -> None:
    web = serve(routes={"/keep": KeepingHandler})
    NotedBody.kept = []
    reply = web.request("OPTIONS", "/keep", b"x" * 10_000, headers, authorization=None)
    assert (reply.status, reply.json) == (200, {})
    assert NotedBody.kept == []
    web.request("POST", "/keep", b"x")
    assert NotedBody.kept == [b"x"]


def test_what_needs_no_credentials_has_the_same_limit(small: Web) -> None:
    body = b"x" * (LIMIT + 1)
    assert small.request("OPTIONS", "/echo", body, authorization=None).status == 413
    assert small.request("GET", "/healthz", body, authorization=None).status == 413
