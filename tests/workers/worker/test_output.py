"""What a script prints is kept, up to a bound."""

import contextlib

import pytest

from tabpy.tabpy_server.workers.worker.output import LIMIT, Printed


@pytest.fixture
def printed() -> Printed:
    return Printed()


def test_what_is_printed_is_kept(printed: Printed) -> None:
    with contextlib.redirect_stdout(printed):
        print("ä", 1, end="")
        print("\n\0😀")
    assert printed.text() == "ä 1\n\0😀\n"


def test_the_next_job_begins_with_nothing(printed: Printed) -> None:
    printed.write("x" * (LIMIT + 1))
    printed.start()
    assert printed.text() == ""
    printed.write("y")
    assert printed.text() == "y"


def test_as_much_as_the_limit_is_kept_whole(printed: Printed) -> None:
    assert printed.write("x" * LIMIT) == LIMIT
    assert printed.text() == "x" * LIMIT


@pytest.mark.parametrize(
    "pieces", [["x" * (LIMIT + 7)], ["x"] * (LIMIT + 7), ["x" * LIMIT, "yy", "zzzzz"]]
)
def test_more_than_that_is_only_counted(printed: Printed, pieces: list[str]) -> None:
    for piece in pieces:
        assert printed.write(piece) == len(piece)  # the writer needn't know
    assert printed.text() == "x" * LIMIT + "… (7 more characters)"


def test_it_is_written_to_and_not_read_from(printed: Printed) -> None:
    assert printed.writable()
    assert not printed.readable()
