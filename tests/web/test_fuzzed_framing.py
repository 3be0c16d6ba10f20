"""Where a request ends: what could be read in two ways is refused, and nothing after it is read.

Two servers in a row that disagree about that let one client write another's request.
"""

import asyncio
import itertools
from collections.abc import Iterator
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.running import Reply
from tests.web.harness import SIGNED_IN, EchoHandler, Web, make_context

NEXT = f"POST /next HTTP/1.1\r\nHost: x\r\nAuthorization: {SIGNED_IN}\r\n\r\n".encode("latin-1")


class NextHandler(EchoHandler):
    """Counts what came after the first request."""

    count: ClassVar[int] = 0

    def post(self) -> None:
        NextHandler.count += 1
        self.write_json("next")


class BytesHandler(EchoHandler):
    """Sends back what it got, whatever it was."""

    def post(self) -> None:
        self.write_json({"body": b"".join(self.whole_body()).decode("latin-1")})


ROUTES = {"/echo": BytesHandler, "/next": NextHandler}


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    """One server for all examples: none may break it for the next."""
    running = Web(make_context(), ROUTES)
    yield running
    running.close()


def replies(web: Web, text: bytes) -> list[Reply]:
    """What is answered to `text`, until the server closes or has answered the request at its
    end."""

    async def exchange() -> list[Reply]:
        found: list[Reply] = []
        async with web.connection() as connection:
            await connection.send(text)
            try:
                while not found or found[-1].body != b'"next"':
                    found.append(await connection.reply())
            except (asyncio.IncompleteReadError, ConnectionResetError):
                pass
        return found

    NextHandler.count = 0
    return web.run(exchange())


def post(*lines: str | bytes, body: bytes = b"", first: str = "POST /echo HTTP/1.1") -> bytes:
    """A signed-in request with more header lines, as they are."""
    head = [first, "Host: x", f"Authorization: {SIGNED_IN}", *lines]
    raw = [each if isinstance(each, bytes) else each.encode("latin-1") for each in head]
    return b"\r\n".join(raw) + b"\r\n\r\n" + body


CHUNKS = b"3\r\nabc\r\n0\r\n\r\n"
CHUNKED = "Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    "text",
    [
        # two lengths, or two ways to say it
        post("Content-Length: 3", CHUNKED, body=CHUNKS),
        post(CHUNKED, "Content-Length: 3", body=CHUNKS),
        post("Content-Length: 3", "Content-Length: 4", body=b"abcd"),
        post("Content-Length: 3, 4", body=b"abcd"),
        post("Content-Length: 3", "Content-Length: 03", body=b"abc"),
        post("Content-Length: 3", "content-length: 0", body=b"abc"),
        # what is no length
        post("Content-Length: +3", body=b"abc"),
        post("Content-Length: -3", body=b"abc"),
        post("Content-Length: 0x3", body=b"abc"),
        post("Content-Length: 3 3", body=b"abc"),
        post("Content-Length: 3_0", body=b"abc"),
        post("Content-Length: 3.0", body=b"abc"),
        post("Content-Length: \xb2", body=b"abc"),
        post("Content-Length:", body=b"abc"),
        # what is not quite chunked
        post("Transfer-Encoding: identity", body=CHUNKS),
        post("Transfer-Encoding: chunked, identity", body=CHUNKS),
        post("Transfer-Encoding: gzip, chunked", body=CHUNKS),
        post("Transfer-Encoding: xchunked", body=CHUNKS),
        post('Transfer-Encoding: "chunked"', body=CHUNKS),
        post("Transfer-Encoding:", body=CHUNKS),
        post(CHUNKED, CHUNKED, body=CHUNKS),
        post(CHUNKED, "Transfer-Encoding: x", body=CHUNKS),
        post("Transfer-Encoding : chunked", body=CHUNKS),
        post(" Transfer-Encoding: chunked", body=CHUNKS),
        post("Transfer-Encoding:\x0bchunked", body=CHUNKS),
        post("Transfer-Encoding: chunked\x00", body=CHUNKS),
        post("Transfer-Encoding:\r\n chunked", body=CHUNKS),
        # what are no chunks
        post(CHUNKED, body=b"-3\r\nabc\r\n0\r\n\r\n"),
        post(CHUNKED, body=b"+3\r\nabc\r\n0\r\n\r\n"),
        post(CHUNKED, body=b"0x3\r\nabc\r\n0\r\n\r\n"),
        post(CHUNKED, body=b"3 \r\nabc\r\n0\r\n\r\n"),
        post(CHUNKED, body=b"3;a=b\r\nabc\r\n0\r\n\r\n"),
        post(CHUNKED, body=b"3_0\r\nabc\r\n0\r\n\r\n"),
        post(CHUNKED, body=b"\r\nabc\r\n0\r\n\r\n"),
        post(CHUNKED, body=b"3\r\nabcd\r\n0\r\n\r\n"),
        post(CHUNKED, body=b"3\r\nabcX\n0\r\n\r\n"),
        post(CHUNKED, body=b"0\r\nX: y\r\n\r\n"),
        post(CHUNKED, body=b"F" * 16 + b"\r\nabc\r\n0\r\n\r\n"),
        # what are no headers
        post("X: a", " folded"),
        post("X: a", "\tfolded"),
        post("no colon"),
        post(": no name"),
        post("X Y: a"),
        post("X\x00: a"),
        post("X: a\x00b"),
        post("X: a\rContent-Length: 3", body=b"abc"),
        post("X\xe4: a"),
        post("X: \x7f"),
        # what is no request line
        post(first="POST /echo"),
        post(first="POST  /echo HTTP/1.1"),
        post(first="POST /echo HTTP/1.1 x"),
        post(first="POST /echo\x00 HTTP/1.1"),
        post(first="POST /a b HTTP/1.1"),
        post(first="POST /echo HTTP/2.0"),
        post(first="POST /echo HTTP/11"),
        post(first="POST /echo http/1.1"),
        post(first="PO\xdfT /echo HTTP/1.1"),
        post(first=" POST /echo HTTP/1.1"),
        # other protocols
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
        b"\x00\r\n\r\n",
    ],
    ids=map(str, itertools.count()),
)
def test_what_can_be_read_in_two_ways_is_400_and_the_end(web: Web, text: bytes) -> None:
    found = replies(web, text + NEXT)
    assert [each.status for each in found] == [400]
    assert NextHandler.count == 0


@pytest.mark.parametrize(
    ("text", "status"),
    [
        # A proxy may double a length (RFC 9110, section 8.6).
        (post("Content-Length: 3", "Content-Length: 3", body=b"abc"), 200),
        (post("Content-Length: 3,3", body=b"abc"), 200),
        (post("Content-Length: 003", body=b"abc"), 200),
        (post("content-length:3", body=b"abc"), 200),
        (post(CHUNKED, body=CHUNKS), 200),
        (post("transfer-encoding:\tCHUNKED\t", body=CHUNKS), 200),
        (post(CHUNKED, body=b"03\r\nabc\r\n000\r\n\r\n"), 200),
        (b"\r\n" + post("Content-Length: 3", body=b"abc"), 200),
        (post("Content-Length: 3", body=b"abc").replace(b"\r\n", b"\n"), 200),
        (post("Content-Length: 3", body=b"abc", first="POST //echo HTTP/1.1"), 404),
        (post("Content-Length: 3", body=b"abc", first="POST /echo/../next HTTP/1.1"), 404),
        (post("Content-Length: 3", body=b"abc", first="POST /%65cho HTTP/1.1"), 404),
        (post("Content-Length: 3", body=b"abc", first="POST http://y/echo HTTP/1.1"), 404),
        (post("Content-Length: 3", body=b"abc", first="POST * HTTP/1.1"), 404),
    ],
    ids=map(str, itertools.count()),
)
def test_what_can_be_read_in_one_way_is_answered_and_the_next_as_well(
    web: Web, text: bytes, status: int
) -> None:
    first, second = replies(web, text + NEXT)
    assert first.status == status
    assert status != 200 or first.json["body"] == "abc"
    assert second.status == 200
    assert NextHandler.count == 1


GARBAGE = b"\x00" * 20 + b"\r\n\r\n"  # no request, wherever it begins

# What a line means to a reader that keeps to RFC 9112: nothing, a length, chunks, or no request.
LINES: dict[str, str | None] = {
    "X: y": None,
    "Content-Length: 3": "3",
    "content-length:\t3 ": "3",
    "Content-Length: 0": "0",
    "Content-Length: 12": "12",
    CHUNKED: "chunked",
    "transfer-encoding:Chunked": "chunked",
    "Content-Length: 3;": "bad",
    "Content-Length: 3\x0b": "bad",
    "Transfer-Encoding: chunked;": "bad",
    "Transfer_Encoding: chunked": None,
    "Content-Length : 3": "bad",
    " Content-Length: 3": "bad",
    "X: y\rContent-Length: 3": "bad",
    "X-Content-Length: 3": None,
    "Connection: Transfer-Encoding": None,
}
BODIES = st.sampled_from([b"", b"abc", CHUNKS, b"0\r\n\r\n", b"12 letters!!"]) | st.binary(
    max_size=9
)


def body_in(meanings: list[str], sent: bytes) -> tuple[bytes, bytes] | None:
    """The body, and what comes after it; None if that isn't clear or isn't all there."""
    kinds = {each for each in meanings if each != "chunked"}
    if "bad" in kinds or len(kinds) > 1 or meanings.count("chunked") > 1:
        return None
    if "chunked" in meanings:
        if kinds:
            return None
        for body, chunks in ((b"abc", CHUNKS), (b"", b"0\r\n\r\n")):
            if sent.startswith(chunks):
                return body, sent[len(chunks) :]
        return None
    size = int(kinds.pop()) if kinds else 0
    return (sent[:size], sent[size:]) if len(sent) >= size else None


@given(lines=st.lists(st.sampled_from([*LINES]), max_size=3), sent=BODIES)
def test_no_two_readers_disagree(web: Web, lines: list[str], sent: bytes) -> None:
    """What follows a request is read as the next one exactly where a strict reader would."""
    meanings = [meaning for line in lines if (meaning := LINES[line]) is not None]
    clear = body_in(meanings, sent)
    if clear is None or clear[1]:
        # The rest of the body is no request: whoever takes it for one finds no end of it.
        found = replies(web, post(*lines, body=sent) + GARBAGE + NEXT)
        assert NextHandler.count == 0
        assert found[-1].status == 400
        return
    found = replies(web, post(*lines, body=sent) + NEXT)
    assert [each.status for each in found] == [200, 200]
    assert found[0].json["body"].encode("latin-1") == clear[0]


# --- many at once ---


@pytest.mark.parametrize("count", [1, 2, 500])
def test_requests_that_do_not_wait_for_answers_get_them_in_order(web: Web, count: int) -> None:
    bodies = [f"{number}" for number in range(count)]
    text = b"".join(post(f"Content-Length: {len(each)}", body=each.encode()) for each in bodies)
    found = replies(web, text + NEXT)
    assert [each.json["body"] for each in found[:-1]] == bodies
    assert NextHandler.count == 1
