"""The folder in which the server keeps what it has to remember."""

import contextlib
import os

from tabpy.tabpy_server.errors import StartError
from tabpy.tabpy_server.script_rules import OF_THE_STATE
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


def make_folders(chosen: Settings) -> None:
    """Make the folders that workers load functions from: they can be given to workers only if they
    are there. Where they can't be made, nothing can be deployed either."""
    with contextlib.suppress(OSError):
        # By itself: folders that are made on the way to another one are open to everybody.
        chosen.state_path.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in OF_THE_STATE:
            (chosen.state_path / name).mkdir(exist_ok=True, mode=0o700)
