"""Goals are judged by medians, and figures outlast a file."""

import json

import pytest

from benchmarks.lines import Line, Target, as_json, from_json, in_turn, line, of_row
from benchmarks.report import Goal, Sample, Unmeasured, alternate, row


def test_a_rate_is_better_high_and_a_time_low() -> None:
    values = {"a": [1.0, 30.0, 2000.0], "b": [10.0]}
    assert Line("f", "/s", values).ratio("a", "b") == 3.0
    assert Line("f", "ms", values).ratio("a", "b") == pytest.approx(1 / 3)
    assert Line("f", "ms", values).spread("a") == (1.0, 2000.0)


@pytest.mark.parametrize(
    ("target", "met"),
    [
        (Target("a", "b", times=3.0), True),
        (Target("a", "b", times=3.1), False),
        (Target("a", "absent", times=3.0), None),
        (Target("a", at_most=30.0), True),
        (Target("a", at_most=29.0), False),
        (Target("a", at_least=30.0), True),
        (Target("a", at_least=31.0), False),
        (Target("absent", at_most=1.0), None),
    ],
    ids=str,
)
def test_a_goal_is_met_or_not(target: Target, met: bool | None) -> None:
    assert Line("f", "/s", {"a": [30.0], "b": [10.0]}).met(target) is met


def test_contestants_take_turns_and_a_rehearsal_is_not_counted() -> None:
    asked: list[str] = []

    def measure(name: str) -> Sample:
        asked.append(name)
        return {"rate": float(len(asked))}

    sides = in_turn({"a": None, "b": None}, 2, measure, rehearsed=True)
    assert asked == ["a", "b"] * 3
    assert line("f", "/s", sides, "rate").values == {"a": [3.0, 5.0], "b": [4.0, 6.0]}


def test_what_could_not_be_measured_says_why() -> None:
    def measure(name: str) -> Sample:
        if name == "b":
            raise Unmeasured("needs root")
        return {"rate": 1.0}

    found = line("f", "/s", in_turn({"a": None, "b": None}, 2, measure), "rate")
    assert found.values == {"a": [1.0, 1.0]}
    assert found.troubles == {"b": "needs root"}


def test_a_row_of_two_sides_keeps_its_goal() -> None:
    sides = alternate("x", "y", 1, lambda name: {"s": 2.0 if name == "x" else 3.0})
    found = of_row(row("start", "s", sides, "s", Goal(times=1.4)), "ours", "theirs")
    assert [found.met(target) for target in found.targets] == [True]
    assert found.ratio("ours", "theirs") == 1.5


def test_lines_come_back_from_json() -> None:
    lines = [Line("f", "/s", {"a": [1.0]}, (Target("a", at_most=2.0),), {"b": "needs root"})]
    assert from_json(json.loads(json.dumps(as_json(lines)))) == lines
