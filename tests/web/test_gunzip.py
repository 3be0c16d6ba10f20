"""A body that comes as gzip: all of it, in bounded pieces, or a reason why not."""

import gzip
import random
from collections.abc import Callable

import pytest

from tabpy.tabpy_server.errors import InvalidInputError
from tabpy.tabpy_server.web.gunzip import PIECE, STEP, Gunzip
from tests.web.harness import EchoHandler, Web

ONE, TWO = gzip.compress(b"one", mtime=0), gzip.compress(b"two", mtime=0)


def unpack(*chunks: bytes) -> bytes:
    gunzip = Gunzip()
    pieces = [piece for chunk in chunks for piece in gunzip.feed(chunk)]
    gunzip.finish()
    return b"".join(pieces)


@pytest.mark.parametrize(
    ("body", "unpacked"),
    [
        (ONE, b"one"),
        (ONE + TWO, b"onetwo"),
        (ONE + gzip.compress(b"", mtime=0) + TWO, b"onetwo"),
        (ONE * 1000, b"one" * 1000),
        (ONE + b"\0", b"one"),
        (ONE + b"\0" * 100_000, b"one"),
        (ONE + b"\0" * 512 + TWO + b"\0" * 512, b"onetwo"),
        (gzip.compress(b"", mtime=0), b""),
    ],
    ids=["one", "two", "empty between", "thousand", "zero", "zeros", "zeros between", "empty"],
)
@pytest.mark.parametrize("at_once", [1, 7, STEP + 1])
def test_all_members_are_read(body: bytes, unpacked: bytes, at_once: int) -> None:
    chunks = [body[start : start + at_once] for start in range(0, len(body), at_once)]
    assert unpack(*chunks) == unpacked
    assert gzip.decompress(body) == unpacked  # as Python's own module has it


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"no gzip", "incorrect header check"),
        (b"\0" + ONE, "incorrect header check"),
        (ONE + b"garbage", "incorrect header check"),
        (ONE + b"\0garbage", "incorrect header check"),
        (ONE + TWO[:-9] + b"\xff" * 9, "error"),
        (ONE[:-8] + TWO[-8:], "incorrect data check"),
        (b"", "cut off"),
        (ONE[:-1], "cut off"),
        (ONE + TWO[:-1], "cut off"),
        (ONE + TWO[:1], "cut off"),
    ],
)
def test_what_is_no_gzip_to_its_end_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(InvalidInputError) as raised:
        unpack(body)
    assert raised.value.message == "Request body is not valid gzip."
    assert raised.value.info.startswith("Content-Encoding is gzip: ")
    if why != "error":
        assert why in raised.value.info


def test_a_small_chunk_that_holds_much_comes_in_bounded_pieces() -> None:
    body = gzip.compress(b" " * (5 * PIECE)) * 2
    sizes = [len(piece) for piece in Gunzip().feed(body)]
    assert sum(sizes) == 10 * PIECE
    assert max(sizes) <= PIECE


def test_what_comes_in_any_cut_is_the_same() -> None:
    dice = random.Random(7)
    texts = [dice.randbytes(dice.randrange(3000)) for _ in range(20)]
    body = b"".join(map(gzip.compress, texts))
    cuts = sorted(dice.randrange(len(body)) for _ in range(50))
    chunks = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert unpack(*chunks) == b"".join(texts)


def test_a_request_may_have_several_members(serve: Callable[..., Web]) -> None:
    web = serve(routes={"/echo": EchoHandler})
    reply = web.request("POST", "/echo", ONE + TWO, {"Content-Encoding": "gzip"})
    assert reply.json == {"body": "onetwo", "pieces": 2}


@pytest.mark.parametrize("body", [b"no gzip", ONE[:-1], ONE + b"garbage"])
def test_a_request_that_is_no_gzip_is_400(serve: Callable[..., Web], body: bytes) -> None:
    web = serve(routes={"/echo": EchoHandler})
    reply = web.request("POST", "/echo", body, {"Content-Encoding": "gzip"})
    assert reply.error[:2] == (400, "Request body is not valid gzip.")
