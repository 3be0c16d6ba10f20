"""Fork servers, real processes."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tabpy.tabpy_server.workers.fork_server.confining import NOT_CONFINED
from tabpy.tabpy_server.workers.fork_server.process import ForkServerProcess
from tests.workers.fork_server.asking import Start

SHELVES_MB = 50.0


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a fork server; modules of the test's folder can be preloaded."""
    started: list[ForkServerProcess] = []

    def start_one(*modules: str) -> ForkServerProcess:
        path = os.pathsep.join([str(tmp_path), str(Path.cwd())])
        started.append(
            ForkServerProcess(
                modules, 100.0, SHELVES_MB, {**os.environ, "PYTHONPATH": path}, NOT_CONFINED
            )
        )
        return started[-1]

    yield start_one
    for each in started:
        each.stop()
