"""Importing what scripts are likely to need, before they ask for it."""

import importlib
import sys
from collections.abc import Sequence


def preload(modules: Sequence[str]) -> None:
    """Import `modules`; for each that can't be imported a log line says why."""
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as problem:  # noqa: BLE001 - a foreign module's import can raise anything
            reason = f"{type(problem).__name__}: {problem}".replace('"', "'")
            line = f'level=warning msg="TABPY_PRELOAD: {module} is not there: {reason}"\n'
            sys.stdout.write(line)
            sys.stdout.flush()
