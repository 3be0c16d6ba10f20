"""The command `tabpy`: start the server."""

import argparse
import logging
import os
import shutil
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tabpy import __version__
from tabpy.tabpy_server import log_format, settings
from tabpy.tabpy_server.errors import StartError

if TYPE_CHECKING:
    from tabpy.tabpy_server.workers.fork_server.process import ForkServerProcess

# tornado, gunicorn and the password hashes are imported below, while the fork server is
# already busy importing what scripts need.

logger = logging.getLogger("tabpy")


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until stopped. Exit code 2 for anything that was set wrongly."""
    arguments = parser().parse_args(argv)
    try:
        loaded = settings.load(arguments.config, os.environ)
        log_format.set_up(loaded.config_file, loaded.settings.log_level)
        for warning in loaded.warnings:
            logger.warning(warning)
        _serve(loaded.settings, arguments)
    except StartError as problem:
        print(f"tabpy: {problem}", file=sys.stderr)
        return 2
    return 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="tabpy", description="Python inside Tableau.")
    made.add_argument("--version", action="version", version=f"TabPy {__version__}")
    made.add_argument("--config", metavar="FILE", help="settings; default: the packaged file")
    made.add_argument(
        "--disable-auth-warning",
        action="store_true",
        help="run without a password when there's no password file (never on Heroku)",
    )
    made.add_argument(
        "--one-time-password",
        action="store_true",
        help="make up a password when there's no user, as happens on a terminal anyway",
    )
    return made


def _serve(chosen: settings.Settings, arguments: argparse.Namespace) -> None:
    watched = arguments.one_time_password or sys.stdin.isatty()
    check_state_path(chosen)
    listener = bind(chosen.address, chosen.port)
    fork_server = start_fork_server(chosen) if sys.platform == "linux" else None
    try:
        from tabpy.tabpy_server.access import first_user
        from tabpy.tabpy_server.metrics import files
        from tabpy.tabpy_server.processes.prefork_state import PreforkState
        from tabpy.tabpy_server.web import server_info

        entered = first_user.resolve(
            chosen,
            os.environ,
            may_generate=watched,
            may_open=arguments.disable_auth_warning,
        )
        shared = PreforkState(chosen, server_info.read(chosen.state_path), entered.gate)
    except StartError:
        if fork_server is not None:
            fork_server.stop()
        raise
    files.prepare(chosen.state_path / f"metrics-{chosen.port}")
    if watched:
        print(welcome(chosen.port, entered.users, entered.password), flush=True)
    if fork_server is not None:
        from tabpy.tabpy_server.processes.gunicorn_server import Server

        Server(shared, fork_server, listener).run()
    else:
        from tabpy.tabpy_server.processes import single_process

        single_process.run(shared, listener, os.environ)


def check_state_path(chosen: settings.Settings) -> None:
    """Raises StartError for a folder that somebody named and that can't be written to."""
    if "TABPY_STATE_PATH" not in chosen.explicit:
        return
    try:
        chosen.state_path.mkdir(parents=True, exist_ok=True, mode=0o700)
        reason = "" if os.access(chosen.state_path, os.W_OK) else "it can't be written to"
    except OSError as problem:
        reason = problem.strerror or str(problem)
    if reason:
        raise StartError(f"TABPY_STATE_PATH is '{chosen.state_path}': {reason}.")


def bind(address: str, port: int) -> socket.socket:
    """The server's port, taken but not yet open. Raises StartError if it can't be had."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
    except OSError as problem:
        listener.close()
        raise StartError(
            f"TABPY_PORT is {port} (on TABPY_ADDRESS {address}): {problem.strerror}."
        ) from None
    return listener


def start_fork_server(chosen: settings.Settings) -> "ForkServerProcess":
    """As early as can be: its imports take longest. Then make this process unreadable to it."""
    from tabpy.tabpy_server.workers.fork_server.environment import script_environment
    from tabpy.tabpy_server.workers.fork_server.linux import PR_SET_DUMPABLE, prctl
    from tabpy.tabpy_server.workers.fork_server.process import ForkServerProcess

    # Scripts run as the same user: without this they could read our environment and memory in
    # /proc. Web processes inherit it.
    prctl(PR_SET_DUMPABLE, 0)
    return ForkServerProcess(
        chosen.preload, chosen.script_memory_mb, script_environment(os.environ)
    )


def welcome(port: int, users: Sequence[str], password: str | None) -> str:
    """Where to go and how to log in; `password` is the one made up for this run, if it was."""
    address = f"    open      http://localhost:{port}/"
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
    """How to call another of our commands from here: it may be in a folder off the PATH."""
    if shutil.which(name):
        return name
    beside = Path(sys.executable).parent / name
    return os.path.relpath(beside) if beside.is_relative_to(Path.cwd()) else str(beside)


if __name__ == "__main__":
    sys.exit(main())
