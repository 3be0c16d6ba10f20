"""Where each web process keeps what it counts."""

import errno
import os
from pathlib import Path

import pytest

from tabpy.tabpy_server.metrics import files
from tabpy.tabpy_server.metrics.files import FOLDER, KINDS, SIZE


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "state" / "metrics"
    monkeypatch.setenv(FOLDER, str(made))  # and restore it, whatever `prepare` does
    return made


@pytest.fixture
def full_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def no_room(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    files.prepare(folder)
    monkeypatch.setattr(os, "posix_fallocate", no_room)
    return folder


def test_what_an_earlier_server_has_counted_is_gone(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "counter_1.db").touch()
    files.prepare(folder)
    assert os.environ[FOLDER] == str(folder)
    assert list(folder.iterdir()) == []
    assert folder.stat().st_mode & 0o077 == 0


@pytest.fixture
def taken(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that can't be had, since it would lie in a file; the temporary ones are in `tmp`."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    (tmp_path / "state").touch()
    return folder


def test_a_folder_that_cannot_be_had_is_replaced_by_a_temporary_one(
    tmp_path: Path, taken: Path
) -> None:
    files.prepare(taken)
    used = Path(os.environ[FOLDER])
    assert used.parent == tmp_path / "tmp"
    assert used.stat().st_mode & 0o077 == 0


def test_the_next_start_removes_the_temporary_one(tmp_path: Path, taken: Path) -> None:
    for _ in range(2):
        files.prepare(taken)
        (Path(os.environ[FOLDER]) / "counter_1.db").touch()
    files.prepare(taken)
    [left] = (tmp_path / "tmp").iterdir()
    assert list(left.iterdir()) == []
    (tmp_path / "state").unlink()
    files.prepare(taken)  # which can be had now
    assert os.environ[FOLDER] == str(taken)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_servers_at_other_ports_keep_theirs(tmp_path: Path, taken: Path) -> None:
    files.prepare(taken)
    files.prepare(taken.with_name("metrics-of-another"))
    assert len(list((tmp_path / "tmp").iterdir())) == 2


def test_what_somebody_else_put_in_its_place_is_left_alone(tmp_path: Path, taken: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "theirs").touch()
    files.prepare(taken)
    Path(os.environ[FOLDER]).rmdir()
    Path(os.environ[FOLDER]).symlink_to(elsewhere)
    files.prepare(taken)
    assert Path(os.environ[FOLDER]).parent == tmp_path / "tmp"
    assert not Path(os.environ[FOLDER]).is_symlink()
    assert (elsewhere / "theirs").exists()


def test_the_files_have_their_room_on_the_disk_before_anything_is_counted(folder: Path) -> None:
    files.prepare(folder)
    files.reserve()
    assert {each.name for each in folder.iterdir()} == {
        f"{kind}_{os.getpid()}.db" for kind in KINDS
    }
    assert all(each.stat().st_blocks * 512 >= SIZE for each in folder.iterdir())


def test_counts_of_a_process_with_the_same_number_are_kept(folder: Path) -> None:
    files.prepare(folder)
    earlier = folder / f"counter_{os.getpid()}.db"
    earlier.write_bytes(b"counts")
    files.reserve()
    assert earlier.read_bytes() == b"counts"


def test_a_full_disk_leaves_no_file_that_others_would_read(full_disk: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        files.reserve()
    assert list(full_disk.iterdir()) == []
