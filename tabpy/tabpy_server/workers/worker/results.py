"""The script worker: what a script returned, as the JSON that Tableau takes.

NaN and infinities become null: the bare tokens break Tableau.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

from tabpy.tabpy_server.json_codec import in_ascii
from tabpy.tabpy_tools.unfit import UnfitError
from tabpy.tabpy_tools.values import converted, finite, plain, prepared, quick

__all__ = ["UnfitError", "encode", "pieces", "plain"]


Piece = bytes | memoryview

# orjson reserves eight times a text's length, and ends the process where it can't have that. The
# standard library's encoder is slower, and raises MemoryError.
HUGE_TEXT = 1 << 24  # characters
ELEMENTS = 1 << 14  # of a list, in each of the pieces that a longer one is written in
FEW = 1000  # elements: looking at each of a column would take longer than encoding it


def encode(value: Any) -> bytes:
    """Return JSON in ASCII. Raises UnfitError for what has no place there."""
    try:
        value = prepared(value)
        encoded = None if _has_huge_text(value) else quick(value)
        if encoded is None:
            encoded = json.dumps(converted(value, finite), allow_nan=False).encode()
        return in_ascii(encoded)
    except (MemoryError, RecursionError) as error:
        raise UnfitError(cause=error) from None


def pieces(value: Any) -> Iterator[Piece]:
    """Yield the same JSON, that of a long list or array in pieces. Raises UnfitError."""
    if not (type(value) is list or _is_array(value)) or len(value) <= ELEMENTS:
        yield encode(value)
        return
    before = b"["
    for start in range(0, len(value), ELEMENTS):
        yield before
        yield memoryview(encode(value[start : start + ELEMENTS]))[1:-1]
        before = b","
    yield b"]"


def _is_array(value: Any) -> bool:
    """Say whether it is numpy's, and has a length."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and type(value) is numpy.ndarray and value.ndim > 0


def _has_huge_text(value: Any) -> bool:
    """Say whether a value is a huge text, or a short list with one."""
    elements = value if isinstance(value, list) and len(value) <= FEW else [value]
    return any(isinstance(each, str) and len(each) > HUGE_TEXT for each in elements)
