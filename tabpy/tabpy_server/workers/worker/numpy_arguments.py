"""The script worker: arguments as numpy arrays, for scripts that ask for them."""

import re
from collections.abc import Sequence
from typing import Any

from tabpy.tabpy_server.errors import InvalidInputError

# A comment of a line of its own, among those that the script begins with.
ASKS = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*?[ \t]*#[ \t]*tabpy:[ \t]*arguments[ \t]*=[ \t]*(\S*)")
WORDS = {"list": False, "numpy": True}
NUMBERS = {int, float, type(None)}


def is_asked_for(script: str) -> bool | None:
    """Say what a script's line `# tabpy: arguments=…` asks for; None without one.

    Raises InvalidInputError for a word that it doesn't know.
    """
    found = ASKS.match(script)
    if found is None:
        return None
    word = found[1]
    if word not in WORDS:
        raise InvalidInputError(
            f"The script asks for arguments={word[:40]}.", "It can be list or numpy."
        )
    return WORDS[word]


def columns(values: Sequence[Any]) -> list[Any]:
    """Return each list of numbers as an array of float64, or of int64 if all are whole and none is
    null; null becomes NaN. A list of booleans becomes one of bool. Others stay what they are: numpy
    makes texts of equal length, and objects of texts with a null.

    Raises InvalidInputError if there is no numpy.
    """
    try:
        import numpy as np
    except ImportError:
        raise InvalidInputError(
            "The script asks for numpy's arrays, and numpy is not installed on the server.",
            "pip install numpy, or have the script take lists: # tabpy: arguments=list",
        ) from None
    return [_column(np, each) if isinstance(each, list) else each for each in values]


def _column(np: Any, values: list[Any]) -> Any:
    kinds = set(map(type, values))
    try:
        if kinds == {int}:
            return np.array(values, np.int64)
        if kinds == {bool}:
            return np.array(values, np.bool_)
        if kinds <= NUMBERS:
            return np.array(values, np.float64)
    except OverflowError:  # integers over 64 bits
        pass
    return values
