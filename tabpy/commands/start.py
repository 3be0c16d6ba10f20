"""The start of the server: its arguments, and its steps in their order."""

import argparse
import logging
import os
import socket
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tabpy import __version__
from tabpy.commands import welcome
from tabpy.commands.console import write_anything
from tabpy.commands.interrupt import leave_at_ctrl_c
from tabpy.tabpy_server import loaded_settings, log_format
from tabpy.tabpy_server.errors import StartError
from tabpy.tabpy_server.process_memory import share_arenas
from tabpy.tabpy_server.processes import state_path
from tabpy.tabpy_server.processes.listener import bind
from tabpy.tabpy_server.script_rules import OFF, REQUIRED, InForce, ScriptRules, rules_of
from tabpy.tabpy_server.setting_values import port
from tabpy.tabpy_server.settings import Settings

if TYPE_CHECKING:
    from tabpy.tabpy_server.access.gate import Gate, OpenGate
    from tabpy.tabpy_server.access.token_gate import TokenGate
    from tabpy.tabpy_server.processes.flight_process import FlightProcess
    from tabpy.tabpy_server.tls.served import ServedCertificate
    from tabpy.tabpy_server.workers.fork_server.process import ForkServerProcess

# tornado, gunicorn and the password hashes are imported below, while the fork server is already
# busy importing what scripts need.

logger = logging.getLogger("tabpy")

SYSTEMS = {"win32": "Windows", "darwin": "macOS"}
HERE = SYSTEMS.get(sys.platform, sys.platform)
NOT_LINUX = InForce(
    missing=(f"{HERE} can't confine scripts, nor hold them to TABPY_SCRIPT_MEMORY_MB",)
)


def main(argv: Sequence[str] | None) -> int:
    """Serve until stopped. Exit code 2 for anything that was set wrongly."""
    write_anything()
    arguments = parser().parse_args(argv)
    try:
        named = {} if arguments.port is None else {"TABPY_PORT": str(arguments.port)}
        loaded = loaded_settings.load(arguments.config, {**os.environ, **named})
        log_format.set_up(loaded.config_file, loaded.settings.log_level)
        for warning in loaded.warnings:
            logger.warning(warning)
        start(
            loaded.settings,
            rules_of(loaded.settings, loaded.config_file),
            may_generate=arguments.one_time_password or sys.stdin.isatty(),
            may_open=arguments.disable_auth_warning,
        )
    except StartError as error:
        print(f"tabpy: {error}", file=sys.stderr)
        return 2
    return 0


def parser() -> argparse.ArgumentParser:
    """Return what the command line may have."""
    made = argparse.ArgumentParser(prog="tabpy", description="Python inside Tableau.")
    made.add_argument("--version", action="version", version=f"TabPy {__version__}")
    made.add_argument("--config", metavar="FILE", help="settings; default: the packaged file")
    made.add_argument("--port", metavar="NUMBER", type=port, help="in TABPY_PORT's place")
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


def start(chosen: Settings, rules: ScriptRules, *, may_generate: bool, may_open: bool) -> None:
    """Take each step of the start in its order, then serve until stopped.

    `may_generate`: somebody is there to see a generated password. `may_open`: the server may run
    without one. `rules`: what scripts may touch. Raises StartError; neither that nor Ctrl-C leaves
    a process behind.
    """
    share_arenas()
    state_path.check(chosen)
    state_path.make_folders(chosen)
    listener = bind(chosen.address, chosen.port)
    fork_server = None
    if sys.platform == "linux":
        hide_from_scripts()
        fork_server = start_fork_server(chosen, rules)
        leave_at_ctrl_c(fork_server.stop)
    else:
        check_required(chosen, NOT_LINUX)
    try:
        serve(chosen, listener, fork_server, may_generate=may_generate, may_open=may_open)
    except StartError:
        if fork_server is not None:
            fork_server.stop()
        raise


def hide_from_scripts() -> None:
    """Make the memory and the environment of this process unreadable in /proc.

    Scripts run as the same user. The web processes, forked from this one, are hidden like it.
    """
    from tabpy.tabpy_server.workers.fork_server.linux import PR_SET_DUMPABLE, prctl

    prctl(PR_SET_DUMPABLE, 0)


def check_required(chosen: Settings, parts: InForce) -> None:
    """Raise StartError if somebody requires more than this machine has."""
    if chosen.script_confinement == REQUIRED and not parts.complete:
        raise StartError(
            f"TABPY_SCRIPT_CONFINEMENT is 'required', and {'; '.join(parts.missing)}. Set it to "
            "'auto' to start with what this machine has, or run the server on Linux 6.12 or later."
        )


def start_fork_server(chosen: Settings, rules: ScriptRules) -> "ForkServerProcess":
    """Start the process that forks workers, as early as can be: its imports take longest.

    Raises StartError if this machine can't keep scripts to the `rules`, and has to.
    """
    from tabpy.tabpy_server.workers.fork_server import confining
    from tabpy.tabpy_server.workers.fork_server.process import ForkServerProcess

    environment = environment_of_scripts(chosen)
    try:
        prepared = confining.prepare(rules)
    except OSError as error:
        raise StartError(f"There is no folder for temporary files: {error}") from None
    check_required(chosen, prepared.parts)
    preload = () if chosen.uses_ray else chosen.preload
    return ForkServerProcess(
        preload, chosen.script_memory_mb, chosen.model_memory_mb, environment, prepared
    )


def environment_of_scripts(chosen: Settings) -> dict[str, str]:
    """Return what scripts find in `os.environ`, and log what they don't, though it is named."""
    from tabpy.tabpy_server.workers.fork_server.environment import script_environment

    variables, withheld = script_environment(os.environ, chosen)
    if withheld:
        logger.warning(
            "TABPY_SCRIPT_ENV: scripts don't get %s, which has a secret of this server's in it.",
            ", ".join(withheld),
        )
    return variables


def log_confinement(chosen: Settings, parts: InForce) -> None:
    """Say in one line what keeps scripts to their rules."""
    fields = {
        "setting": chosen.script_confinement,
        "landlock": parts.landlock,
        "seccomp": parts.seccomp,
        "processes": parts.processes,
    }
    level = logging.WARNING if parts.missing and chosen.script_confinement != OFF else logging.INFO
    message = "; ".join(("confinement", *parts.missing))
    logger.log(level, message, extra={"fields": fields})


def serve(
    chosen: Settings,
    listener: socket.socket,
    fork_server: "ForkServerProcess | None",
    *,
    may_generate: bool,
    may_open: bool,
) -> None:
    """Decide who may enter, say where the server is, and serve until stopped.

    Without a fork server there is one web process, which starts its workers itself.
    """
    from tabpy.tabpy_server.access import first_user
    from tabpy.tabpy_server.activity.board import Board
    from tabpy.tabpy_server.metrics import files
    from tabpy.tabpy_server.processes.prefork_state import PreforkState
    from tabpy.tabpy_server.tls.served import ServedCertificate
    from tabpy.tabpy_server.web import server_info

    # Read when the fork server is there already, which is never to see the key.
    certificate = ServedCertificate(chosen) if chosen.speaks_https else None
    parts = NOT_LINUX if fork_server is None else fork_server.parts
    sign_in = first_user.resolve(
        chosen,
        os.environ,
        may_generate=may_generate,
        may_open=may_open,
        confined=parts.complete,
    )
    service = server_info.read(chosen.tabpy_state_path)
    flight = (
        _start_flight(chosen, sign_in.gate, certificate, listener) if chosen.arrow_enable else None
    )
    board = Board(chosen.web_processes)
    state = PreforkState(chosen, service, sign_in.gate, parts, board, certificate, flight)
    files.prepare(chosen.state_path / f"metrics-{chosen.port}")
    if may_generate:
        address = f"{chosen.transfer_protocol}://localhost:{chosen.port}/"
        print(welcome.text(address, sign_in.users, sign_in.password), flush=True)
    if fork_server is not None:
        from tabpy.tabpy_server.processes.gunicorn_server import Server

        log_confinement(chosen, parts)
        try:
            Server(state, fork_server, listener).run()
        except StartError:
            if flight is not None:
                flight.stop()
            raise
    else:
        from tabpy.tabpy_server.processes import single_process

        log_confinement(chosen, parts)
        single_process.run(state, listener, environment_of_scripts(chosen))


def _start_flight(
    chosen: Settings,
    gate: "Gate | OpenGate | TokenGate",
    certificate: "ServedCertificate | None",
    listener: socket.socket,
) -> "FlightProcess":
    """Start the process that has Arrow tables. Raises StartError if its port can't be had."""
    from tabpy.tabpy_server.processes.flight_process import FlightProcess

    return FlightProcess(chosen, gate, certificate, [listener])
