"""Writes docs/performance.md with its pictures, and the measured part of docs/scaling.md."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import pictures, scaling
from benchmarks.comparison import CROWDS
from benchmarks.contestants import BARE, FASTAPI, LIMIT, OURS, OURS_ONE, TABPY
from benchmarks.lines import Line, Target, from_json
from benchmarks.pictures import number

NAMES = (OURS_ONE, OURS, TABPY, FASTAPI, BARE, LIMIT)
VERDICTS = {None: "not measured", True: "yes", False: "**no**"}
QUIET = 0.5  # processes a core that wanted to run in the minute before
BEGIN, END = "<!-- written by python -m benchmarks.performance --write -->", "<!-- end -->"
INTRODUCTION = """\
# Performance

How fast the server is beside others, measured in one run.
A command writes this page and its pictures, so don't edit it:

    python -m benchmarks.performance --write            # a quarter of an hour
    python -m benchmarks.performance --write --short    # under eight minutes

The machine should do nothing else meanwhile.
[benchmarks/README.md](../benchmarks/README.md) says how it measures.
"""
EXPLANATION = """\
The contestants are measured in turn, and a figure is the median of the rounds.
Below it stand the lowest and the highest round.
*ours* has its default of two web processes.
TabPy, fastapitableau and the bare handler are one process each.
The bare handler answers a constant, without sign-in, script or worker.
fastapitableau has no sign-in, so it is measured without; ours and TabPy check a password.
The in-process limit reads the JSON, computes and writes JSON, without any server.
CPU is user and system time a request, of all processes of a kind together.
"""


def write(root: Path, measured: Mapping[str, Any]) -> None:
    """Write both documents below `root` from what `performance.measure` gave."""
    docs = root / "docs"
    lines = from_json(measured["lines"])
    for name, svg in _pictures(lines).items():
        (docs / "images" / name).write_text(svg)
    (docs / "performance.md").write_text(performance(measured))
    if measured.get("scaling"):
        page = docs / "scaling.md"
        page.write_text(_replaced(page.read_text(), _scaling(measured)))


def performance(measured: Mapping[str, Any]) -> str:
    """The text of docs/performance.md."""
    lines = from_json(measured["lines"])
    parts = [
        INTRODUCTION + _busy(measured["machine"]),
        "## Goals\n",
        goals(lines),
        "\n## Figures\n",
        EXPLANATION,
    ]
    parts += [f"![{name}](images/{name})\n" for name in _pictures(lines)]
    parts += [_figures(lines), "\n## Where the time of a small request goes\n"]
    parts.append("Microseconds of CPU a request, 8 connections, one web process.")
    parts.append("The web process is sampled, the worker's steps are timed one by one.\n")
    parts += ["| Process | Step | us |", "|---|---|---|"]
    for process, steps in measured["steps"].items():
        parts += [f"| {process} | {step} | {number(spent)} |" for step, spent in steps.items()]
    parts += ["\n## Measured on\n", "| | |", "|---|---|"]
    parts += [f"| {key} | {value} |" for key, value in measured["machine"].items()]
    return "\n".join(parts) + "\n"


def _busy(machine: Mapping[str, Any]) -> str:
    """A warning, where others kept the machine busy before the run."""
    load, cores = machine["load_before"], machine["processors"]
    if load < QUIET * cores:
        return ""
    return f"""
**The machine was busy**: {load:.1f} processes wanted its {cores} cores when the run began.
Rates and waits of such a run say little, and neither does a goal that is missed.
"""


def goals(lines: Sequence[Line]) -> str:
    """The table of goals: ours, the peer, their ratio, and whether it is met."""
    head = ["| Figure | Unit | Ours | Peer | Ratio | Goal | Met |", "|---|---|---|---|---|---|---|"]
    return "\n".join(head + [_goal(line, each) for line in lines for each in line.targets])


def _goal(line: Line, target: Target) -> str:
    ratio = line.ratio(target.ours, target.against) if target.against else None
    cells = (
        line.figure,
        line.unit,
        _median(line, target.ours),
        f"{target.against} {_median(line, target.against)}" if target.against else "",
        "" if ratio is None else f"{ratio:.2f}",
        str(target),
        VERDICTS[line.met(target)],
    )
    return f"| {' | '.join(cells)} |"


def _figures(lines: Sequence[Line]) -> str:
    rows = [f"| Figure | Unit | {' | '.join(NAMES)} |", "|---|---|" + "---|" * len(NAMES)]
    for line in lines:
        cells = " | ".join(_cell(line, name) for name in NAMES)
        rows.append(f"| {line.figure} | {line.unit} | {cells} |")
    return "\n".join(rows)


def _cell(line: Line, name: str) -> str:
    spread = line.spread(name)
    if spread is None or spread[0] == spread[1]:
        return _median(line, name)
    return f"{_median(line, name)}<br>{number(spread[0])} to {number(spread[1])}"


def _median(line: Line, name: str) -> str:
    value = line.median(name)
    return line.troubles.get(name, "") if value is None else number(value)


def _pictures(lines: Sequence[Line]) -> dict[str, str]:
    """SVGs by file name, of the figures that were measured."""
    drawn: dict[str, str] = {}
    by_figure = {line.figure: line for line in lines}
    wanted = {
        "performance-small.svg": "small /evaluate, 8 connections",
        "performance-cpu.svg": "small /evaluate, CPU of the web process",
        "performance-million.svg": "1 M floats doubled",
    }
    ours = (OURS_ONE, OURS)
    for name, figure in wanted.items():
        if line := by_figure.get(figure):
            # The limit is so far off that nothing else would be seen.
            shown = {each: line.median(each) for each in NAMES if each != LIMIT}
            values = {each: value for each, value in shown.items() if value is not None}
            unit = "requests a second" if line.unit == "/s" else line.unit
            drawn[name] = pictures.bars(figure, unit, values, ours)
    crowds = [by_figure.get(f"{step} connections") for step in CROWDS]
    present = [line for line in crowds if line is not None]
    if len(present) == len(CROWDS):
        medians = {each: [line.median(each) or 0.0 for line in present] for each in (OURS, BARE)}
        chart = pictures.Chart("small /evaluate", "requests a second", "connections", CROWDS)
        drawn["performance-crowds.svg"] = pictures.curves(chart, medians, ours)
    return drawn


def _replaced(text: str, written: str) -> str:
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{written}\n{END}{after}"


def _scaling(measured: Mapping[str, Any]) -> str:
    found = scaling.from_json(measured["scaling"])
    costs = found.costs
    parts = [
        f"Measured on {found.cores} cores, {measured['machine']['time']}.",
        *_busy(measured["machine"]).splitlines(),
        f"A small request takes the web process {costs.web * 1e6:,.0f} us of CPU "
        f"and the worker {costs.worker * 1e6:,.0f} us; the load generator takes "
        f"{costs.generator * 1e6:,.0f} us on the same cores.",
        "",
        "| Web processes | Workers of each | Script waits, s | Measured, /s | Model, /s | Off by |",
        "|---|---|---|---|---|---|",
    ]
    for run in found.runs:
        setup, fit = run.setup, " (its costs are the model's)" if run.used_to_fit else ""
        parts.append(
            f"| {setup.web} | {setup.workers} | {setup.seconds:g} | {number(run.measured)} "
            f"| {number(run.predicted)} | {run.deviation:+.0%}{fit} |"
        )
    parts += [
        "",
        "Scripts a second at which each place is full:",
        "",
        "| Cores | A script | Web processes | Workers | Cores | Full first |",
        "|---|---|---|---|---|---|",
    ]
    for cores in (2, 8, 32):
        for seconds, waits in ((0.0, False), (0.1, False), (0.1, True), (1.0, True)):
            full = scaling.limits(costs, cores, seconds, waits)
            script = f"{'waits' if waits else 'computes'} {seconds:g} s" if seconds else "is small"
            rates = " | ".join(number(full[place]) for place in scaling.PLACES)
            parts.append(f"| {cores} | {script} | {rates} | {min(full, key=lambda p: full[p])} |")
    return "\n".join(parts) + "\n"
