"""The script worker: whether bytecode in an archive is this Python's.

Running another version's bytecode can end the process. cloudpickle's archives don't say which
Python compiled them, so this looks at the bytecode itself, before a code object is made of it:

- Python 3.10 and older gave code objects fewer parts: certain.
- Code begins with RESUME, whose number tells 3.13 from those before and after: certain.
- 3.11 is told from 3.12 by the room that instructions leave for caches and by numbers that are
  none. Likely: what passes has instructions that both have, in the same layout. A `while` loop
  that neither calls, compares, computes nor looks anything up is all that is known to pass and to
  mean something else.
"""

import opcode
import sys
from collections.abc import Iterator
from typing import Any

_PYTHON = "{}.{}".format(*sys.version_info)
_PARTS = 18  # of a code object, in cloudpickle's order, from Python 3.11 on
_FLAGS, _CODE, _FREE, _CELLS = 5, 6, 16, 17

_Beginning = tuple[int, frozenset[int]]
# RESUME, and what may come before it: COPY_FREE_VARS, MAKE_CELL, RETURN_GENERATOR, POP_TOP. The
# numbers are those of CPython's Lib/opcode.py.
_OURS: _Beginning = (
    opcode.opmap["RESUME"],
    frozenset(
        opcode.opmap[name]
        for name in ("COPY_FREE_VARS", "MAKE_CELL", "RETURN_GENERATOR", "POP_TOP")
    ),
)
_OTHERS: dict[str, _Beginning] = {
    "3.11 or 3.12": (151, frozenset({149, 135, 75, 1})),
    "3.13": (149, frozenset({62, 94, 35, 32})),
    "3.14": (128, frozenset()),
}
# Only code in a class body or beside one has them; in 3.11 they are jumps back.
_OF_CLASSES = {"LOAD_FROM_DICT_OR_GLOBALS", "LOAD_FROM_DICT_OR_DEREF"}


def origin(parts: tuple[Any, ...]) -> str:
    """Return which Python compiled the code object with these parts, for messages.

    "" if nothing speaks against this one.
    """
    if len(parts) < _PARTS:
        return "3.10 or older"
    code = parts[_CODE] if len(parts) == _PARTS else b""
    if not isinstance(code, bytes) or not _begins(code, _OURS):
        known = (name for name, beginning in _OTHERS.items() if _begins(code, beginning))
        return next(known, "of another version")
    in_class = not parts[_FLAGS] & 1 or "__classdict__" in parts[_FREE] + parts[_CELLS]
    if _is_laid_out(code, in_class):
        return ""
    return {"3.11": "3.12", "3.12": "3.11"}.get(_PYTHON, "of another version")


def _begins(code: bytes, beginning: _Beginning) -> bool:
    """Tell whether the code begins as a version's does; the first RESUME has no argument."""
    resume, before = beginning
    for number, argument in zip(code[::2], code[1::2], strict=False):
        if number == resume and argument == 0:
            return True
        if number not in before and number != opcode.opmap["EXTENDED_ARG"]:
            return False
    return False


def _is_laid_out(code: bytes, in_class: bool) -> bool:
    """Tell whether each instruction is one of ours, with the room for caches that ours has."""
    instructions = zip(code[::2], code[1::2], strict=False)
    for number, _ in instructions:
        caches = _CACHES.get(number)
        if caches is None or (opcode.opname[number] in _OF_CLASSES and not in_class):
            return False
        if any(next(instructions, None) != (0, 0) for _ in range(caches)):
            return False
    return True


def _caches() -> Iterator[tuple[int, int]]:
    """Yield the number of each instruction, and how many caches follow it."""
    entries: Any = opcode._inline_cache_entries  # type: ignore[attr-defined]
    for name, number in opcode.opmap.items():
        if name != "CACHE" and number < len(opcode.opname) and number < 256:
            if isinstance(entries, dict):  # from Python 3.13 on
                yield number, entries.get(name, 0)
            else:
                yield number, entries[number]


_CACHES = dict(_caches())
