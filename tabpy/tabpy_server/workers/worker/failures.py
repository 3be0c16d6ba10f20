"""The script worker: an exception taken apart, with what led to it and the author's lines.

An exception is a stranger's object: whatever it does when it is looked at, it gets described. So
its parts are read past its class, which may have attributes of the same names.
"""

import os
import re
import sysconfig
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from itertools import islice
from types import TracebackType
from typing import Any, TypeVar

FILENAME = "<script>"
TEXT_LIMIT = 4_000  # characters of an exception's text that are passed on
LINE_LIMIT = 400  # characters of a line
INSTALLED = (
    os.path.dirname(os.__file__),  # noqa: PTH120 - as it stands in the frames of its modules
    *{sysconfig.get_path(each) for each in ("platstdlib", "purelib", "platlib")},
    str(resources.files("tabpy")),
    "<frozen ",
)
MODULES_FILE = re.compile(r"(<module '[^']*') from '[^']*'>")  # so a module shows itself
PACKAGES = re.compile(r"[/\\](?:site|dist)-packages[/\\]")
CYTHON = (".pyx", ".pxi", ".pxd")  # files that are nowhere: a package's, such as pandas' index.pyx
# Places shown of one exception: those next to it, and those that began it all.
INNER, OUTER = 8, 4
CAUSES, MEMBERS, ALL = 5, 5, 20  # exceptions shown: of a chain, of a group, and altogether
BY_CAUSE, BY_CONTEXT = "caused by", "while handling"

_Any = TypeVar("_Any")


@dataclass(frozen=True)
class Place:
    """A line of the author's: `file` is its file or cell, "" for a script; `function` is "" for
    what has no name; `text` is the line, "" where it isn't known."""

    file: str
    line: int
    function: str
    text: str


@dataclass(frozen=True)
class Raised:
    """An exception: `inner` are the places nearest to it, the failing one first, then `left_out`
    others, then `outer`. `cause` led to it, as `relation` says. `members` are the first ones of a
    group of `size`."""

    name: str
    text: str
    inner: list[Place]
    left_out: int
    outer: list[Place]
    relation: str
    cause: "Raised | None"
    members: "list[Raised]"
    size: int


class Lines:
    """Which lines are the author's, and their texts."""

    def __init__(
        self,
        is_own: Callable[[str], bool],
        label: Callable[[str], str],
        text: Callable[[str, int], str],
    ) -> None:
        """All take the name that code has for its file; `text` also takes a line's number."""
        self.is_own, self.label, self.text = is_own, label, text

    def place(self, filename: str, number: int, function: str) -> Place:
        """Return a line with what people call its file."""
        text = self.text(filename, number).strip()
        shown = text if len(text) <= LINE_LIMIT else f"{text[:LINE_LIMIT]}…"
        return Place(self.label(filename), number, function, shown)


def take_apart(error: BaseException, lines: Lines) -> Raised:
    """Return what can be told of an exception: bounded, whatever its author made of it."""
    return _TakingApart(lines).raised(error)


def text_of(error: BaseException) -> str:
    """Return the exception's text; where it can't be had, why."""
    try:
        text = f"{error.msg if isinstance(error, SyntaxError) else error}"
        if isinstance(error, ImportError) and error.path:
            text = text.replace(f" ({error.path})", "")  # where the server keeps its packages
        text = MODULES_FILE.sub(r"\1>", text)
    except BaseException as another:  # noqa: BLE001 - its own class can raise anything here
        return f"(its text can't be shown: {type(another).__name__})"
    return text if len(text) <= TEXT_LIMIT else f"{text[:TEXT_LIMIT]}…"


def is_installed(filename: str) -> bool:
    """Say whether code is of a package or of this server, and not the author's."""
    if filename.startswith(INSTALLED) or filename.endswith(CYTHON):
        return True
    return PACKAGES.search(filename) is not None


class _TakingApart:
    """One at a time, each exception once: causes can lead in a circle."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._seen: list[BaseException] = []

    def raised(self, error: BaseException, depth: int = 0) -> Raised:
        self._seen.append(error)
        last, left_out, first = _ends(self._places(error))
        inner, outer = ([self._lines.place(*each) for each in places] for places in (last, first))
        members, size = self._members(error, depth)
        relation, cause = self._cause(error, depth)
        name: str = type.__dict__["__name__"].__get__(type(error))  # whatever its metaclass does
        text = text_of(error)
        if cause is not None and (cause.name, cause.text) == (name, text) and not cause.inner:
            relation, cause = cause.relation, cause.cause  # a library's own way to raise it
        return Raised(name, text, inner, left_out, outer, relation, cause, members, size)

    def _cause(self, error: BaseException, depth: int) -> tuple[str, Raised | None]:
        cause = _attribute(error, "__cause__")
        if cause is not None and self._has_room(cause, depth):
            return BY_CAUSE, self.raised(cause, depth + 1)
        context = _attribute(error, "__context__")
        if cause is not None or context is None or _attribute(error, "__suppress_context__"):
            return "", None
        if not self._has_room(context, depth):
            return "", None
        return BY_CONTEXT, self.raised(context, depth + 1)

    def _members(self, error: BaseException, depth: int) -> tuple[list[Raised], int]:
        if not isinstance(error, BaseExceptionGroup):
            return [], 0
        # Not the attribute: its class may have one of that name.
        every: tuple[BaseException, ...] = BaseExceptionGroup.__dict__["exceptions"].__get__(error)
        shown = (each for each in every[:MEMBERS] if self._has_room(each, depth))
        return [self.raised(each, depth + 1) for each in shown], len(every)

    def _has_room(self, error: BaseException, depth: int) -> bool:
        is_new = all(error is not each for each in self._seen)
        return is_new and depth < CAUSES and len(self._seen) < ALL

    def _places(self, error: BaseException) -> Iterator[tuple[str, int, str]]:
        """Yield file, line and function of the author's own places, the outermost first."""
        number = self._syntax_error_line(error)
        if number is not None:
            yield FILENAME, number, ""
            return
        trace: TracebackType | None = _attribute(error, "__traceback__")
        last: tuple[str, int] | None = None
        for frame, line in traceback.walk_tb(trace):
            code = frame.f_code
            if not self._lines.is_own(code.co_filename):
                continue
            # Before Python 3.12 a comprehension is a frame of its own, in the line of the one
            # around it.
            if (code.co_filename, line) == last and code.co_name.endswith("comp>"):
                continue
            last = code.co_filename, line
            is_named = not code.co_name.startswith(("_user_script", "<"))
            yield *last, code.co_name if is_named else ""

    def _syntax_error_line(self, error: BaseException) -> int | None:
        """Return the line of a script that is no Python; None for any other failure."""
        try:
            if not isinstance(error, SyntaxError) or error.filename != FILENAME:
                return None
            return int(error.lineno or 1) if self._lines.is_own(FILENAME) else None
        except BaseException:  # noqa: BLE001 - as in `text_of`
            return None


def _attribute(error: BaseException, name: str) -> Any:
    """Return what Python itself knows of an exception by that name."""
    return BaseException.__dict__[name].__get__(error)


def _ends(places: Iterator[_Any]) -> tuple[list[_Any], int, list[_Any]]:
    """Return the last ones, how many are between, and the first ones, each from the last on."""
    first = list(islice(places, OUTER))
    last: deque[_Any] = deque(maxlen=INNER)
    count = 0
    for place in places:
        last.append(place)
        count += 1
    if not last:
        return first[::-1], 0, []
    return [*last][::-1], count - len(last), first[::-1]
