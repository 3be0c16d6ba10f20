"""What somebody at a terminal reads when the server starts."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path


def text(url: str, users: Sequence[str], password: str | None) -> str:
    """Say where to go and how to sign in; `password`: the one generated for this run, if it was."""
    address = f"    open      {url}"
    if password is not None:
        return f"""
There is no user yet, so this run has one of its own:

{address}
    user      {users[0]}
    password  {password}

Add one that stays: {command("tabpy-user")} add -u NAME -f tabpypwd.txt
"""
    who = f"    user      {' or '.join(users)}" if users else "    no user: everybody can enter"
    return f"\n{address}\n{who}\n"


def command(name: str) -> str:
    """Return how to call another of our commands from here: it may be in a folder off the PATH."""
    if shutil.which(name):
        return name
    beside = Path(sys.executable).parent / name
    return os.path.relpath(beside) if beside.is_relative_to(Path.cwd()) else str(beside)
