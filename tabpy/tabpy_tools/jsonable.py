"""Arguments and replies as JSON, numpy's and pandas' values included, without importing either."""

import json
import math
from typing import Any

import orjson

from tabpy.tabpy_tools.values import OPTIONS, UnfitError, converted, plain, prepared, quick, same

_NAN = orjson.Fragment(b"NaN")
_INFINITIES = {True: orjson.Fragment(b"Infinity"), False: orjson.Fragment(b"-Infinity")}


def dumps(data: object) -> bytes:
    """Write JSON in UTF-8; what may be sent is what a function may return.

    But a float NaN stays the token `NaN`, which TabPy servers read: with null instead, a column of
    numbers would reach the function as one of objects. So do infinities. Raises TypeError naming
    the type that has no such form, or what a value raised that was looked at.
    """
    try:
        return _dumps(prepared(data))
    except UnfitError as error:
        raise error.reason("You gave", "send") from None


def values_of(data: object) -> Any:
    """Return `data` as the strings, numbers, lists and dictionaries that its JSON reads back as.

    NaN stays NaN. Raises as `dumps` does.
    """
    try:
        return plain(data)
    except UnfitError as error:
        raise error.reason("You gave", "send") from None


def loads(text: bytes) -> Any:
    """Read a reply, whose numbers may be the tokens NaN and Infinity. Raises ValueError."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


def _dumps(data: Any) -> bytes:
    encoded = quick(data)
    # A null may be a NaN; without any there was none, and a million numbers took 30 ms.
    if encoded is not None and b"null" not in encoded:
        return encoded
    try:
        return orjson.dumps(converted(data, _token), option=OPTIONS)
    except orjson.JSONEncodeError:  # an integer over 64 bits, or a lone surrogate
        return json.dumps(converted(data, same), separators=(",", ":")).encode()


def _token(number: float) -> Any:
    if math.isfinite(number):
        return number
    return _NAN if math.isnan(number) else _INFINITIES[number > 0]
