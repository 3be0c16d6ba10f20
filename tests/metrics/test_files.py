"""Where each web process keeps what it counts."""

import asyncio
import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tabpy.tabpy_server.errors import RequestError
from tabpy.tabpy_server.metrics import files, prometheus
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


def test_a_folder_that_cannot_be_had_is_replaced_by_a_temporary_one(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "state").touch()
    files.prepare(folder)
    assert Path(os.environ[FOLDER]).is_dir()
    assert Path(os.environ[FOLDER]).parent == tmp_path


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


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_is_an_answer() -> None:
    anything: Any = None
    with pytest.raises(RequestError) as refused:
        asyncio.run(prometheus.text(anything))
    assert (refused.value.status, refused.value.info) == (
        503,
        "They can't be kept: No space left on device.",
    )


@pytest.mark.usefixtures("full_disk")
def test_while_the_disk_is_full_counts_do_not_pile_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(prometheus, "PUBLISH_INTERVAL", 0.001)

    async def until_taken_three_times() -> None:
        taken = asyncio.Semaphore(0)
        context: Any = SimpleNamespace(counters=SimpleNamespace(take=taken.release))
        publishing = asyncio.create_task(prometheus.publish(context))
        for _ in range(3):
            await taken.acquire()
        publishing.cancel()
        await asyncio.wait((publishing,))

    asyncio.run(asyncio.wait_for(until_taken_three_times(), 10))
    assert [each.message for each in caplog.records if each.name == prometheus.__name__] == [
        "Nothing is counted for /metrics: No space left on device."
    ]
