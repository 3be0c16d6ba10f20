"""Arguments as JSON, numpy's and pandas' included, without importing either."""

import datetime
import json
from typing import Any


def dumps(data: object) -> bytes:
    """Write JSON in UTF-8; arrays and Series become lists, a DataFrame a list per column.

    Dates and times become ISO 8601, `NaT` and `NA` null. A float NaN stays the token `NaN`,
    which TabPy servers read: with null instead, a column of numbers would reach the function as
    one of objects. Raises TypeError naming the type that has no such form.
    """
    return json.dumps(data, default=_plain, separators=(",", ":")).encode()


def plain(data: object) -> Any:
    """Return `data` as the strings, numbers, lists and dictionaries that its JSON reads back as."""
    return json.loads(dumps(data))


def _plain(value: Any) -> object:
    """Go a step towards JSON for what `json` doesn't know; it asks again for what comes inside."""
    kind = type(value).__name__
    if kind in ("NaTType", "NAType"):
        return None
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return value.to_dict(orient="list")
    if hasattr(value, "tolist"):
        if type(value).__module__ == "numpy" and value.dtype.kind == "M":
            # numpy gives datetimes finer than a microsecond as bare integers.
            value = value.astype("datetime64[us]")
        return value.tolist()
    raise TypeError(
        f"A value of type {kind} can't be sent as JSON: make it a number, string, list, "
        "dictionary, array, Series or DataFrame."
    )
