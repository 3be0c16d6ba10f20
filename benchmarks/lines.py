"""Lines of the comparison: the samples of every contestant, the goals, and whether they are met."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from benchmarks.report import Row, Sample, Side


@dataclass(frozen=True)
class Target:
    """`ours` has to be `times` as good as `against`; without `against`, at most or at least so
    much."""

    ours: str
    against: str = ""
    times: float | None = None
    at_most: float | None = None
    at_least: float | None = None

    def __str__(self) -> str:
        if self.times is not None:
            return f"{self.ours}: at least {self.times:g} x {self.against}"
        if self.at_most is not None:
            return f"{self.ours}: at most {self.at_most:g}"
        return f"{self.ours}: at least {self.at_least:g}"


@dataclass(frozen=True)
class Line:
    """One figure. `values` are the samples of each contestant, `troubles` why one has none.

    A unit that begins with "/" is better high, any other low.
    """

    figure: str
    unit: str
    values: Mapping[str, Sequence[float]]
    targets: Sequence[Target] = ()
    troubles: Mapping[str, str] = field(default_factory=dict)

    def median(self, name: str) -> float | None:
        samples = self.values.get(name)
        return statistics.median(samples) if samples else None

    def spread(self, name: str) -> tuple[float, float] | None:
        """The lowest and the highest sample."""
        samples = self.values.get(name)
        return (min(samples), max(samples)) if samples else None

    def ratio(self, ours: str, against: str) -> float | None:
        """How many times as good as `against`: a higher rate, or less of anything else."""
        mine, theirs = self.median(ours), self.median(against)
        if not mine or not theirs:
            return None
        return mine / theirs if self.unit.startswith("/") else theirs / mine

    def met(self, target: Target) -> bool | None:
        """None when there is nothing to judge by."""
        if target.times is not None:
            ratio = self.ratio(target.ours, target.against)
            return None if ratio is None else ratio >= target.times
        mine = self.median(target.ours)
        if mine is None:
            return None
        if target.at_most is not None:
            return mine <= target.at_most
        assert target.at_least is not None
        return mine >= target.at_least


def line(
    figure: str,
    unit: str,
    sides: Mapping[str, Side[object]],
    key: str,
    targets: Iterable[Target] = (),
) -> Line:
    """The line of one key of the samples; a side that has no such key is left out."""
    values = {
        name: [sample[key] for sample in side.samples if key in sample]
        for name, side in sides.items()
        if not side.trouble
    }
    troubles = {name: side.trouble for name, side in sides.items() if side.trouble}
    kept = {name: samples for name, samples in values.items() if samples}
    return Line(figure, unit, kept, tuple(targets), troubles)


def in_turn(
    subjects: Mapping[str, object],
    rounds: int,
    measure: Callable[[str], Sample],
    *,
    rehearsed: bool = False,
) -> dict[str, Side[object]]:
    """Measure every contestant once, then all again: what drifts on the machine drifts for all.

    `rehearsed`: one more round comes first and isn't counted, for servers that have just started.
    """
    sides = {name: Side(subject) for name, subject in subjects.items()}
    for number in range(rounds + rehearsed):
        for name, side in sides.items():
            if not side.trouble:
                side.take(lambda _, name=name: measure(name))  # type: ignore[misc]
                if rehearsed and number == 0:
                    side.samples.clear()
    return sides


def of_row(row: Row, ours: str, peer: str) -> Line:
    """A row of the two-sided figures, with its goal."""
    values = {
        name: [value] for name, value in ((ours, row.ours), (peer, row.peer)) if value is not None
    }
    sides = ((ours, row.ours_trouble), (peer, row.peer_trouble))
    troubles = {name: trouble for name, trouble in sides if trouble}
    targets = (_target(row.goal, ours, peer),) if row.goal else ()
    return Line(row.figure, row.unit, values, targets, troubles)


def _target(goal: str, ours: str, peer: str) -> Target:
    """Read a Goal's text: `>= 4 x` or `<= 50`."""
    sign, number, *_ = goal.split()
    if sign == ">=":
        return Target(ours, peer, times=float(number))
    return Target(ours, at_most=float(number))


def as_json(lines: Sequence[Line]) -> list[dict[str, object]]:
    return [asdict(each) for each in lines]


def from_json(document: Sequence[Mapping[str, object]]) -> list[Line]:
    """The lines that `as_json` gave."""
    read: list[Line] = []
    for each in document:
        fields = dict(each)
        fields["targets"] = tuple(Target(**target) for target in fields["targets"])  # type: ignore[attr-defined]
        read.append(Line(**fields))  # type: ignore[arg-type]
    return read
