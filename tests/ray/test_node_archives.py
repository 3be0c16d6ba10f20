"""Archives as files on a node; no cluster is needed for that."""

import os
import tempfile
from pathlib import Path

import pytest

from tabpy.tabpy_server.workers.ray.node_archives import FORGET_AFTER, NodeArchives


@pytest.fixture
def archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NodeArchives:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return NodeArchives()


def never() -> bytes:
    raise AssertionError("it is there already")


def test_an_archive_is_fetched_once(archives: NodeArchives) -> None:
    archives.keep("5ha", lambda: b"archive", anew=False)
    archives.keep("5ha", never, anew=False)
    assert archives.path("5ha").read_bytes() == b"archive"


def test_one_that_is_not_whole_is_fetched_anew(archives: NodeArchives) -> None:
    archives.keep("5ha", lambda: b"half", anew=False)
    archives.keep("5ha", lambda: b"whole", anew=True)
    assert archives.path("5ha").read_bytes() == b"whole"


def test_what_cannot_be_fetched_leaves_nothing(archives: NodeArchives) -> None:
    with pytest.raises(AssertionError):
        archives.keep("5ha", never, anew=False)
    assert list(archives.folder.iterdir()) == []


def test_what_nobody_has_used_for_long_goes_at_the_next_start(archives: NodeArchives) -> None:
    for name in ("old", "new"):
        archives.keep(name, lambda: b"archive", anew=False)
    long_ago = archives.path("old").stat().st_mtime - FORGET_AFTER - 1
    os.utime(archives.path("old"), (long_ago, long_ago))
    NodeArchives()
    assert [file.name for file in archives.folder.iterdir()] == ["new"]


def test_a_folder_that_others_may_change_is_not_used(archives: NodeArchives) -> None:
    archives.folder.chmod(0o777)
    with pytest.raises(PermissionError):
        NodeArchives()
