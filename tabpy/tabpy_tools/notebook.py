"""Objects as a notebook shows them: HTML in which every value is escaped."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table with a line of headings."""
    cells = "".join(f"<th>{escape(each)}</th>" for each in head)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return (
        f"<table><caption>{escape(caption)}</caption>"
        f"<thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"
    )


def card(caption: str, entries: Mapping[str, object]) -> str:
    """Return a table with a line for each entry, its name in front; empty ones are left out."""
    body = "".join(
        f"<tr><th>{escape(name)}</th>{_cell(value)}</tr>"
        for name, value in entries.items()
        if value not in (None, "", (), [])
    )
    return f"<table><caption>{escape(caption)}</caption><tbody>{body}</tbody></table>"


class Code(str):
    """Text to be copied as it is."""

    __slots__ = ()


def _cell(value: object) -> str:
    if isinstance(value, Code):
        return f"<td><pre>{escape(value)}</pre></td>"
    shown = "" if value is None else str(value)
    return f"<td>{'<br>'.join(escape(line) for line in shown.splitlines())}</td>"
