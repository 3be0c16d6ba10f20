"""Ctrl-C while the server starts, as a terminal sends it: to every process in front."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.running import Server, is_dead, until

# A module that says that its import has begun, and then takes as long as it likes.
ENDLESS = """
import os, signal, sys
if {when}:
    os.close(os.open({reached!r}, os.O_CREAT))
    signal.pause()
"""


@pytest.mark.parametrize(
    ("module", "when"),
    [
        ("argparse", "True"),  # the command's own imports
        ("gunicorn", "True"),  # those that it leaves until the fork server has been started
        ("sitecustomize", "any('fork_server' in each for each in sys.orig_argv)"),  # that starts
    ],
)
def test_ctrl_c_is_one_quiet_exit_and_nothing_is_left(
    launch: Callable[..., Server], tmp_path: Path, module: str, when: str
) -> None:
    reached = tmp_path / "reached"
    (tmp_path / f"{module}.py").write_text(ENDLESS.format(when=when, reached=str(reached)))
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    server = launch({"PYTHONPATH": path, "TABPY_PRELOAD": "numpy"})
    until(reached.exists, "it has come that far")
    everybody = server.tree()
    os.killpg(server.process.pid, signal.SIGINT)
    assert server.end() == (130, "")
    until(lambda: all(map(is_dead, everybody)), "nothing is left")
