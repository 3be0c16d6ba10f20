"""Which files of this machine a function names, which a server doesn't have, or has open."""

import io
import os
import sys
import types
from collections.abc import Iterator
from pathlib import PurePath

from tabpy.tabpy_tools.unpicklable import referred

LONGEST = 1_000  # characters of a path


def named_in(function: types.FunctionType) -> set[str]:
    """Return the paths in a function's text, in its defaults and in the globals it refers to where
    a file is now, from the working folder on if they are relative."""
    defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    values = (*_constants(function.__code__), *defaults, *referred(function).values())
    paths = {str(each) for each in values if isinstance(each, str | PurePath)}
    return {each for each in paths if _is_file(each)}


def opened(obj: object) -> str | None:
    """Return the name of an open file whose content cloudpickle takes along, None for the rest.

    It takes all of a text file's; binary ones it refuses, and standard streams go by their names.
    """
    if type(obj) is not io.TextIOWrapper or obj in (sys.stdout, sys.stderr):
        return None
    name = getattr(obj, "name", None)  # one around bytes in memory has none
    return None if name is None else str(name)


def _constants(code: types.CodeType) -> Iterator[object]:
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _constants(constant)
        elif isinstance(constant, tuple):
            yield from constant
        else:
            yield constant


def _is_file(path: str) -> bool:
    """Say whether a file is there; a word without a suffix is taken for a word."""
    looks_so = len(path) <= LONGEST and PurePath(path).suffix != ""
    return looks_so and os.path.isfile(path)  # noqa: PTH113 - any text may be one, even with zeros
