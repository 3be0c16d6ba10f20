"""`python -m benchmarks.performance [--short] [--write]`: the comparison, and its document."""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import __main__ as two_sided
from benchmarks import comparison, document, scaling, steps
from benchmarks.comparison import Figure, Pace
from benchmarks.contestants import OURS, TABPY, Contestants
from benchmarks.lines import Line, as_json, from_json, of_row
from benchmarks.servers import exit_on_sigterm

ROOT = Path(__file__).parents[1]
LONG, SHORT = Pace(5, 2.0), Pace(3, 1.0)
FIGURES: dict[str, Figure] = {
    "small": comparison.small,
    "functions": comparison.functions,
    "large": comparison.large,
    "crowds": comparison.crowds,
    "looks": comparison.looks,
}
# Figures of `python -m benchmarks`, which have ours and TabPy's only.
TWO_SIDED = tuple(name for name in ("start", "client", "memory") if name in two_sided.FIGURES)


def main() -> int:
    """Measure, and write the documents where asked; 1 when a server answered wrongly."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.performance", description=__doc__)
    names = [*FIGURES, *TWO_SIDED]
    parser.add_argument("figures", nargs="*", metavar="figure", help=", ".join(names))
    parser.add_argument("--short", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md, too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument(
        "--from", type=Path, metavar="FILE", dest="source", help="measure nothing: read that file"
    )
    parser.add_argument("--peer", type=Path, metavar="FOLDER", help="an environment with TabPy")
    options = parser.parse_args()
    if unknown := sorted(set(options.figures) - set(names)):
        parser.error(f"no figure {', '.join(unknown)}; there are {', '.join(names)}")
    exit_on_sigterm()
    measured: dict[str, Any] = (
        json.loads(options.source.read_text())
        if options.source
        else measure(options.figures or names, SHORT if options.short else LONG, options.peer)
    )
    if options.json:
        options.json.write_text(json.dumps(measured, indent=1) + "\n")
    if options.write:
        document.write(ROOT, measured)
    lines = from_json(measured["lines"])
    print(document.goals(lines))
    return int(any(line.troubles.keys() & {OURS} for line in lines))


def measure(names: list[str], pace: Pace, tabpy: Path | None) -> dict[str, Any]:
    """All that the documents tell, as JSON has it."""
    machine = {**two_sided.machine(), "rounds": pace.rounds, "seconds a round": pace.seconds}
    lines: list[Line] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        contestants = Contestants.prepare(Path(folder), tabpy)
        where = steps.steps(contestants, pace)
        checks = scaling.checks(contestants, pace, int(str(machine["processors"])))
        for name in names:
            began = time.monotonic()
            if name in FIGURES:
                lines += FIGURES[name](contestants, pace)
            else:
                rows = two_sided.FIGURES[name](contestants.ours, contestants.tabpy)
                lines += [of_row(row, OURS, TABPY) for row in rows]
            print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return {
        "machine": machine,
        "lines": as_json(lines),
        "steps": where,
        "scaling": scaling.as_json(checks),
    }


if __name__ == "__main__":
    sys.exit(main())
