"""What numpy's and pandas' values become in JSON; neither library is imported here."""

import warnings
from typing import Any

from tabpy.tabpy_tools.unfit import UnfitError, an


def from_pandas(value: Any) -> Any:
    """Take one step towards JSON with a value of pandas'. Raises UnfitError."""
    name = type(value).__name__
    if name == "DataFrame":
        return _from_frame(value)
    if name in ("NAType", "NaTType"):
        return None
    if name == "Timestamp":
        return value.isoformat()
    if hasattr(value, "tolist"):  # Series, Index and the extension arrays
        return value.tolist()
    if name in ("Period", "Interval"):
        return str(value)  # what a person would write
    raise UnfitError(
        f"{an(name)}, which has no form in JSON", "what it computes: a DataFrame, or lists"
    )


def _from_frame(frame: Any) -> dict[str, Any]:
    names = [_column_name(column) for column in frame.columns]
    if len({*names}) == len(names):
        columns = [frame[column] for column in frame.columns]
        return {name: from_pandas(column) for name, column in zip(names, columns, strict=True)}
    twice = next(name for name in names if names.count(name) > 1)
    warnings.warn_explicit(
        f"The DataFrame has several columns '{twice}': only the last one is sent.",
        UserWarning,
        "tabpy",
        0,
    )
    return {name: from_pandas(frame.iloc[:, at]) for at, name in enumerate(names)}


def _column_name(column: Any) -> str:
    """Return a column's name as text; levels of a MultiIndex are joined."""
    if isinstance(column, tuple):
        return "_".join(str(level) for level in column if level != "")
    return str(column)


def from_numpy(value: Any) -> Any:
    """Take one step towards JSON with a value of numpy's. Raises UnfitError."""
    if not hasattr(value, "dtype") or value.dtype.kind in "cV":
        raise UnfitError(
            f"numpy values of type {type(value).__name__}, which have no form in JSON",
            "real numbers or strings",
        )
    if value.dtype.kind == "M":
        return value.astype("M8[us]").tolist()  # microseconds: what Python's datetime can hold
    if value.dtype.kind == "m":
        return value.astype("m8[us]").tolist()
    if value.dtype.char == "g":  # a long double's own list is of long doubles
        return value.astype(float).tolist()
    return value.tolist()
