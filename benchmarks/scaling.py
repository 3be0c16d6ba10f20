"""The queueing model held against measured runs, and what it says of larger machines.

The costs come from the smallest size; every other size is then predicted, and measured.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from benchmarks.comparison import Pace
from benchmarks.connection import answers
from benchmarks.contestants import OURS, Contestants
from benchmarks.lines import in_turn
from benchmarks.measure import evaluate, hammer
from benchmarks.report import Sample
from benchmarks.steps import SETTLING, SMALL
from tabpy.sizing import closed_rate

CLIENTS = 16
SLEEP = 0.05  # seconds; so long that no core is the limit
SLEEPING = {"script": f"import time\ntime.sleep({SLEEP})\nreturn 1", "data": {}}
PLACES = ("web processes", "workers", "cores")


@dataclass(frozen=True)
class Setup:
    """Web processes, workers of each, and the seconds a script waits; 0 is the small script."""

    web: int
    workers: int
    seconds: float


@dataclass(frozen=True)
class Costs:
    """Seconds of CPU a request."""

    web: float
    worker: float
    generator: float  # it shares the cores


@dataclass(frozen=True)
class Check:
    setup: Setup
    measured: float  # requests a second
    predicted: float
    used_to_fit: bool

    @property
    def deviation(self) -> float:
        return self.predicted / self.measured - 1


@dataclass(frozen=True)
class Checks:
    costs: Costs
    cores: int
    runs: Sequence[Check]


SMALLEST = Setup(1, 2, 0.0)
SETUPS = (
    SMALLEST,
    Setup(2, 2, 0.0),
    Setup(1, 1, SLEEP),
    Setup(1, 2, SLEEP),
    Setup(2, 1, SLEEP),
    Setup(2, 2, SLEEP),
)


def checks(contestants: Contestants, pace: Pace, cores: int) -> Checks:
    """Measure all set-ups, each on a server of its own, interleaved."""

    def measure(name: str) -> Sample:
        setup = named[name]
        settings = {"WEB_CONCURRENCY": str(setup.web), "TABPY_WORKERS": str(setup.workers)}
        sized = {OURS: replace(contestants.all[OURS], settings=settings)}
        with replace(contestants, all=sized).running(OURS) as servers:
            server = servers[OURS]
            rendered = evaluate(server, SLEEPING if setup.seconds else SMALL)
            hammer(server, rendered, right, CLIENTS, SETTLING)
            return hammer(server, rendered, right, CLIENTS, pace.seconds)

    named = {str(setup): setup for setup in SETUPS}
    right = answers(lambda reply: reply in (1, [42.5]))
    sides = in_turn(named, pace.rounds, measure)
    for side in sides.values():
        if side.trouble:
            raise RuntimeError(f"{side.subject}: {side.trouble}")
    costs = fitted(sides[str(SMALLEST)].samples)
    runs = [
        Check(
            setup,
            statistics.median(sample["rate"] for sample in sides[name].samples),
            predicted(setup, costs, cores),
            setup == SMALLEST,
        )
        for name, setup in named.items()
    ]
    return Checks(costs, cores, runs)


def fitted(samples: Sequence[Sample]) -> Costs:
    """The medians of what a request takes."""

    def median(kind: str) -> float:
        return statistics.median(sample[f"cpu {kind}"] for sample in samples) / 1e6

    return Costs(median("web process"), median("worker"), median("load generator"))


def predicted(setup: Setup, costs: Costs, cores: int) -> float:
    """Requests a second of CLIENTS clients that never rest, the generator on the same cores."""
    demands = {
        "web processes": (setup.web, costs.web),
        "workers": (setup.web * setup.workers, costs.worker + setup.seconds),
        "generator": (1, costs.generator),
    }
    computing = costs.web + costs.worker + costs.generator
    return min(closed_rate(CLIENTS, demands), cores / computing)


def limits(costs: Costs, cores: int, seconds: float, waits: bool) -> dict[str, float]:
    """Scripts a second at which each place of a server of so many cores is full.

    As many web processes as cores, each with as many workers as cores: the defaults of a machine
    of its own. A script of so many `seconds` computes, or `waits`.
    """
    computing = costs.web + costs.worker + (0.0 if waits else seconds)
    return {
        "web processes": cores / costs.web,
        "workers": cores * cores / (costs.worker + seconds),
        "cores": cores / computing,
    }


def as_json(found: Checks) -> dict[str, object]:
    return asdict(found)


def from_json(document: Mapping[str, object]) -> Checks:
    """The checks that `as_json` gave."""
    fields = dict(document)
    runs = [
        Check(**{**run, "setup": Setup(**run["setup"])})
        for run in fields["runs"]  # type: ignore[attr-defined]
    ]
    return Checks(Costs(**fields["costs"]), int(str(fields["cores"])), runs)  # type: ignore[arg-type]
