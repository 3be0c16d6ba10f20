"""The script worker: reading JSON with long arrays, a piece of an array at a time.

That takes a third less time than reading it at once, and half the memory: a parser's own copy of
the text, and of all its values, is as large as a piece, and stays in the processor's cache.

Where a piece ends is guessed, at a comma, and the guess proves itself: what is read of a text up to
some place doesn't depend on what follows. So if the piece is valid as an array of its own, the
comma after it isn't in a string or in a nested array, and the next piece begins at an element. The
text around the arrays, with a name in each one's place, is read like any other. Whatever doesn't
fit, an error in the text above all, is left to who reads it at once.
"""

import gc
import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from tabpy.tabpy_server import json_codec

PIECE = 1 << 18  # bytes
LONG = 1 << 20  # bytes of a text that is worth it
SHORT = 1 << 16  # bytes of an array that isn't
TRIES = 64  # brackets that begin no long array, until the rest is left as it is
COMMAS = {b'"': b'",', b"[": b"],", b"{": b"},"}  # after an element, by what the first begins with
ENDS = {b"[": b"]]", b"{": b"}]"}
BEFORE_END = {b'"': b'"l'}  # of texts, the last of which may be null; else anything
GUESSES = 4  # at each place where there may be several
NUMBERS = (float, int, type(None))
UNSURE = 2.0**126  # the square of the least integer that orjson reads as a float, by far


class _NotInPiecesError(Exception):
    """This isn't how the text is made."""


def loads(text: memoryview, column: Callable[[], Any] = list) -> Any:
    """Read JSON as `json_codec.loads` does, and raise what it raises. `column` makes what a long
    array becomes, which is extended by lists."""
    if len(text) < LONG:
        return json_codec.loads(text)
    collects = gc.isenabled()
    gc.disable()  # there is no garbage, but it would be looked for after every piece
    try:
        return _Reader(text, column).read()
    except (_NotInPiecesError, ValueError, RecursionError):
        return json_codec.loads(text)
    finally:
        if collects:
            gc.enable()


class _Reader:
    def __init__(self, text: memoryview, column: Callable[[], Any]) -> None:
        self._text = text
        self._column = column
        self._name = os.urandom(16).hex()  # nobody can have written it
        self._columns: list[Any] = []

    def read(self) -> Any:
        """Return what the text says. Raises _NotInPiecesError, ValueError, RecursionError."""
        around = self._around()
        if not self._columns:
            raise _NotInPiecesError
        found = json_codec.loads(around)
        if not isinstance(found, dict):
            raise _NotInPiecesError
        placed = self._place(found)
        data = found.get("data")
        if isinstance(data, dict | list):
            placed += self._place(data)
        if placed != len(self._columns):
            raise _NotInPiecesError
        return found

    def _place(self, values: Any) -> int:
        """Put the arrays where their names are, in a dictionary or a list; return how many."""
        placed = 0
        for key, value in values.items() if isinstance(values, dict) else enumerate(values):
            if isinstance(value, str) and value.startswith(self._name):
                values[key] = self._columns[int(value.removeprefix(self._name))]
                placed += 1
        return placed

    def _around(self) -> bytes:
        """Return the text with a name in the place of each long array."""
        text = self._text
        parts: list[bytes] = []
        begin = at = 0
        for _ in range(TRIES):
            at = self._after_bracket(at)
            if not at:
                break
            column = self._column()
            try:
                end = self._read_array(at, column)
            except (_NotInPiecesError, ValueError, RecursionError):
                continue  # in a string, for one
            if end - at > SHORT:
                name = f'"{self._name}{len(self._columns)}"'.encode()
                parts += bytes(text[begin : at - 1]), name
                self._columns.append(column)
                begin = end
            at = end
        return b"".join((*parts, bytes(text[begin:])))

    def _after_bracket(self, at: int) -> int:
        """Return the place after the next bracket that opens; 0 if there is none."""
        for start in range(at, len(self._text), PIECE):
            found = bytes(self._text[start : start + PIECE]).find(b"[")
            if found >= 0:
                return start + found + 1
        return 0

    def _read_array(self, at: int, column: Any) -> int:
        """Read the array whose elements begin at `at`; return the place after it."""
        text = self._text
        first = bytes(text[at : at + 1])
        commas = dict.fromkeys((COMMAS.get(first, b","), b",", *COMMAS.values()))
        end, before = ENDS.get(first, b"]"), BEFORE_END.get(first)
        begin = at
        while True:
            piece = bytes(text[at : at + PIECE])
            for length in _lengths(piece, end, before):
                elements = _elements(text[at : at + length])
                if elements or (elements == [] and at == begin):
                    column.extend(elements)
                    return at + length + 1
            for comma in commas:
                length = piece.rfind(comma) + len(comma) - 1
                elements = _elements(text[at : at + length]) if comma in piece else None
                if elements:
                    break
            else:
                raise _NotInPiecesError
            column.extend(elements)
            at += length + 1


def _lengths(piece: bytes, end: bytes, before: bytes | None) -> Iterator[int]:
    """Yield where the array may end: the places of the first brackets that may close it."""
    at, guesses = piece.find(end), 0
    while at >= 0 and guesses < GUESSES:
        if before is None or piece[at - 1 : at] in before:
            guesses += 1
            yield at + len(end) - 1
        at = piece.find(end, at + 1)


def _elements(text: memoryview) -> list[Any] | None:
    """Return the elements of an array without its brackets; None if it's not the whole of some."""
    array = b"".join((b"[", text, b"]"))
    try:
        elements: list[Any] = orjson.loads(array)
    except orjson.JSONDecodeError:
        return None
    if _is_exact(elements) or not json_codec.has_long_integer(array):
        return elements
    return list(json.loads(array))


if sys.version_info >= (3, 12):

    def _is_exact(elements: list[Any]) -> bool:
        """Say whether these are numbers, and none an integer of over 64 bits, which orjson reads
        as a float: a quarter of what looking through the text takes."""
        try:
            if type(elements[0]) not in NUMBERS:
                return False
            return math.sumprod(elements, elements) < UNSURE
        except TypeError:
            numbers = [each for each in elements if each is not None]
            return len(numbers) < len(elements) and (not numbers or _is_exact(numbers))
        except (OverflowError, IndexError):
            return False
else:

    def _is_exact(elements: list[Any]) -> bool:
        return False
