"""Rows of figures: both servers' numbers, their ratio, the goal, and whether it is met."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Generic, TypeVar

from benchmarks.connection import WrongReply
from benchmarks.servers import ServerDied

T = TypeVar("T")
Sample = Mapping[str, float]


class Unmeasured(Exception):  # noqa: N818 - an answer, not an error
    """There is no figure to have; the text, a word or two, takes its place in the table."""


@dataclass
class Side(Generic[T]):
    """One of the two servers in one figure: a sample a round, or why there is none."""

    subject: T
    samples: list[Sample] = field(default_factory=list)
    trouble: str = ""
    failed: bool = False

    def take(self, measure: Callable[[T], Sample]) -> None:
        try:
            self.samples.append(measure(self.subject))
        except Unmeasured as reason:
            self.trouble = str(reason)
        except (WrongReply, ServerDied, OSError) as trouble:
            self.trouble, self.failed = f"{type(trouble).__name__}: {trouble}", True

    def median(self, key: str) -> float | None:
        if self.trouble:
            return None
        return statistics.median(sample[key] for sample in self.samples)


def alternate(
    ours: T, peer: T, rounds: int, measure: Callable[[T], Sample]
) -> tuple[Side[T], Side[T]]:
    """Measure ours, theirs, ours, theirs ...: whatever drifts on the machine drifts for both."""
    sides = (Side(ours), Side(peer))
    for _ in range(rounds):
        for side in sides:
            if not side.trouble:
                side.take(measure)
    return sides


@dataclass(frozen=True)
class Goal:
    """`times` better than TabPy, or `at_most` so much, whatever TabPy needs."""

    times: float | None = None
    at_most: float | None = None

    def __str__(self) -> str:
        return f">= {self.times:g} x" if self.times is not None else f"<= {self.at_most:g}"

    def met(self, ours: float | None, ratio: float | None) -> bool | None:
        if self.times is not None:
            return None if ratio is None else ratio >= self.times
        assert self.at_most is not None
        return None if ours is None else ours <= self.at_most


@dataclass(frozen=True)
class Row:
    """One line of the table; `ratio` is how many times better ours is, be it higher or lower."""

    figure: str
    unit: str
    ours: float | None
    peer: float | None
    ratio: float | None
    goal: str
    met: bool | None
    ours_trouble: str
    peer_trouble: str
    ours_failed: bool
    peer_failed: bool

    @property
    def failed(self) -> bool:
        return self.ours_failed or self.peer_failed


def row(
    figure: str, unit: str, sides: tuple[Side[T], Side[T]], key: str, goal: Goal | None = None
) -> Row:
    """The row of one key of the samples.

    A rate ("/s") is better high, any other unit low; what has no unit is a mere count, which is
    neither.
    """
    ours, peer = (side.median(key) for side in sides)
    ratio = None
    if unit and ours and peer:
        ratio = ours / peer if unit == "/s" else peer / ours
    return Row(
        figure,
        unit,
        ours,
        peer,
        ratio,
        str(goal or ""),
        goal.met(ours, ratio) if goal else None,
        sides[0].trouble,
        sides[1].trouble,
        sides[0].failed,
        sides[1].failed,
    )


def table(rows: Sequence[Row]) -> str:
    head = ("figure", "unit", "ours", "TabPy", "ratio", "goal", "met")
    lines = [head, *(_cells(each) for each in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    lines.insert(1, tuple("-" * width for width in widths))
    text = "\n".join(_line(line, widths) for line in lines)
    ours = [f"ours failed: {each.ours_trouble}" for each in rows if each.ours_failed]
    peer = [f"TabPy failed: {each.peer_trouble}" for each in rows if each.peer_failed]
    return "\n".join([text, *dict.fromkeys(ours + peer)])


def as_json(rows: Sequence[Row]) -> list[dict[str, object]]:
    return [asdict(each) for each in rows]


def _cells(each: Row) -> tuple[str, ...]:
    return (
        each.figure,
        each.unit,
        _value(each.ours, "failed" if each.ours_failed else each.ours_trouble),
        _value(each.peer, "failed" if each.peer_failed else each.peer_trouble),
        "" if each.ratio is None else f"{each.ratio:.2f} x",
        each.goal,
        {None: "", True: "yes", False: "NO"}[each.met],
    )


def _value(value: float | None, otherwise: str) -> str:
    if value is None:
        return otherwise
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    left = [cells[0].ljust(widths[0]), cells[1].ljust(widths[1])]
    rest = [cell.rjust(width) for cell, width in zip(cells[2:], widths[2:], strict=True)]
    return "  ".join([*left, *rest]).rstrip()
