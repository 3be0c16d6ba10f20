"""Importing what scripts are likely to need, before they ask for it."""

import importlib
import sys
from collections.abc import Sequence

from tabpy.tabpy_server.workers.worker.failures import text_of


def preload(modules: Sequence[str]) -> None:
    """Import `modules`; for each that can't be imported a log line says why."""
    for module in modules:
        try:
            importlib.import_module(module)
        except BaseException as error:  # noqa: BLE001 - a foreign module's import raises anything
            # Late, since it takes longer to import than all that is needed when nothing fails.
            from tabpy.tabpy_server.log_format import quote

            reason = f"{type(error).__name__}: {text_of(error)}"
            message = quote(f"TABPY_PRELOAD: {module} is not there: {reason}")
            sys.stdout.write(f"level=warning msg={message}\n")
            sys.stdout.flush()
