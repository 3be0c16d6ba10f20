"""The folder in which the server keeps what it has to remember."""

import os

from tabpy.tabpy_server.errors import StartError
from tabpy.tabpy_server.settings import Settings


def check(chosen: Settings) -> None:
    """Make the folder if somebody named one. Raises StartError if it can't be written to.

    The default one may be missing: scripts run without it.
    """
    if "TABPY_STATE_PATH" not in chosen.explicit:
        return
    try:
        chosen.state_path.mkdir(parents=True, exist_ok=True, mode=0o700)
        reason = "" if os.access(chosen.state_path, os.W_OK) else "it can't be written to"
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        raise StartError(f"TABPY_STATE_PATH is '{chosen.state_path}': {reason}.")
