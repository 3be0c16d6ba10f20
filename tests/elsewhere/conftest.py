"""Commands and servers as they are where there is no Linux.

On Linux Windows is imitated (`windows/sitecustomize.py`); on Windows and macOS, which the public
workflow has, these tests need no imitation.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.running import PASSWORD, PATIENCE, USER, Server, clean_environment

ROOT = Path(__file__).parents[2]
# What is printed and piped has the letters of Western Europe, as with most of Windows.
WESTERN = {"PYTHONUTF8": "0", "PYTHONIOENCODING": "cp1252"}
# On Linux no file has another letter than ASCII's, unless its encoding is named.
ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}

# A user whose password stands in an environment, which on Linux has the encoding of all else.
ANN, PLAIN = "ann", "not: real"

Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., Server]


def system() -> dict[str, str]:
    """What the environment has besides, to be somewhere else than on Linux."""
    path = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    imitation = {}
    if sys.platform == "linux":
        path.insert(0, str(Path(__file__).with_name("windows")))
        imitation = ASCII
    return {**imitation, **WESTERN, "PYTHONPATH": os.pathsep.join(filter(None, path))}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run one of our commands in a folder of its own."""

    def run_one(
        command: str, *arguments: str, piped: str = "", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", f"tabpy.commands.{command}", *arguments],
            cwd=tmp_path,
            env={**clean_environment(), **system(), **variables},
            input=piped,
            capture_output=True,
            text=True,
            encoding="cp1252",
            timeout=5 * PATIENCE,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run_one


@pytest.fixture(scope="module")
def start_one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start servers, which are killed after the last test of the module."""
    servers: list[Server] = []

    def start_one(settings: dict[str, str] | None = None, arguments: Sequence[str] = ()) -> Server:
        folder = tmp_path_factory.mktemp("server")
        settings = {"TABPY_WORKERS": "1", **system(), **(settings or {})}
        users = {USER: PASSWORD, ANN: PLAIN}
        servers.append(Server(folder, settings, arguments=arguments, users=users))
        return servers[-1].wait_until_ready()

    yield start_one
    for server in servers:
        server.kill()


@pytest.fixture(scope="module")
def server(start_one: Start) -> Server:
    """One for all tests of a module that leave it as they found it."""
    return start_one()
