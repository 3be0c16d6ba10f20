"""The lines of deployed functions, as their authors wrote them, where `linecache` finds them.

A traceback's frame has the label as its file name, and line numbers of the author's file or cell:
`linecache.getline(frame.f_code.co_filename, line)` is the author's line.
"""

import itertools
import linecache
import types
import weakref
from collections.abc import Sequence
from typing import Any, overload


def new_label(place: str, line: int) -> str:
    """Return a file name that no other code has, such as `<price.py:12>`: it names no file."""
    label = f"<{place}:{line}>"
    for number in itertools.count(2):
        if label not in linecache.cache:
            return label
        label = f"<{place}:{line} ({number})>"
    raise AssertionError


def keep(code: types.CodeType, text: str, line: int, column: int) -> None:
    """Have `linecache` know the text under the code's file name, for as long as the code lives.

    The text begins at `line` and, in bytes, `column`.
    """
    label = code.co_filename
    lines: Any = _Lines(line - 1, " " * column + text)
    linecache.cache[label] = len(text), None, lines, label  # None: `checkcache` leaves it alone
    weakref.finalize(code, linecache.cache.pop, label, None).atexit = False


class _Lines(Sequence[str]):
    """The lines of a text, after a number of empty ones that take no memory."""

    def __init__(self, before: int, text: str) -> None:
        self._before = before
        self._lines = text.split("\n")

    def __len__(self) -> int:
        return self._before + len(self._lines)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        places = range(len(self))[index]
        if isinstance(places, int):
            return self._line(places)
        return [self._line(each) for each in places]

    def _line(self, index: int) -> str:
        index -= self._before
        return f"{self._lines[index]}\n" if index >= 0 else "\n"
