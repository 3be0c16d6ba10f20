"""The script worker: what a script returned, as the JSON that Tableau takes.

NaN and infinities become null (the bare tokens break Tableau), numpy and pandas values become
numbers, strings and arrays, a DataFrame becomes an object of its columns.
"""

import datetime
import decimal
import json
import math
from collections.abc import Callable, Iterator, KeysView, Mapping, ValuesView
from typing import Any

import orjson

OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def encode(value: Any) -> bytes:
    """UTF-8 JSON. Raises TypeError for what has no place in JSON, naming its type."""
    try:
        return orjson.dumps(_prepare(value), default=_convert, option=OPTIONS)
    except orjson.JSONEncodeError as problem:
        if isinstance(problem.__cause__, Exception):
            raise problem.__cause__ from None
        # Integers over 64 bits, lone surrogates and unusual keys: rare, so slower is fine.
        return json.dumps(_plain(value), allow_nan=False).encode()


def simple(value: Any) -> Any:
    """A function's result as a script gets it: lists and numbers where it was numpy's or pandas',
    as it would be had it come over HTTP, as it does in TabPy."""
    if isinstance(value, dict):
        return {key: simple(each) for key, each in value.items()}
    if isinstance(value, str | int | float | bool | list | tuple | None):
        return value
    if type(value).__module__.partition(".")[0] in ("numpy", "pandas") or isinstance(value, LAZY):
        converted = _convert(value)
        return simple(converted) if isinstance(converted, dict) else converted
    return value


def _prepare(value: Any) -> Any:
    """What has to be seen before orjson sees it: lazy sequences, whose exceptions would lose their
    line inside orjson, and numpy's dates, whose NaT it would write as 1970."""
    if isinstance(value, LAZY):
        return list(value)
    if isinstance(value, dict):
        return {key: _prepare(each) for key, each in value.items()}
    if isinstance(value, list | tuple) and value and not isinstance(value[0], PLAIN):
        return [_prepare(each) for each in value]
    if type(value).__module__ == "numpy" and getattr(value, "dtype", None) is not None:
        return _from_numpy(value) if value.dtype.kind in "mM" else value
    return value


def _convert(value: Any) -> Any:
    """What orjson asks about: every type it doesn't know."""
    for kind, converter in CONVERTERS.items():
        if isinstance(value, kind):
            return converter(value)
    module = type(value).__module__.partition(".")[0]
    if module == "pandas":
        return _from_pandas(value)
    if module == "numpy":
        return _from_numpy(value)
    raise TypeError(
        f"The script returned {_an(type(value).__name__)}, which has no form in JSON: return "
        "numbers, strings, booleans, None, or lists of them."
    )


PLAIN = (str, int, float, bool, type(None))  # long lists of these are Tableau's columns
SCALARS = (str, int, float, type(None))
LAZY = (Iterator, range, KeysView, ValuesView)
CONVERTERS: Mapping[type | tuple[type, ...], Callable[[Any], Any]] = {
    decimal.Decimal: float,
    datetime.timedelta: lambda value: value.total_seconds(),
    LAZY: list,
}


def _from_pandas(value: Any) -> Any:
    name = type(value).__name__
    if name == "DataFrame":
        return {str(column): _from_pandas(value[column]) for column in value.columns}
    if name in ("NAType", "NaTType"):
        return None
    if name == "Timestamp":
        return value.isoformat()
    if hasattr(value, "tolist"):  # Series, Index and the extension arrays
        return value.tolist()
    return str(value)  # Period, Interval, Timedelta: their text is what a person would write


def _from_numpy(value: Any) -> Any:
    if not hasattr(value, "dtype") or value.dtype.kind in "cV":
        raise TypeError(
            f"The script returned numpy values of type {type(value).__name__}, "
            "which have no form in JSON: return real numbers or strings."
        )
    if value.dtype.kind == "M":
        return value.astype("M8[us]").tolist()  # microseconds: what Python's datetime can hold
    if value.dtype.kind == "m":
        return value.astype("m8[us]").tolist()
    return value.tolist()


def _plain(value: Any) -> Any:
    """`value` of Python's own types only, with None where a float is no number."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {
            key if isinstance(key, str) else str(key): _plain(each) for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return _plain(_convert_known(value))


def _convert_known(value: Any) -> Any:
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    return _convert(value)


def _an(name: str) -> str:
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
