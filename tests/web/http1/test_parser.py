"""What bytes are which requests: the same ones however they are cut, and never two answers."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.httputil import HTTPInputError

from tabpy.tabpy_server.web.http1 import head
from tabpy.tabpy_server.web.http1.body import CHUNKS_A_PIECE
from tabpy.tabpy_server.web.http1.head import Head, HeadersTooLargeError
from tabpy.tabpy_server.web.http1.parser import End, Parser
from tests.web.http1.readers import Read, by_ours, by_tornado
from tests.web.http1.shapes import (
    CHUNKS,
    MUCH,
    REFUSED,
    SHAPES,
    STRICTER,
    TAKEN,
    chunked,
    request,
    sized,
)

NEXT = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("shape", TAKEN)
def test_what_can_be_read_in_one_way_is_taken(shape: str) -> None:
    text = TAKEN[shape]
    read = by_ours(text, NEXT)
    assert not read.is_refused
    first, *others = read.requests
    assert first.body == (b"abc" if b"abc" in text else b"")
    assert first.headers.get("content-length", "3").lstrip("0") == "3"
    # HTTP/1.0 without keep-alive ends there.
    assert [each.target for each in others] == ([] if shape == "1.0" else ["/next"])


@pytest.mark.parametrize("shape", REFUSED)
def test_what_can_be_read_in_two_ways_is_refused(shape: str) -> None:
    read = by_ours(REFUSED[shape], NEXT)
    assert read.is_refused
    assert read.requests == []


@pytest.mark.parametrize("shape", SHAPES)
def test_tornado_reads_them_in_the_same_way(shape: str) -> None:
    ours, theirs = by_ours(SHAPES[shape]), by_tornado(SHAPES[shape])
    if shape in STRICTER:
        assert ours.is_refused
        assert not theirs.is_refused, "as strict as we are now: remove it from STRICTER"
    else:
        assert (ours.is_refused, ours.requests) == (theirs.is_refused, theirs.requests)


@given(shape=st.sampled_from(list(SHAPES)), cuts=st.lists(st.integers(1, 400), max_size=8))
def test_where_it_is_cut_makes_no_difference(shape: str, cuts: list[int]) -> None:
    text = SHAPES[shape] + NEXT + NEXT
    assert by_ours(*pieces(text, cuts)) == by_ours(text)


@pytest.mark.parametrize("shape", [each for each in SHAPES if len(SHAPES[each]) < 1000])
def test_not_even_when_each_byte_comes_alone(shape: str) -> None:
    text = SHAPES[shape] + NEXT
    assert by_ours(*(bytes([each]) for each in text)) == by_ours(text)


def test_a_head_that_drips_in_is_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or 64 KiB, byte by byte, would have us look at 2 GB."""
    searched: list[int] = []
    end = head.END

    class Counting:
        def search(self, data: bytes, start: int) -> "re.Match[bytes] | None":
            searched.append(len(data) - start)
            return end.search(data, start)

    monkeypatch.setattr(head, "END", Counting())
    text = request("X: " + "a" * 1000)
    by_ours(*(bytes([each]) for each in text))
    assert len(searched) == len(text), "each byte may be the last"
    assert max(searched) <= len(b"\n\r\n")


def pieces(text: bytes, cuts: list[int]) -> list[bytes]:
    """`text` in pieces of these lengths, and the rest."""
    found = []
    for length in cuts:
        found.append(text[:length])
        text = text[length:]
    return [*found, text]


# --- made-up requests, read by others too ---

# What stands in the lines of a request, right or wrong.
LINES = [
    "X: y",
    "x-many: a",
    "X-Many: b",
    "Content-Length: 3",
    "content-length:03",
    "Content-Length: 3,3",
    "Content-Length: 4",
    "Content-Length: \t3\t ",
    "Content-Length : 3",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding:chunked\t",
    "Transfer-Encoding: chunked, gzip",
    "Transfer-Encoding: x",
    "Expect: 100-continue",
    "Connection: x",
    "Upgrade: h2c",
    " folded",
    "X: a\rb",
    "X: \x00",
    "X\xe4: y",
    "X: \xe4",
    ":",
]
FIRSTS = [
    "POST /a HTTP/1.1",
    "GET /%41?b=c HTTP/1.1",
    "GET * HTTP/1.1",
    "GET /a",
    "GET /a HTTP/1.1 ",
]
ANY_LINE = st.sampled_from(LINES) | st.text("aC:- \t\r\x7f\xff", max_size=6)
ENDS = ["\r\n", "\r\n", "\r\n", "\r\n", "\n"]
BODIES = [b"", b"abc", b"abcd", CHUNKS, b"0\r\n\r\n", b"3\r\nabc\r\n" * 300 + b"0\r\n\r\n"]


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """Two requests, one after the other, of lines like those that clients write, or none."""
    text = b""
    for _ in range(2):
        lines = [draw(st.sampled_from(FIRSTS)), "Host: x"]
        lines += draw(st.lists(ANY_LINE, max_size=3))
        ends = [draw(st.sampled_from(ENDS)) for _ in lines]
        said = "".join(map("".join, zip(lines, ends, strict=True))) + draw(st.sampled_from(ENDS))
        text += said.encode("latin-1") + draw(st.sampled_from(BODIES))
    return text


@given(text=texts())
def test_what_tornado_refuses_is_never_taken(text: bytes) -> None:
    ours, theirs = by_ours(text), by_tornado(text)
    assert ours.requests == theirs.requests[: len(ours.requests)]
    if not is_stricter(text):
        assert (ours.is_refused, ours.requests) == (theirs.is_refused, theirs.requests)


def is_stricter(text: bytes) -> bool:
    """Whether we may refuse what tornado takes: a CR too many, where a line has one at its end."""
    return b"\r\r" in text


@given(text=texts())
def test_llhttp_never_reads_something_else(text: bytes) -> None:
    pytest.importorskip("httptools", reason="needs httptools, of the extra `test`")
    from tests.web.http1.readers import by_llhttp

    ours, theirs = by_ours(text), by_llhttp(text)
    for one, other in zip(ours.requests, theirs.requests, strict=False):
        one.headers.pop("content-length", None)  # we write equal ones as one
        other.headers.pop("content-length", None)
        assert one == other


# --- how much is kept ---


@pytest.mark.parametrize("shape", ["a long target", "a long header", "many headers"])
def test_too_much_of_a_head_is_told_apart(shape: str) -> None:
    parser = Parser()
    parser.feed(REFUSED[shape])
    with pytest.raises(HeadersTooLargeError):
        parser.next()


def test_a_head_may_have_its_whole_size() -> None:
    around = len(request("X: "))
    for size, is_refused in ((head.MOST_BYTES, False), (head.MOST_BYTES + 1, True)):
        text = request("X: " + "a" * (size - around))
        assert len(text) == size
        assert by_ours(text).is_refused is is_refused


@pytest.mark.parametrize("size", [1, MUCH])
def test_a_body_is_not_waited_for(size: int) -> None:
    parser = Parser()
    parser.feed(request(f"Content-Length: {size + 1}", body=b"x" * size))
    assert isinstance(parser.next(), Head)
    assert parser.next() == b"x" * size
    assert parser.next() is None
    assert parser.held == 0
    parser.feed(b"y")
    assert parser.next() == b"y"
    assert parser.next() is End.OF_REQUEST
    assert parser.next() is None


def test_small_chunks_come_together_but_not_too_many() -> None:
    parser = Parser()
    parser.feed(chunked(b"1\r\nx\r\n" * (CHUNKS_A_PIECE + 2) + b"0\r\n\r\n"))
    assert isinstance(parser.next(), Head)
    assert parser.next() == b"x" * CHUNKS_A_PIECE
    assert parser.next() == b"xx"
    assert parser.next() is End.OF_REQUEST


def test_nothing_is_kept_of_what_was_read() -> None:
    parser = Parser()
    parser.feed(sized() + NEXT[:-1])
    for _ in range(3):
        assert parser.next() is not None
    assert parser.next() is None
    assert parser.held == len(NEXT) - 1
    parser.feed(NEXT[-1:])
    assert isinstance(parser.next(), Head)
    assert parser.held == 0
    assert [each for each in vars(parser).values() if isinstance(each, bytes) and each] == []


@pytest.mark.parametrize("first", [b"\x16", b"\x00", b" ", b"\x80", b"("])
def test_what_begins_like_no_request_is_refused_at_once(first: bytes) -> None:
    parser = Parser()
    parser.feed(first)
    with pytest.raises(HTTPInputError):
        parser.next()


# --- what a head says ---


@pytest.mark.parametrize(
    ("version", "connection", "keeps_alive"),
    [
        ("1.1", None, True),
        ("1.1", "close", False),
        ("1.1", "Close", False),
        ("1.1", "te, close", False),
        ("1.1", "keep-alive", True),
        ("1.1", "Upgrade, HTTP2-Settings", True),
        ("1.0", None, False),
        ("1.0", "Keep-Alive", True),
        ("1.0", "keep-alive, close", False),
        ("1.0", "x", False),
    ],
)
def test_who_may_go_on(version: str, connection: str | None, keeps_alive: bool) -> None:
    lines = [] if connection is None else [f"Connection: {connection}"]
    assert head.parse(request(*lines, first=f"GET /a HTTP/{version}")).keeps_alive is keeps_alive


@pytest.mark.parametrize(
    ("version", "expect", "asks_first"),
    [
        ("1.1", "100-continue", True),
        ("1.1", "100-Continue", True),
        ("1.1", "x", False),
        ("1.0", "100-continue", False),
    ],
)
def test_who_waits_for_a_word(version: str, expect: str, asks_first: bool) -> None:
    found = head.parse(request(f"Expect: {expect}", first=f"POST /a HTTP/{version}"))
    assert found.asks_first is asks_first


@pytest.mark.parametrize(
    ("lines", "name", "said"),
    [
        (["X: \xe4\xff"], "X", "\xe4\xff"),
        (["x-y:\t a b \t"], "X-Y", "a b"),
        (["X: a", "Y: b", "x: c"], "X", "a,c"),
        (["X:"], "X", ""),
        (["X: a:b"], "X", "a:b"),
        (["Content-Length: 3, 3"], "Content-Length", "3"),
    ],
)
def test_headers_are_what_tornado_makes_of_them(lines: list[str], name: str, said: str) -> None:
    assert head.parse(request(*lines)).headers[name] == said


@pytest.mark.parametrize(("declared", "length"), [("9" * 18, 10**18 - 1), ("9" * 5000, 10**18)])
def test_a_length_of_any_number_of_digits_is_one(declared: str, length: int) -> None:
    """Which a handler refuses, and says why."""
    assert head.parse(request(f"Content-Length: {declared}")).length == length


def test_a_port_without_end_is_refused() -> None:
    with pytest.raises(HTTPInputError, match="Host"):
        head.parse(b"GET / HTTP/1.1\r\nHost: x:" + b"9" * 5000 + b"\r\n\r\n")


def test_what_is_read_is_shown_as_it_was() -> None:
    assert by_ours(sized()) == Read(by_tornado(sized()).requests)
