"""Arguments and replies as JSON, numpy's and pandas' values included, without importing either."""

import json
import math
import operator
from functools import partial
from typing import Any

import orjson

from tabpy.tabpy_tools.unfit import UnfitError
from tabpy.tabpy_tools.values import (
    OPTIONS,
    PLAIN,
    converted,
    plain,
    prepared,
    quick,
    same,
)

_IS_NONE = partial(operator.is_, None)
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
    # A null may have been a NaN. Unless there are as many as there were of None, each number is
    # looked at, which takes four times as long.
    if encoded is not None:
        nulls = encoded.count(b"null")
        if nulls == 0 or nulls == _nones(data):
            return encoded
    try:
        return orjson.dumps(converted(data, _token), option=OPTIONS)
    except orjson.JSONEncodeError:  # an integer over 64 bits, or a lone surrogate
        return json.dumps(converted(data, same), separators=(",", ":")).encode()


def _nones(data: Any) -> int:
    """Count None, in lists and dictionaries and what they hold."""
    if isinstance(data, dict):
        return sum(map(_nones, data.values()))
    if not isinstance(data, list | tuple):
        return int(data is None)
    if not data or not isinstance(data[0], PLAIN):
        return sum(map(_nones, data))
    return sum(map(_IS_NONE, data))


def _token(number: float) -> Any:
    if math.isfinite(number):
        return number
    return _NAN if math.isnan(number) else _INFINITIES[number > 0]
