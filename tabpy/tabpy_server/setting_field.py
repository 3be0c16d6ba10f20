"""How a setting is declared: a dataclass's field with its key, its parser and an explanation."""

from collections.abc import Callable
from dataclasses import field
from pathlib import Path
from typing import TypeVar

from tabpy.tabpy_server import setting_values

Value = TypeVar("Value")


def setting(
    key: str,
    parse: Callable[[str], Value],
    default: Value,
    explanation: str,
    *,
    secret: bool = False,
) -> Value:
    """Declare a setting: the type checker holds field, parser and default together."""
    about = {"key": key, "parse": parse, "explanation": explanation}
    return field(default=default, metadata=about, repr=not secret)


def optional_path(key: str, default: Path | None, explanation: str) -> Path | None:
    """Declare a setting that is a path, or none."""
    return setting(key, setting_values.optional_path, default, explanation)


def worked_out(
    key: str, parse: Callable[[str], Value], default: Callable[[], Value], explanation: str
) -> Value:
    """Declare a setting whose default depends on the machine, or on where the server lies."""
    about = {"key": key, "parse": parse, "explanation": explanation}
    return field(default_factory=default, metadata=about)
