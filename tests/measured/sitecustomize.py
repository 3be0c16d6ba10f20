"""Measures the coverage of every process: `make coverage` puts this folder on PYTHONPATH.

coverage.py's own way into subprocesses is a variable of the environment. It ends at the fork
server, whose environment is a short list of names, so that scripts find no secret there.
PYTHONPATH is on that list.
"""

import contextlib
import os
import posix
import socket
import sys
from pathlib import Path
from typing import Any, NoReturn

import coverage

ROOT = Path(__file__).parents[2]
RUNS_WORKERS = "tabpy.tabpy_server.workers."  # how the modules begin that `python -m` starts

measured = coverage.Coverage(
    data_file=str(ROOT / "build" / "coverage" / "data"),  # processes have folders of their own
    data_suffix=True,  # a file for each process
    auto_data=True,  # saved when the process ends
    config_file=str(ROOT / "pyproject.toml"),
)
measured.start()


end_process = os._exit


def save() -> None:
    with contextlib.suppress(Exception):  # a script may have closed or limited anything
        measured.save()


def save_and_exit(status: int) -> NoReturn:
    """os._exit, which is how a forked process ends."""
    save()
    end_process(status)


# coverage.py has this as `patch = ["_exit"]`, but what that puts there can't be pickled.
save_and_exit.__module__ = "posix"
save_and_exit.__name__ = save_and_exit.__qualname__ = "_exit"
os._exit = posix._exit = save_and_exit


class SavingSocket(socket.socket):
    """Saves before it sends a reply or waits for a job: after that, a worker is killed."""

    def sendall(self, *arguments: Any) -> None:
        save()
        super().sendall(*arguments)

    def recv_into(self, *arguments: Any) -> int:
        save()
        return super().recv_into(*arguments)


if any(argument.startswith(RUNS_WORKERS) for argument in sys.orig_argv):
    socket.socket = SavingSocket  # type: ignore[misc]
