"""A working copy of an archive is damaged on the disk: the store has it whole."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploying import deploy
from tests.running import Server, until


def overwrite(file: Path) -> None:
    file.write_bytes(b"junk")


@pytest.mark.parametrize("damage", [overwrite, Path.unlink])
def test_a_damaged_copy_of_an_archive_is_fetched_again(
    start: Callable[..., Server], damage: Callable[[Path], None]
) -> None:
    server = start({"WEB_CONCURRENCY": "1", "TABPY_WORKERS": "1"})
    assert deploy(server, "adds", lambda x: x + 1).status == 201
    assert server.query("adds", 1).json["response"] == 2
    for file in (server.folder / "state" / "archives").iterdir():
        damage(file)
    for worker in server.workers():
        worker.kill()  # the next one has nothing loaded
    until(lambda: server.query("adds", 4).status == 200, "it is called again", seconds=5)
    assert server.query("adds", 4).json["response"] == 5
