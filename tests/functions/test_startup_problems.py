"""What wasn't deployed at the start is known in every web process."""

import multiprocessing

import pytest

from tabpy.tabpy_server.functions import startup_problems
from tabpy.tabpy_server.functions.startup_problems import StartupProblems


def test_nothing_is_wrong_until_somebody_says_so() -> None:
    assert StartupProblems().lines() == []


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="there is one web process"
)
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_what_one_web_process_says_the_others_read() -> None:
    problems = StartupProblems()
    child = multiprocessing.get_context("fork").Process(
        target=problems.tell, args=(["models/ä.py:\n  x", "y"],)
    )
    child.start()
    child.join()
    assert problems.lines() == ["models/ä.py: x", "y"]


def test_what_is_said_later_takes_its_place() -> None:
    problems = StartupProblems()
    problems.tell(["a long line", "another"])
    problems.tell(["b"])
    assert problems.lines() == ["b"]


def test_what_does_not_fit_is_cut_off_and_harms_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    problems = StartupProblems()
    problems.tell(["ä" * startup_problems.SIZE])
    [line] = problems.lines()
    assert set(line) == {"ä"}
