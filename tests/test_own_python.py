"""A process of ours starts whatever lies in the working folder: differences 5."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tabpy.tabpy_server import own_python
from tests.running import Server


def test_another_package_of_our_name_does_not_come_first(tmp_path: Path) -> None:
    # differences 5
    for file in ("tabpy/__init__.py", "tabpy/tabpy_server/__init__.py", "random.py", "json.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("raise SystemExit('of the working folder')")
    (tmp_path / "theirs.py").write_text(
        "import json, random, sys, tabpy\ndef main():\n    print(sys.argv[1:], tabpy.__file__)"
    )
    said = subprocess.run(
        own_python.command("theirs", "a", "b"),
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert said.stdout.startswith("['a', 'b'] " + str(own_python.PACKAGE))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """One whose working folder has what it must not import, started like `tabpy`."""
    (tmp_path / "tabpy").mkdir()
    for file in ("tabpy/__init__.py", "random.py", "numpy.py"):
        (tmp_path / file).write_text("raise ImportError('of the working folder')")
    (tmp_path / "rates.py").write_text("VAT = 19")
    running = Server(tmp_path, command=(sys.executable, "-P", "-m", "tabpy"))
    yield running
    running.kill()


def test_a_server_starts_and_serves_where_there_is_a_tabpy_of_somebodys(server: Server) -> None:
    # differences 5
    server.wait_until_ready()
    script = "import random, numpy, rates\nreturn [random.random() < 1, rates.VAT]"
    assert server.evaluate(script).json == [True, 19]
