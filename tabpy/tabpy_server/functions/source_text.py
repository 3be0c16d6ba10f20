"""The text of a deployed function, as its author wrote it, where the archive has it.

The archive is a pickle, which anybody may have made: its operations are looked at, and none is
carried out. See `tabpy_tools.function_text` for how a text gets into it.
"""

import pickletools
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

from tabpy.tabpy_tools import function_text

READ = 1 << 18  # bytes: the text comes before the data
MADE_BY = (function_text.__name__, function_text.rebuilt.__name__)
STRINGS = ("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8")
AGAIN = ("BINGET", "LONG_BINGET")


def read(archive: Path) -> str | None:
    """Return the text of the function that an archive is of; None if it isn't known. Reads, and
    may compute for a tenth of a second, so it belongs on a thread. Raises OSError."""
    with archive.open("rb") as file:
        beginning = file.read(READ)
    strings = _strings(beginning)
    last = next(strings, "")
    for text in strings:
        if (last, text) == MADE_BY:
            return dedent(next(strings, "")) or None
        last = text
    return None


def _strings(pickle: bytes) -> Iterator[str]:
    """Yield the strings of a pickle that may be cut off, or none at all, in their order: those that
    it has, and those that it takes again out of its memo."""
    memo: list[str | None] = []
    last: str | None = None
    try:
        for operation, argument, _ in pickletools.genops(pickle):
            if operation.name == "MEMOIZE":
                memo.append(last)
                continue
            last = None
            if operation.name in STRINGS:
                last = str(argument)
            elif operation.name in AGAIN:
                last = memo[int(argument or 0)]
            if last is not None:
                yield last
    except (ValueError, IndexError):  # as `pickletools` and the memo refuse what isn't whole
        return
