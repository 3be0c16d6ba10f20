"""How often functions were called: right across web processes, whichever of them is killed."""

import os
import signal
from collections.abc import Callable

import pytest

from tabpy.tabpy_server.metrics import function_figures
from tabpy.tabpy_server.metrics.function_figures import Figures, FunctionFigures

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is one web process")


def in_another_process(work: Callable[[], object]) -> int:
    """Its number; it does `work`, and ends."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return child


def test_what_was_not_called_has_no_figures() -> None:
    assert FunctionFigures().of("nosuch") == Figures(0, 0, None)


def test_calls_errors_and_the_median_are_counted_by_name() -> None:
    figures = FunctionFigures()
    for seconds, failed in ((0.010, False), (0.011, True), (0.012, False), (9.0, False)):
        figures.add("Price", seconds, failed=failed)
    figures.add("ä 🔑", 0.0, failed=False)
    found = figures.of("Price")
    assert (found.calls, found.errors) == (4, 1)
    assert found.median == pytest.approx(0.011, rel=0.2)
    assert figures.of("ä 🔑").calls == 1


@pytest.mark.parametrize("seconds", [0.0, 0.0004, 0.001, 0.05, 1.0, 29.9, 299.0, 1e9])
def test_a_median_is_right_to_a_fifth_between_half_a_millisecond_and_minutes(
    seconds: float,
) -> None:
    figures = FunctionFigures()
    figures.add("f", seconds, failed=False)
    median = figures.of("f").median
    assert median is not None
    if 0.0005 <= seconds <= 300:
        assert median == pytest.approx(seconds, rel=0.2)


def test_all_web_processes_count_together_and_none_is_lost() -> None:
    figures = FunctionFigures()

    def count() -> None:
        for _ in range(2000):
            figures.add("f", 0.001, failed=True)

    children = [in_another_process(count) for _ in range(4)]
    for child in children:
        os.waitpid(child, 0)
    assert figures.of("f").calls == figures.of("f").errors == 8000


def test_a_web_process_that_is_killed_while_it_counts_stops_no_other() -> None:
    figures = FunctionFigures()
    reader, writer = os.pipe()

    def hold() -> None:
        place = next(function_figures._places(function_figures._key("f")))
        with figures._locked(place):
            os.write(writer, b"x")
            signal.pause()

    child = in_another_process(hold)
    assert os.read(reader, 1) == b"x"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    figures.add("f", 0.001, failed=False)
    assert figures.of("f").calls == 1


def test_there_is_room_for_thousands() -> None:
    figures = FunctionFigures()
    for number in range(4000):
        figures.add(f"f{number}", 0.001, failed=False)
    assert [figures.of(f"f{number}").calls for number in range(4000)] == [1] * 4000


def test_more_than_there_is_room_for_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(function_figures, "PLACES", 2)
    figures = FunctionFigures()
    for number in range(20):
        figures.add(f"f{number}", 0.001, failed=False)
    assert sum(figures.of(f"f{number}").calls for number in range(20)) == 2
