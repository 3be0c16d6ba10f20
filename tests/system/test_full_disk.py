"""A deployment that finds no room is refused in words, and leaves nothing behind."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tabpy.tabpy_server.functions.store.reasons import FULL_STATE
from tests.deploying import deploy, redeploy
from tests.running import Server, until

MB = 1 << 20
FULL = (
    507,
    "The disk is full.",
    f"{FULL_STATE} Nothing was stored, and what was deployed before serves.",
)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root can mount a small disk, on Linux, and not in every container")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("size", [12 * MB, 5 * MB], ids=["the upload", "the store"])
def test_a_deployment_that_finds_no_room(
    start: Callable[..., Server], small_disk: Path, size: int
) -> None:
    server = start(
        {
            "TABPY_STATE_PATH": str(small_disk / "state"),
            "TABPY_MODELS_PATH": str(small_disk / "no models"),
            "WEB_CONCURRENCY": "1",
            "TABPY_WORKERS": "1",
        }
    )
    assert deploy(server, "small", lambda: 1).status == 201
    large = os.urandom(size)
    assert deploy(server, "large", lambda: len(large)).error == FULL
    assert redeploy(server, "small", lambda: len(large)).error == FULL

    incoming = small_disk / "state" / "incoming"
    until(lambda: not list(incoming.iterdir()), "nothing half stored is left")
    assert set(server.request("GET", "/endpoints").json) == {"small"}
    assert server.query("small").json["response"] == 1
    assert server.query("small").json["version"] == 1
    assert server.log_lines("level=error", "error=DiskFullError", "status=507")
    assert "Traceback" not in server.log

    assert deploy(server, "another", lambda: 2).status == 201
    assert server.query("another").json["response"] == 2
