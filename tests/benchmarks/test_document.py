"""The documents say what was measured, and nothing else is written by hand."""

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from benchmarks import document, pictures, scaling
from benchmarks.comparison import lowest_of_best
from benchmarks.contestants import BARE, OURS, OURS_ONE
from benchmarks.lines import Line, Target, as_json

LINES = [
    Line(
        "small /evaluate, 8 connections",
        "/s",
        {OURS_ONE: [100.0, 320.0, 400.0], BARE: [200.0]},
        (Target(OURS_ONE, BARE, times=1.6), Target(OURS, BARE, times=2.0)),
        {OURS: "needs root"},
    )
]
COSTS = scaling.Costs(web=0.001, worker=0.001, generator=0.0)
RUNS = [scaling.Check(scaling.Setup(1, 2, 0.0), 800.0, 1000.0, used_to_fit=False)]
MEASURED: dict[str, Any] = {
    "machine": {"time": "2026-01-01", "processors": 2, "load_before": 0.1},
    "lines": as_json(LINES),
    "steps": {"web process": {"routing": 12.5}},
    "scaling": scaling.as_json(scaling.Checks(COSTS, 2, RUNS)),
}


def test_goals_are_told_with_their_ratio() -> None:
    _, _, met, missing = document.goals(LINES).splitlines()
    assert "| 320 | bare tornado 200 | 1.60 |" in met
    assert met.endswith("| yes |")
    assert "needs root" in missing
    assert missing.endswith("| not measured |")


def test_both_documents_and_the_pictures_are_written(tmp_path: Path) -> None:
    (tmp_path / "docs" / "images").mkdir(parents=True)
    page = tmp_path / "docs" / "scaling.md"
    page.write_text(f"Before.\n{document.BEGIN}\nold\n{document.END}\nAfter.\n")
    for _ in range(2):  # what was written is replaced, not added to
        document.write(tmp_path, MEASURED)
    told = page.read_text()
    assert told.startswith("Before.")
    assert told.endswith("After.\n")
    assert "old" not in told
    assert told.count("| 1 | 2 | 0 | 800 | 1,000 | +25% |") == 1
    performance = (tmp_path / "docs" / "performance.md").read_text()
    assert "| web process | routing | 12.5 |" in performance
    assert "320<br>100 to 400" in performance
    assert "images/performance-small.svg" in performance
    ET.parse(tmp_path / "docs" / "images" / "performance-small.svg")


@pytest.mark.parametrize(("load", "told"), [(0.9, False), (1.0, True)])
def test_a_busy_machine_is_told(load: float, told: bool) -> None:
    machine = {**MEASURED["machine"], "load_before": load}
    assert (
        "The machine was busy" in document.performance({**MEASURED, "machine": machine})
    ) is told


def test_the_largest_bar_is_the_longest() -> None:
    root = ET.fromstring(pictures.bars("a <title>", "ms", {"x": 1.0, "y": 4.0}, ["x"]))
    small, large = [float(each.attrib["width"]) for each in root.iter() if "width" in each.attrib]
    assert large == pytest.approx(4 * small, rel=0.01)
    assert root[0].text == "a <title>"


def test_a_curve_has_a_point_for_each_step() -> None:
    chart = pictures.Chart("t", "u", "along", (1, 2, 4))
    root = ET.fromstring(pictures.curves(chart, {"x": [1.0, 2.0, 4.0]}, []))
    (line,) = [each for each in root.iter() if each.tag.endswith("polyline")]
    heights = [float(point.split(",")[1]) for point in line.attrib["points"].split()]
    assert heights == sorted(heights, reverse=True)
    assert len(heights) == 3


def test_the_lowest_rate_is_a_part_of_the_highest() -> None:
    lines = [Line("a", "/s", {"x": [80.0]}), Line("b", "/s", {"x": [100.0]})]
    assert lowest_of_best(lines, "x") == 0.8
    assert lowest_of_best([*lines, Line("c", "/s", {})], "x") is None


def test_the_cores_bound_what_the_model_promises() -> None:
    assert scaling.predicted(scaling.Setup(8, 8, 0.0), COSTS, cores=2) == pytest.approx(1000)
    waiting = scaling.predicted(scaling.Setup(1, 1, 1.0), COSTS, cores=2)
    assert waiting == pytest.approx(1 / 1.001, rel=0.01)


@pytest.mark.parametrize(
    ("seconds", "waits", "first"),
    [(0.0, False, "cores"), (1.0, False, "cores"), (10.0, True, "workers")],
)
def test_what_is_full_first_depends_on_the_script(seconds: float, waits: bool, first: str) -> None:
    full = scaling.limits(COSTS, 8, seconds, waits)
    assert min(full, key=lambda place: full[place]) == first


def test_the_checks_come_back_from_json() -> None:
    checks = scaling.Checks(COSTS, 2, RUNS)
    assert scaling.from_json(scaling.as_json(checks)) == checks
