"""Measures the coverage of every process: `make coverage` puts this folder on PYTHONPATH.

coverage.py's own way into subprocesses is a variable of the environment. It ends at the fork
server, whose environment is a short list of names, so that scripts find no secret there.
PYTHONPATH is on that list.
"""

import contextlib
import socket
import sys
from pathlib import Path
from typing import Any

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


class SavingSocket(socket.socket):
    """Saves before it waits for what comes: a worker is killed while it waits for a job."""

    def recv_into(self, *arguments: Any) -> int:
        with contextlib.suppress(Exception):
            measured.save()
        return super().recv_into(*arguments)


if any(argument.startswith(RUNS_WORKERS) for argument in sys.orig_argv):
    socket.socket = SavingSocket  # type: ignore[misc]
