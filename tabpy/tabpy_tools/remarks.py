"""Warnings that show at the line of whoever uses this package, however deep they arise."""

import sys
import warnings

_PACKAGE = __name__.rpartition(".")[0]
_BETWEEN = "contextlib"  # calls the generators of ours that are context managers


def warn(text: str) -> None:
    """Warn, at the innermost line that isn't this package's."""
    level = 1
    frame = sys._getframe()
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__")):
        frame = frame.f_back
        level += 1
    warnings.warn(text, stacklevel=level)


def _is_ours(module: object) -> bool:
    return isinstance(module, str) and (
        f"{module}.".startswith(f"{_PACKAGE}.") or module == _BETWEEN
    )
