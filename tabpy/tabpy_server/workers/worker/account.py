"""The script worker: what a failed script's or function's author is told.

`Class : text` is TabPy's form, which people and workbooks know; the lines after it are the
author's own, never this server's files.
"""

import linecache
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tabpy.tabpy_server.workers.worker import refusals
from tabpy.tabpy_server.workers.worker.failures import (
    BY_CAUSE,
    FILENAME,
    Lines,
    Place,
    Raised,
    is_installed,
    take_apart,
)

LIMIT = 12_000  # characters of each form
DIRECT = "The above exception was the direct cause of the following exception:"
INDIRECT = "During handling of the above exception, another exception occurred:"
# What a function's code calls its file: `<price.py:12>` if it was made of its text here, with a
# number behind if there is one of that name, a cell in
# two forms of IPython's, or a path on its author's machine.
LABEL = re.compile(r"<(.+):\d+(?: \(\d+\))?>")
CELL = re.compile(r"<ipython-input-(\d+)-.*>")
KERNELS_FOLDER = re.compile(r"[/\\]ipykernel_\d+[/\\]")


@dataclass(frozen=True)
class Account:
    """`info` is for whoever looks at a dashboard: what failed comes first. `trace` is for the
    author, in Python's form: it comes last. `at`: the line and the function where it failed, 0 and
    "" for what has none."""

    info: str
    trace: str
    at: tuple[int, str] = (0, "")


def of_script(error: BaseException, script: str) -> Account:
    """Tell what a script raised, with its lines."""
    # Python's own idea of lines: str.splitlines would also split at U+2028, form feeds and more.
    texts = re.split(r"\r\n|\r|\n", script)

    def text(_: str, number: int) -> str:
        return texts[number - 1] if 0 < number <= len(texts) else ""

    return _account(error, Lines(lambda name: name == FILENAME, lambda _: "", text))


def of_function(error: BaseException) -> Account:
    """Tell what a deployed function raised, with those of its lines that came with it."""
    return _account(error, Lines(lambda name: not is_installed(name), _label, _known_line))


def _account(error: BaseException, lines: Lines) -> Account:
    raised = take_apart(error, lines)
    head, *rest = _info(raised)
    allowed = filter(None, [refusals.explain(error)])  # the setting that would allow it
    told = _bounded([head, *allowed, *rest]), _bounded(_trace(raised))
    if not raised.inner:
        return Account(*told)
    return Account(*told, (raised.inner[0].line, raised.inner[0].function))


def _bounded(lines: list[str]) -> str:
    text = "\n".join(lines)
    return text if len(text) <= LIMIT else f"{text[:LIMIT]}…"


def _known_line(filename: str, number: int) -> str:
    """Return a line of a function's text. A file of that name here is another one than it was made
    of, so only what was put there under a label counts."""
    return linecache.getline(filename, number) if filename.startswith("<") else ""


def _label(filename: str) -> str:
    if made := LABEL.fullmatch(filename):
        return made[1]
    if cell := CELL.fullmatch(filename):
        return f"cell {cell[1]}"
    if KERNELS_FOLDER.search(filename):
        return "a cell"
    return re.split(r"[/\\]", filename)[-1] or "its file"


# As information


def _info(raised: Raised) -> list[str]:
    lines = [f"{raised.name} : {raised.text}"]
    lines += [_where(place, is_call=position > 0) for position, place in enumerate(raised.inner)]
    if raised.left_out:
        lines.append(f"… {raised.left_out} more")
    lines += [_where(place, is_call=True) for place in raised.outer]
    for position, member in enumerate(raised.members, 1):
        head, *rest = _info(member)
        lines.append(f"{position} of {raised.size}: {head}")
        lines += [f"  {line}" for line in rest]
    if raised.cause is not None:
        head, *rest = _info(raised.cause)
        lines += [f"{raised.relation} {head}", *rest]
    return lines


def _where(place: Place, *, is_call: bool) -> str:
    text = f": {place.text}" if place.text or not place.file else ""
    file = f"{place.file}, " if place.file else ""
    function = f", in {place.function}" if place.function else ""
    return f"{'called from ' if is_call else ''}{file}line {place.line}{function}{text}"


# As Python has it


def _trace(raised: Raised) -> list[str]:
    lines = []
    if raised.cause is not None:
        between = DIRECT if raised.relation == BY_CAUSE else INDIRECT
        lines += [*_trace(raised.cause), "", between, ""]
    places = [*raised.outer[::-1], None, *raised.inner[::-1]]
    if len(places) > 1:
        lines.append("Traceback (most recent call last):")
    for place in places:
        lines += _more(raised) if place is None else _frame(place)
    lines.append(f"{raised.name}: {raised.text}" if raised.text else raised.name)
    for position, member in enumerate(raised.members, 1):
        lines.append(f"  {position} of {raised.size}:")
        lines += [f"    {line}" for line in _trace(member)]
    return lines


def _more(raised: Raised) -> list[str]:
    return [f"  … {raised.left_out} more"] if raised.left_out else []


def _frame(place: Place) -> Iterator[str]:
    file = place.file or FILENAME
    function = f", in {place.function}" if place.function else ""
    yield f'  File "{file}", line {place.line}{function}'
    if place.text:
        yield f"    {place.text}"
