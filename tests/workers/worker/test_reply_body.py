"""A large reply goes to memory of the web process, a small one with its message."""

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tabpy.tabpy_server import memfd
from tabpy.tabpy_server.memfd import Memory
from tabpy.tabpy_server.workers.worker import results
from tabpy.tabpy_server.workers.worker.reply_body import LARGE, ReplyBody
from tabpy.tabpy_tools.unfit import UnfitError

if not memfd.IS_HERE:
    pytest.skip("memory that processes pass on is Linux's", allow_module_level=True)

OPEN = Path("/proc/self/fd")
LIMIT = 1 << 22
MILLION = [*range(100_000)]


@pytest.fixture
def memory() -> Iterator[Memory]:
    made = memfd.bounded("test", LIMIT)
    yield made
    made.close()


def test_a_small_one_asks_for_no_memory() -> None:
    def ask() -> int:
        raise AssertionError("it asked")

    body = ReplyBody(ask)
    assert body.take(results.pieces([1, 2])) == b"[1,2]"
    assert body.in_memory == 0


def test_a_large_one_is_all_in_the_memory_which_is_cut_to_it(memory: Memory) -> None:
    body = ReplyBody(lambda: os.dup(memory.descriptor))
    assert body.take(results.pieces(MILLION)) == b""
    assert memory.size == body.in_memory > LARGE
    memory.stop_shrinking()
    assert json.loads(bytes(memory.view())) == MILLION


def test_without_memory_it_goes_with_its_message() -> None:
    body = ReplyBody(lambda: None)
    assert json.loads(body.take(results.pieces(MILLION))) == MILLION
    assert body.in_memory == 0


def test_more_than_there_is_room_for_is_the_authors_to_read(memory: Memory) -> None:
    descriptors = len([*OPEN.iterdir()])
    body = ReplyBody(lambda: os.dup(memory.descriptor))
    with pytest.raises(UnfitError, match="more than 4 MB of JSON: return less"):
        body.take(results.pieces([0] * LIMIT))
    assert len([*OPEN.iterdir()]) == descriptors


@pytest.mark.parametrize(
    "value",
    [
        [0.5, math.nan, math.inf] * 20_000,
        ["ä", "x", None] * 20_000,
        [[1, "a"], (2, None)] * 20_000,
        (1,) * 50_000,
        {"a": [1] * 50_000},
        [2**70] * 50_000,
    ],
    ids=["numbers", "texts", "rows", "a tuple", "an object", "long integers"],
)
def test_pieces_say_what_the_whole_says(value: object) -> None:
    together = b"".join(results.pieces(value))
    assert json.loads(together) == json.loads(results.encode(value))


def test_arrays_of_numpy_go_out_in_pieces() -> None:
    np = pytest.importorskip("numpy")
    table = np.arange(100_000, dtype=float).reshape(-1, 2)
    table[3, 1] = math.nan
    pieces = [bytes(each) for each in results.pieces(table)]
    assert len(pieces) > 3
    assert json.loads(b"".join(pieces)) == json.loads(results.encode(table))
    assert b"".join(results.pieces(np.float64(2))) == b"2.0"
