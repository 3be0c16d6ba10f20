"""What somebody at a terminal reads when the server starts."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from tabpy.tabpy_server.package_files import LOCAL_USERS


def text(url: str, users: Sequence[str], password: str | None) -> str:
    """Say where to go and how to sign in; `password`: the one generated for this run, if it was."""
    address = f"    open      {url}"
    if password is not None:
        return f"""
There is no user yet, so this run has one of its own:

{address}
    user      {users[0]}
    password  {password}

Add one that stays: {command("tabpy-user")} add -u NAME -f {LOCAL_USERS}
Then stop this server and start it again.
"""
    who = f"    user      {' or '.join(users)}" if users else "    no user: everybody can enter"
    return f"\n{address}\n{who}\n"


def command(name: str) -> str:
    """Return how to call another of our commands from here: it may be in a folder off the PATH."""
    # uv puts the environment's folder on the PATH of what it starts, but not on the terminal's.
    if shutil.which(name) and "UV" not in os.environ:
        return name
    python = Path(sys.executable)
    beside = shutil.which(name, path=str(python.parent))
    if beside is None:  # in a copy that isn't installed, as on a dyno
        return f"{python.name} -m tabpy.commands.{name.removeprefix('tabpy-')}"
    return os.path.relpath(beside) if Path(beside).is_relative_to(Path.cwd()) else beside
