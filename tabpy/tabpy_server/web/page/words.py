"""Numbers and times as the page's templates write them."""

from datetime import UTC, datetime

from tornado.escape import xhtml_escape

NOTHING = "\N{EN DASH}"


def count(number: int, noun: str) -> str:
    """Return `number` things, whose one is called `noun`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float | None) -> str:
    """Return a time in the unit that fits; a dash for none."""
    if seconds is None:
        return NOTHING
    if seconds < 0.001:
        return "< 1 ms"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def size(number: int) -> str:
    """Return bytes in the unit that fits."""
    if number < 1000:
        return f"{number} bytes"
    if number < 1_000_000:
        return f"{number / 1000:.0f} kB"
    return f"{number / 1_000_000:.1f} MB"


def moment(seconds: float) -> str:
    """Return HTML for a time, in seconds since 1970: in UTC, until the browser writes its own."""
    when = datetime.fromtimestamp(seconds, UTC)
    return f'<time datetime="{xhtml_escape(when.isoformat())}">{when:%Y-%m-%d %H:%M} UTC</time>'
