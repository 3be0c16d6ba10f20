"""The script worker: what a failed script's author is told.

`Class : text` is TabPy's form, which people and workbooks know; the lines after it are the
script's own, never this server's files.
"""

import re
import sys
import traceback
from collections.abc import Callable
from importlib import resources
from types import TracebackType

FILENAME = "<script>"
TEXT_LIMIT = 2_000  # characters of an exception's text, and of a line, that are passed on
INSTALLED = tuple({sys.prefix, sys.base_prefix, str(resources.files("tabpy")), "<frozen "})
CALLS_SHOWN = 4  # lines that led to the failing one


def describe(error: BaseException, script: str) -> str:
    """The exception's class and text, then the line of `script` that failed and the calls to it."""
    lines = [f"{type(error).__name__} : {_text(error)}"]
    if isinstance(error, SyntaxError) and error.filename == FILENAME:
        places = [(error.lineno or 1, "")]
    else:
        places = _places(error.__traceback__, _is_script)
    for position, (number, function) in enumerate(places):
        where = f", in {function}" if function else ""
        prefix = "called from line" if position else "line"
        lines.append(f"{prefix} {number}{where}: {_line(script, number)}")
    return "\n".join(lines)


def _text(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return error.msg
    try:
        text = str(error)
    except Exception as problem:  # noqa: BLE001 - the script's own class can raise anything here
        text = f"(its text can't be shown: {type(problem).__name__})"
    if isinstance(error, ImportError) and error.path:
        text = text.replace(f" ({error.path})", "")  # where the server keeps its packages
    return text if len(text) <= TEXT_LIMIT else f"{text[:TEXT_LIMIT]}…"


def describe_function(error: BaseException) -> str:
    """The same for a deployed function, whose text isn't here: only the line numbers are."""
    lines = [f"{type(error).__name__} : {_text(error)}"]
    for number, function in _places(error.__traceback__, _is_foreign):
        lines.append(f"line {number}, in {function or 'the function'}")
    return "\n".join(lines)


def _is_script(filename: str) -> bool:
    return filename == FILENAME


def _is_foreign(filename: str) -> bool:
    """Whether code is the author's, and not of a package or of this server."""
    return not filename.startswith(INSTALLED)


def _places(trace: TracebackType | None, wanted: Callable[[str], bool]) -> list[tuple[int, str]]:
    """Line and function of the author's own frames, the failing one first."""
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
