"""The script worker: what a failed script's author is told.

`Class : text` is TabPy's form, which people and workbooks know; the lines after it are the
script's own, never this server's files. An exception is a stranger's object: whatever it does when
it is looked at, it gets described.
"""

import re
import sys
import traceback
from collections.abc import Callable
from importlib import resources
from types import TracebackType

from tabpy.tabpy_server.workers.worker import refusals

FILENAME = "<script>"
TEXT_LIMIT = 2_000  # characters of an exception's text, and of a line, that are passed on
INSTALLED = tuple({sys.prefix, sys.base_prefix, str(resources.files("tabpy")), "<frozen "})
CALLS_SHOWN = 4  # lines that led to the failing one


def describe(error: BaseException, script: str) -> str:
    """Return the exception's class and text, the failed line of `script` and the calls to it."""
    lines = _headlines(error)
    number = _syntax_error_line(error)
    places = _places(error, _is_script) if number is None else [(number, "")]
    for position, (number, function) in enumerate(places):
        where = f", in {function}" if function else ""
        prefix = "called from line" if position else "line"
        lines.append(f"{prefix} {number}{where}: {_line(script, number)}")
    return "\n".join(lines)


def describe_function(error: BaseException) -> str:
    """Return the same for a deployed function, whose text isn't here: only line numbers are."""
    lines = _headlines(error)
    for number, function in _places(error, _is_foreign):
        lines.append(f"line {number}, in {function or 'the function'}")
    return "\n".join(lines)


def text_of(error: BaseException) -> str:
    """Return the exception's text; where it can't be had, why."""
    try:
        text = f"{error.msg if isinstance(error, SyntaxError) else error}"
        if isinstance(error, ImportError) and error.path:
            text = text.replace(f" ({error.path})", "")  # where the server keeps its packages
    except BaseException as another:  # noqa: BLE001 - its own class can raise anything here
        return f"(its text can't be shown: {type(another).__name__})"
    return text if len(text) <= TEXT_LIMIT else f"{text[:TEXT_LIMIT]}…"


def _headlines(error: BaseException) -> list[str]:
    """Return the class with its text, and which setting would allow what was refused."""
    return [_headline(error), *filter(None, [refusals.explain(error)])]


def _headline(error: BaseException) -> str:
    name: str = type.__dict__["__name__"].__get__(type(error))  # whatever its metaclass does
    return f"{name} : {text_of(error)}"


def _syntax_error_line(error: BaseException) -> int | None:
    """Return the line of a script that is no Python; None for any other failure."""
    try:
        if not isinstance(error, SyntaxError) or error.filename != FILENAME:
            return None
        return int(error.lineno or 1)
    except BaseException:  # noqa: BLE001 - as in `text_of`
        return None


def _is_script(filename: str) -> bool:
    return filename == FILENAME


def _is_foreign(filename: str) -> bool:
    """Say whether code is the author's, and not of a package or of this server."""
    return not filename.startswith(INSTALLED)


def _places(error: BaseException, wanted: Callable[[str], bool]) -> list[tuple[int, str]]:
    """Return line and function of the author's own frames, the failing one first."""
    # Not the attribute: its class may have one of that name.
    trace: TracebackType | None = BaseException.__dict__["__traceback__"].__get__(error)
    places = [
        (number, frame.f_code.co_name)
        for frame, number in traceback.walk_tb(trace)
        if wanted(frame.f_code.co_filename)
    ]
    named = [
        (number, "" if name.startswith(("_user_script", "<")) else name)
        for number, name in places[::-1]
    ]
    # Before Python 3.12 a comprehension is a frame of its own, at the line of the one around it.
    distinct = [
        place
        for position, place in enumerate(named)
        if position == 0 or place[0] != named[position - 1][0]
    ]
    return distinct[: CALLS_SHOWN + 1]


def _line(script: str, number: int) -> str:
    # Python's own idea of lines: str.splitlines would also split at U+2028, form feeds and more.
    lines = re.split(r"\r\n|\r|\n", script)
    return lines[number - 1].strip()[:TEXT_LIMIT] if 0 < number <= len(lines) else ""
