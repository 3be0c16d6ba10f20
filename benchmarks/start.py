"""How soon both servers answer, and how soon a notebook has both clients."""

import os
import subprocess
from pathlib import Path

from benchmarks.connection import request
from benchmarks.measure import first_right, info_is_right
from benchmarks.report import Goal, Row, Sample, alternate, row
from benchmarks.servers import Kind, running

STARTS = 7
IMPORTS = 15
# In a process of its own, whose interpreter has started: what is left is the import.
TIMED_IMPORT = """\
import time
wall, cpu = time.perf_counter(), time.process_time()
from tabpy.tabpy_tools.client import Client
print(time.perf_counter() - wall, time.process_time() - cpu)
"""


def start(ours: Kind, peer: Kind) -> list[Row]:
    """Each start is asked for /info first, as Tableau does, then for the value of a script."""

    def measure(kind: Kind) -> Sample:
        with running(kind) as server:
            info = request("GET", "/info", server.authorization)
            return {
                "info": server.wait_until(info, info_is_right),
                "evaluate": first_right(server),
            }

    alternate(ours, peer, 1, measure)  # fills the page cache and the byte code caches
    sides = alternate(ours, peer, STARTS, measure)
    return [
        row("start to first /info", "s", sides, "info", Goal(times=1 / 0.6)),
        row("start to first right /evaluate", "s", sides, "evaluate", Goal(times=1 / 0.8)),
    ]


def client_import(ours: Kind, peer: Kind) -> list[Row]:
    alternate(ours, peer, 1, _import)
    sides = alternate(ours, peer, IMPORTS, _import)
    return [
        row("import of the client", "s", sides, "wall", Goal(times=2)),
        row("... its processor time", "s", sides, "cpu"),
    ]


def _import(kind: Kind) -> Sample:
    """Import the client of one environment, as it is installed there."""
    environment = {name: value for name, value in os.environ.items() if name == "PATH"}
    told = subprocess.run(
        [kind.commands / "python", "-c", TIMED_IMPORT],
        cwd=Path(kind.password_file).parent,  # where no package lies that would be found first
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    wall, cpu = map(float, told.stdout.split())
    return {"wall": wall, "cpu": cpu}
