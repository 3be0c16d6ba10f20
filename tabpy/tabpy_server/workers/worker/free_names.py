"""The script worker: names that scripts use without importing them, as they could in TabPy.

TabPy ran scripts in a module of its own, and they found that module's imports. Here they are found
out when a script is compiled, and imported only for scripts that use them.
"""

import importlib
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# What each name stands for: a module, or something in one.
FREE: Mapping[str, tuple[str, str]] = {
    "datetime": ("datetime", ""),
    "json": ("json", ""),
    "logging": ("logging", ""),
    "pandas": ("pandas", ""),
    "pyarrow": ("pyarrow", ""),
    "requests": ("requests", ""),
    "timedelta": ("datetime", "timedelta"),
    "uuid": ("uuid", ""),
}


def used_by(code: types.CodeType) -> tuple[str, ...]:
    """Return those of the names that a script takes from its globals."""
    return tuple({name for each in _all_code(code) for name in _globals_read(each)} & FREE.keys())


def load(names: Sequence[str]) -> dict[str, Any]:
    """Return what the names stand for, without those that aren't installed here.

    Raises whatever importing raises otherwise.
    """
    found = {}
    for name in names:
        module, attribute = FREE[name]
        try:
            imported = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
            continue  # the script says that there is no such name
        found[name] = getattr(imported, attribute) if attribute else imported
    return found


def _all_code(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            yield from _all_code(each)


def _globals_read(code: types.CodeType) -> Iterator[str]:
    if FREE.keys().isdisjoint(code.co_names):
        return
    import dis  # few scripts need it

    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield instruction.argval
