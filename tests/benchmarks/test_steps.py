"""A sample belongs to the innermost frame that a rule knows."""

import pytest

from benchmarks.steps import OTHER, count, step_of, worker

RULES = (("/logging/", "log"), ("/access/", "credentials"), ("sampling", ""))


@pytest.mark.parametrize(
    ("stack", "step"),
    [
        ("json.py:dumps;/access/gate.py:admit;/logging/x.py:emit", "credentials"),
        ("/logging/x.py:emit;/access/gate.py:admit", "log"),
        ("sampling/x.py:look;/access/gate.py:admit", ""),
        ("unknown.py:f", OTHER),
    ],
)
def test_the_innermost_known_frame_decides(stack: str, step: str) -> None:
    assert step_of(stack, RULES) == step


def test_samples_are_added_up_by_step() -> None:
    lines = ["3 a.py:f;tabpy/tabpy_server/access/gate.py:g", "4 nowhere.py:f\n"]
    assert count(lines) == {"credentials": 3, OTHER: 4}


def test_a_workers_steps_add_up_to_the_whole() -> None:
    whole = 1e6
    steps = worker(whole, times=3)
    assert sum(steps.values()) == pytest.approx(whole)
    assert min(steps.values()) >= 0
