"""Pictures of figures: plain SVG, legible on a light and on a dark page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, BAR, GAP, LEFT, TOP = 720, 22, 10, 190, 56
STYLE = """\
<style>
text { font: 13px sans-serif; fill: #1f2328 }
.title { font-weight: bold; font-size: 15px }
.bar { fill: #4c78a8 } .ours { fill: #e4572e }
.line { fill: none; stroke-width: 2; stroke: #4c78a8 } .line.ours { stroke: #e4572e; fill: none }
.axis { stroke: #8c959f }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } }
</style>"""


def bars(title: str, unit: str, values: Mapping[str, float], ours: Sequence[str]) -> str:
    """A bar for each name, in the order given, on a scale from zero."""
    height = TOP + len(values) * (BAR + GAP)
    longest = max(values.values(), default=1.0) or 1.0
    room = WIDTH - LEFT - 90
    parts = [_text(LEFT, 22, title, "title"), _text(LEFT, 42, unit)]
    for place, (name, value) in enumerate(values.items()):
        y = TOP + place * (BAR + GAP)
        width = room * value / longest
        kind = "bar ours" if name in ours else "bar"
        parts.append(f'<text x="{LEFT - 8}" y="{y + 16}" text-anchor="end">{escape(name)}</text>')
        parts.append(
            f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR}"/>'
        )
        parts.append(_text(LEFT + width + 6, y + 16, number(value)))
    return _document(title, height, parts)


@dataclass(frozen=True)
class Chart:
    title: str
    unit: str
    along: str  # what `steps` counts
    steps: Sequence[int]


def curves(chart: Chart, values: Mapping[str, Sequence[float]], ours: Sequence[str]) -> str:
    """A line for each name over steps that are equally far apart, on a scale from zero."""
    height, bottom, left, right = 320, 270, 70, WIDTH - 150
    highest = max((value for each in values.values() for value in each), default=1.0) or 1.0
    room = (right - left) / max(1, len(chart.steps) - 1)
    parts = [_text(left, 22, chart.title, "title"), _text(left, 42, chart.unit)]
    parts.append(f'<path class="axis" d="M{left} {TOP}V{bottom}H{right}" fill="none"/>')
    parts.append(_text(left - 62, TOP + 5, number(highest)) + _text(left - 16, bottom + 4, "0"))
    for place, step in enumerate(chart.steps):
        x = left + place * room
        parts.append(f'<text x="{x:.0f}" y="{bottom + 18}" text-anchor="middle">{step}</text>')
    parts.append(_text(left, bottom + 40, chart.along))
    for name, each in values.items():
        points = [
            (left + place * room, bottom - (bottom - TOP) * value / highest)
            for place, value in enumerate(each)
        ]
        path = " ".join(f"{x:.0f},{y:.1f}" for x, y in points)
        kind = "line ours" if name in ours else "line"
        parts.append(f'<polyline class="{kind}" points="{path}"/>')
        if points:
            parts.append(_text(points[-1][0] + 8, points[-1][1] + 4, name))
    return _document(chart.title, height, parts)


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.0f}" y="{y:.0f}">{escape(text)}</text>'


def _document(title: str, height: int, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">'
    return "\n".join([head, f"<title>{escape(title)}</title>", STYLE, *parts, "</svg>", ""])
