"""Replies as gzip, for who accepts it."""

import asyncio
import gzip
import json
import threading
from collections.abc import Callable

import pytest

from tabpy.tabpy_server.web import packing
from tabpy.tabpy_server.web.handlers.base import BaseHandler
from tabpy.tabpy_server.web.packing import LEAST
from tests.web.harness import SIGNED_IN, Web, request_text

Serve = Callable[..., Web]
LARGE = json.dumps([*range(5000)], separators=(",", ":")).encode()
ACCEPTS = {"Accept-Encoding": "gzip"}


class ReplyHandler(BaseHandler):
    """Replies with what it was sent."""

    route = "/reply"

    def post(self) -> None:
        self.set_header("Content-Type", "application/json")
        self.finish(b"".join(self.whole_body()))

    def get(self) -> None:
        self.set_header("Content-Type", "application/json")
        self.finish(LARGE)


class PageHandler(BaseHandler):
    """Writes a page in pieces, as a coroutine."""

    route = "/page"

    async def get(self) -> None:
        await asyncio.sleep(0)
        for _ in range(100):
            self.write("é" * 100)


@pytest.fixture
def web(serve: Serve) -> Web:
    return serve(routes={"/reply": ReplyHandler, "/page": PageHandler})


@pytest.mark.parametrize(
    "accepts", ["gzip", "x-gzip", "deflate, GZIP;q=0.5", "br;q=1.0, gzip ; q=0.001, *;q=0"]
)
def test_a_large_reply_is_packed_for_who_accepts_it(web: Web, accepts: str) -> None:
    reply = web.request("POST", "/reply", LARGE, {"Accept-Encoding": accepts})
    assert reply.headers["Content-Encoding"] == "gzip"
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.headers["Vary"] == "Accept-Encoding"
    assert len(reply.body) == int(reply.headers["Content-Length"]) < len(LARGE) / 2
    assert gzip.decompress(reply.body) == LARGE


@pytest.mark.parametrize(
    "accepts", [None, "", "identity", "br, deflate", "gzip;q=0", "gzip; Q=0.000", "*", "notgzip"]
)
def test_for_anybody_else_it_stays_as_it_is(web: Web, accepts: str | None) -> None:
    headers = {} if accepts is None else {"Accept-Encoding": accepts}
    reply = web.request("POST", "/reply", LARGE, headers)
    assert "Content-Encoding" not in reply.headers
    assert reply.headers["Vary"] == "Accept-Encoding"
    assert reply.body == LARGE


def test_a_small_one_is_not_worth_it(web: Web) -> None:
    for size, encoding in ((LEAST - 1, None), (LEAST, "gzip")):
        reply = web.request("POST", "/reply", b"1" * size, ACCEPTS)
        assert reply.headers["Content-Encoding"] == encoding


def test_where_gzip_is_switched_off_nothing_is_packed(serve: Serve) -> None:
    web = serve({"gzip_enable": False}, routes={"/reply": ReplyHandler})
    assert web.request("POST", "/reply", LARGE, ACCEPTS).body == LARGE


def test_a_page_that_is_written_in_pieces_is_packed_whole(web: Web) -> None:
    reply = web.request("GET", "/page", headers=ACCEPTS)
    assert gzip.decompress(reply.body).decode() == "é" * 10_000


def test_without_a_body_nothing_is_packed(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "gzip", lambda _: pytest.fail("packed"))
    reply = web.request("HEAD", "/reply", headers=ACCEPTS)
    assert (reply.status, reply.headers["Content-Length"]) == (200, str(len(LARGE)))


def test_while_it_is_packed_the_server_answers_others(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_on = threading.Event()
    monkeypatch.setattr(packing, "gzip", lambda body: may_go_on.wait(20) and gzip.compress(body))
    text = request_text("GET", "/reply", {"Host": "x", "Authorization": SIGNED_IN, **ACCEPTS})

    async def exchange() -> bytes:
        async with web.connection() as slow, web.connection() as quick:
            await slow.send(text)
            await quick.send(request_text("GET", "/healthz", {"Host": "x"}))
            assert (await quick.reply()).status == 200
            may_go_on.set()
            return (await slow.reply()).body

    assert gzip.decompress(web.run(exchange())) == LARGE


def test_a_client_that_leaves_while_it_is_packed_leaves_nothing_behind(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_go_on = threading.Event(), threading.Event()

    def pack(body: bytes) -> bytes:
        begun.set()
        may_go_on.wait(20)
        return gzip.compress(body)

    monkeypatch.setattr(packing, "gzip", pack)
    text = request_text("GET", "/reply", {"Host": "x", "Authorization": SIGNED_IN, **ACCEPTS})

    async def exchange() -> None:
        async with web.connection() as connection:
            await connection.send(text)
            await web.until(begun.is_set)
        await web.until(web.context.traffic._quiet.is_set)
        may_go_on.set()

    web.run(exchange())
    assert web.request("GET", "/healthz").status == 200
