"""Memory that web processes share, and what one leaves there that is killed while it writes."""

import multiprocessing
import os

import pytest

from tabpy.tabpy_server.activity import board
from tabpy.tabpy_server.activity.board import Board


def test_what_was_written_last_is_read() -> None:
    shared = Board(2)
    for content in (b"one", b"two, longer", b"3"):
        shared.write(1, content)
        assert shared.read(1) == content
    assert shared.read(0) is None
    assert shared.read_all() == [b"3"]


def test_every_place_is_read() -> None:
    shared = Board(3)
    for place in (0, 2):
        shared.write(place, f"of {place}".encode())
    assert shared.read_all() == [b"of 0", b"of 2"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is one web process without fork")
def test_another_process_reads_it() -> None:
    shared = Board(2)
    shared.write(0, b"before")
    process = multiprocessing.get_context("fork").Process(target=shared.write, args=(1, b"after"))
    process.start()
    process.join()
    assert shared.read_all() == [b"before", b"after"]


class Cut(Board):
    """One whose process is killed when it has written so many bytes."""

    def __init__(self) -> None:
        super().__init__(1)
        self.left = 1 << 30
        real = self._shared

        class Memory:
            def __getitem__(_, part: slice) -> bytes:  # noqa: N805
                return real[part]

            def __setitem__(_, part: slice, content: bytes) -> None:  # noqa: N805
                written = content[: self.left]
                real[part.start : part.start + len(written)] = written
                self.left -= len(written)
                if len(written) < len(content):
                    raise InterruptedError

        self._shared = Memory()  # type: ignore[assignment]


@pytest.mark.parametrize("earlier", [1, 2, 3])
def test_a_process_that_is_killed_while_it_writes_leaves_what_was_there(earlier: int) -> None:
    content = b"the next one"
    for written in range(len(content) + board.HEADER.size):
        shared = Cut()
        for number in range(earlier):
            shared.write(0, f"number {number}".encode())
        shared.left = written
        with pytest.raises(InterruptedError):
            shared.write(0, content)
        assert shared.read(0) == f"number {earlier - 1}".encode(), written
        shared.left = 1 << 30
        shared.write(0, b"another process's")
        assert shared.read(0) == b"another process's"


def test_more_than_there_is_room_for_is_refused_and_leaves_the_next_place_alone() -> None:
    shared = Board(2)
    shared.write(1, b"mine")
    shared.write(0, b"x" * (board.HALF - board.HEADER.size))
    shared.write(0, b"y" * (board.HALF - board.HEADER.size))
    assert shared.read(1) == b"mine"
    with pytest.raises(ValueError, match="too many"):
        shared.write(0, b"x" * board.HALF)
