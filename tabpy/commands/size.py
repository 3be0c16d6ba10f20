"""`tabpy-size`: from dashboards, viewers and seconds a script to dynos, workers and money."""

import argparse
import math
from collections.abc import Sequence

from tabpy.sizing import Costs, Dyno, Load, Size, size

# Cores, MB, web processes and dollars a month: Heroku's list of February 2023, which a copy of
# May 2026 agrees with where it has them. A core that is shared with others is counted as one.
DYNOS = {
    "basic": Dyno("basic", 1, 512, 2, 7, most=1),  # Heroku allows no second one
    "standard-1x": Dyno("standard-1x", 1, 512, 2, 25),
    "standard-2x": Dyno("standard-2x", 1, 1024, 4, 50),
    "performance-m": Dyno("performance-m", 2, 2560, 5, 250),
    "performance-l": Dyno("performance-l", 8, 14336, 17, 500),
}
_EPILOG = """\
A viewer who opens or filters a dashboard sends each of its calculations once. Prices change: look
at https://www.heroku.com/pricing. docs/scaling.md has the model, and how far it was off.
"""

_HEAD = f"{'dyno':<15}{'dynos':>6}{'workers each':>14}{'mean wait':>12}{'$ a month':>11}  fullest"


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    load = Load(
        options.viewers * options.clicks / 60 * options.calculations,
        options.seconds,
        options.busy,
    )
    costs = Costs(options.web_ms / 1000, options.worker_ms / 1000)
    print(f"{load.rate:.3g} scripts a second, {load.seconds:g} s each")
    print(
        f"{'dyno':<15}{'dynos':>6}{'workers each':>14}{'mean wait':>12}{'$ a month':>11}  fullest"
    )
    for dyno in DYNOS.values():
        try:
            print(_line(dyno, size(load, dyno, options.wait, costs, options.worker_mb)))
        except ValueError as error:
            print(f"{dyno.name:<15}{error}")
    return 0


def _line(dyno: Dyno, found: Size) -> str:
    place, part = found.use.first
    return (
        f"{dyno.name:<15}{found.dynos:>6}{found.workers:>14}{found.wait:>10.3f} s"
        f"{found.dollars:>11,.0f}  {place} {part:.0%}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tabpy-size",
        description="Say how many dynos and workers a load needs, and what they cost.",
        epilog=_EPILOG,
    )
    add = parser.add_argument
    add("--viewers", type=_positive, required=True, help="people who look at the same time")
    add("--seconds", type=_positive, required=True, help="how long one calculation takes")
    add("--calculations", type=_positive, default=3, help="in a dashboard, 3 by default")
    add("--clicks", type=_positive, default=2, help="of a viewer in a minute, 2 by default")
    add("--wait", type=_positive, default=0.5, help="longest mean wait in seconds, 0.5 by default")
    add("--busy", type=_part, default=1.0, help="part of the seconds that computes, 1 by default")
    add("--worker-mb", type=_positive, default=40, help="memory of one worker, 40 by default")
    add("--web-ms", type=_positive, default=Costs.web * 1000, help="CPU a request, web process")
    add("--worker-ms", type=_positive, default=Costs.worker * 1000, help="CPU a request, worker")
    return parser


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: has to be more than 0")
    return number


def _part(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text}: has to be from 0 to 1")
    return number
