"""Which values of Python have a form in JSON: those of its own, of numpy and of pandas.

What a client may send and what a script may return is the same, so both sides ask here. They differ
in what becomes of NaN and infinities, which is left to them.
"""

import dataclasses
import datetime
import decimal
import enum
import math
import sys
import uuid
from array import array
from collections import deque
from collections.abc import (
    Callable,
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    ValuesView,
)
from fractions import Fraction
from pathlib import PurePath
from typing import Any

import orjson

from tabpy.tabpy_tools.library_values import from_numpy, from_pandas
from tabpy.tabpy_tools.unfit import UnfitError, an

OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
DEPTH = 400  # lists in lists; Python's own limit is not far
# What orjson makes of numpy's NaT, by its unit; of one among other values, since it is asked first
# about whole columns (see `prepared`).
NAT = (b'"1970-01-01T00:00:00"', b'"1677-09-21T00:12:43.145224"')


def quick(value: Any) -> bytes | None:
    """Return what `prepared` gave as UTF-8 JSON, with null for NaN and infinities, where orjson can
    write it; None for the rare value that only `converted` can make of Python's own types.

    Raises UnfitError for what has no form in JSON.
    """
    try:
        encoded = orjson.dumps(value, default=_convert_in_place, option=OPTIONS)
    except orjson.JSONEncodeError as error:
        if error.__cause__ is not None and not isinstance(error.__cause__, _NotInPlaceError):
            raise error.__cause__ from None
        # Integers over 64 bits, lone surrogates and unusual keys: rare, so slower is fine.
        return None
    return None if _may_hold_nat(encoded) else encoded


def _may_hold_nat(encoded: bytes) -> bool:
    # Looking for text that isn't there takes 4 ms for a million strings, and 1 ms for as many
    # numbers, which have no quotes; looking at each value's type beforehand would take 22 ms.
    return "numpy" in sys.modules and b'"' in encoded and any(each in encoded for each in NAT)


def plain(value: Any) -> Any:
    """Return a copy of `value` as its JSON would be read, of Python's own types only.

    But numbers stay what they are, NaN and integers over 64 bits too. Raises UnfitError.
    """
    try:
        return converted(value, same)
    except (MemoryError, RecursionError) as error:
        raise UnfitError(cause=error) from None


class _NotInPlaceError(Exception):
    """What can be read only once can't be read while orjson may still refuse the whole."""


def prepared(value: Any, depth: int = 0) -> Any:
    """Replace what has to be seen before orjson sees it: lazy sequences, whose exceptions would
    lose their line inside orjson, and numpy's dates, whose NaT it would write as 1970.

    Raises UnfitError.
    """
    if isinstance(value, PLAIN) or _is_column(value):
        return value
    if isinstance(value, list | tuple):
        _check_depth(value, depth)
        return [prepared(each, depth + 1) for each in _elements(value)]
    if isinstance(value, dict):
        _check_depth(value, depth)
        return {key: prepared(each, depth + 1) for key, each in dict.items(value)}
    if isinstance(value, LAZY):
        return _ask(list, value)
    dtype = getattr(value, "dtype", None) if _library(value) == "numpy" else None
    if dtype is not None and dtype.kind in "mM":
        return _ask(from_numpy, value)
    return value


def _is_column(value: Any) -> bool:
    """Say whether it looks like one of Tableau's, which orjson takes as it is."""
    return isinstance(value, list | tuple) and (not value or isinstance(value[0], PLAIN))


def _convert_in_place(value: Any) -> Any:
    """Convert what orjson asks about, every type it doesn't know."""
    if isinstance(value, LAZY):
        raise _NotInPlaceError
    return _convert(value)


def _convert(value: Any) -> Any:
    """Take one step towards JSON; what comes of it may need another."""
    for kind, converter in CONVERTERS.items():
        if isinstance(value, kind):
            return _ask(converter, value)
    library = _library(value)
    if library == "pandas":
        return _ask(from_pandas, value)
    if library == "numpy":
        return _ask(from_numpy, value)
    raise UnfitError(f"{an(type(value).__name__)}, which has no form in JSON")


def _ask(converter: Callable[[Any], Any], value: Any) -> Any:
    """Run code of the value's own: what that raises is its author's to read."""
    try:
        return converter(value)
    except UnfitError:
        raise
    except BaseException as error:  # noqa: BLE001 - the border: it may raise anything
        raise UnfitError(cause=error) from None


def _library(value: Any) -> str:
    """Return the top of the package that a value's type is from."""
    return str(type(value).__module__).partition(".")[0]


PLAIN = (str, int, float, bool, type(None))  # long lists of these are Tableau's columns
EXACTLY_PLAIN = frozenset(PLAIN)
LAZY = (Iterator, range, KeysView, ValuesView, ItemsView)


def _ordered(value: Iterable[Any]) -> list[Any]:
    """Return a set as a list, in the order of its elements if they have one."""
    try:
        return sorted(value)
    except TypeError:
        return list(value)


CONVERTERS: Mapping[type | tuple[type, ...], Callable[[Any], Any]] = {
    decimal.Decimal: float,
    datetime.timedelta: lambda value: value.total_seconds(),
    tuple: list,  # one with names, such as scipy's results: orjson takes only plain ones
    float: float.__float__,  # a subclass
    (bytes, bytearray, memoryview): lambda value: bytes(value).decode(),
    (set, frozenset): _ordered,
    (deque, array): list,
    Fraction: float,
    PurePath: str,
    LAZY: list,
}


Number = Callable[[float], float | None]


def same(number: float) -> float:
    return number


def finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def converted(value: Any, number: Number, depth: int = 0) -> Any:
    """Return `value` of Python's own types only, with floats as `number` has them."""
    kind = type(value)
    if kind is float:
        return number(value)
    if kind in EXACTLY_PLAIN:
        return value
    _check_depth(value, depth)
    if isinstance(value, list | tuple):
        # A million numbers: looked at in 22 ms and copied in 4, where one by one would take 110.
        if number is same and EXACTLY_PLAIN.issuperset(map(type, value)):
            return list(value)
        return [converted(each, number, depth + 1) for each in _elements(value)]
    if isinstance(value, dict):
        return {_key(key): converted(each, number, depth + 1) for key, each in dict.items(value)}
    return converted(_simpler(value), number, depth + 1)


def _simpler(value: Any) -> Any:
    """Take the step that orjson would take, for what it knows, else that of `_convert`."""
    if isinstance(value, enum.Enum):
        return value.value
    if _library(value) in ("numpy", "pandas"):
        return _convert(value)
    for kind, converter in NATIVE.items():
        if isinstance(value, kind):
            return _ask(converter, value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _ask(_from_dataclass, value)
    return _convert(value)


NATIVE: Mapping[type | tuple[type, ...], Callable[[Any], Any]] = {
    str: str.__str__,  # of subclasses: what they are, whatever they say
    float: float.__float__,
    int: int.__index__,
    (datetime.date, datetime.time): lambda value: value.isoformat(),  # a datetime is a date
    uuid.UUID: str,
}


def _from_dataclass(value: Any) -> dict[str, Any]:
    if hasattr(value, "__dict__"):
        fields = vars(value)
    else:
        fields = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    return {name: each for name, each in fields.items() if not name.startswith("_")}


def _elements(value: list[Any] | tuple[Any, ...]) -> Any:
    """Return what to go over: a subclass may have an iterator of its own, which may raise."""
    return value if type(value) in (list, tuple) else _ask(list, value)


def _key(key: Any) -> str:
    """Return a dictionary's key as it is in JSON."""
    if isinstance(key, str):
        return str.__str__(key)  # as in `NATIVE`
    if isinstance(key, bytes):
        return str(_ask(bytes.decode, key))
    try:
        encoded = orjson.dumps({key: None}, option=OPTIONS)
    except orjson.JSONEncodeError:
        return str(_ask(str, key))
    name: str = next(iter(orjson.loads(encoded)))
    return name


def _check_depth(value: Any, depth: int) -> None:
    if depth > DEPTH:
        name = an(type(value).__name__)
        raise UnfitError(f"{name} that contains itself or is nested too deeply")
