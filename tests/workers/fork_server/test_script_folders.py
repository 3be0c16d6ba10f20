"""Workers' temporary folders go, whatever scripts left in them, and nothing else does."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tabpy.tabpy_server.workers.fork_server import script_folders
from tabpy.tabpy_server.workers.fork_server.script_folders import PREFIX, ScriptFolders, remove

DEEP = 3000  # levels: a path of 6000 bytes, more than any call takes


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    remove(tmp_path)  # pytest can't remove what is very deep


def dig(folder: Path, levels: int) -> None:
    """Make folders in folders, with a file in the last one."""
    at = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=at)
        inner = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=at))
    os.close(at)


# --- removing ---


def test_folders_of_any_depth_are_removed(temporary: Path) -> None:
    folder = temporary / "deep"
    folder.mkdir()
    dig(folder, DEEP)
    remove(folder)
    assert not folder.exists()


def test_many_folders_beside_each_other_are_removed(temporary: Path) -> None:
    for name in ("a/b/c", "a/b2/c", "a2/b/c", "a2/b"):
        (temporary / "wide" / name).mkdir(parents=True, exist_ok=True)
        (temporary / "wide" / name / "file").touch()
    remove(temporary / "wide")
    assert not (temporary / "wide").exists()


def test_folders_that_nobody_may_open_are_removed(temporary: Path) -> None:
    inner = temporary / "shut/inner/innermost"
    inner.mkdir(parents=True)
    (inner / "file").touch(mode=0)
    for each in (inner, inner.parent, inner.parent.parent):
        each.chmod(0)
    remove(temporary / "shut")
    assert not (temporary / "shut").exists()


def test_what_is_no_ordinary_file_is_removed(temporary: Path) -> None:
    (temporary / "odd").mkdir()
    os.mkfifo(temporary / "odd/fifo")
    (temporary / "odd/dangling").symlink_to("nowhere")
    (temporary / "odd" / "newline\n").touch()
    remove(temporary / "odd")
    assert not (temporary / "odd").exists()


def test_links_are_removed_and_what_they_point_to_stays(temporary: Path) -> None:
    outside = temporary / "outside"
    outside.mkdir(mode=0o750)
    (outside / "file").touch()
    (temporary / "inside/deeper").mkdir(parents=True)
    (temporary / "inside/link").symlink_to(outside)
    (temporary / "inside/deeper/link").symlink_to(outside)
    (temporary / "inside/to-a-file").symlink_to(outside / "file")
    remove(temporary / "inside")
    assert not (temporary / "inside").exists()
    assert (outside / "file").exists()
    assert outside.stat().st_mode & 0o777 == 0o750


def test_a_folder_that_became_a_link_is_left_alone(temporary: Path) -> None:
    (temporary / "outside").mkdir()
    (temporary / "outside/file").touch()
    (temporary / "link").symlink_to("outside")
    remove(temporary / "link")
    assert (temporary / "outside/file").exists()


def test_a_folder_swapped_for_a_link_meanwhile_is_not_entered(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script's processes may outlive it for a moment."""
    outside, inside = temporary / "outside", temporary / "inside"
    (inside / "folder").mkdir(parents=True)
    outside.mkdir()
    (outside / "file").touch()
    unlinked = script_folders._unlinked

    def swap(name: str, folder: int) -> bool:
        was = unlinked(name, folder)
        if name == "folder" and not was:
            (inside / "folder").rmdir()
            (inside / "folder").symlink_to(outside)
        return was

    monkeypatch.setattr(script_folders, "_unlinked", swap)
    remove(inside)
    assert (outside / "file").exists()


def test_what_is_not_there_is_no_error(temporary: Path) -> None:
    remove(temporary / "gone")
    (temporary / "file").touch()
    remove(temporary / "file")
    assert (temporary / "file").exists()


def test_no_descriptor_is_left_open(temporary: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    (temporary / "a/b/c").mkdir(parents=True)
    remove(temporary / "a")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


# --- the folder for all workers ---


@pytest.fixture
def ended() -> int:
    """The pid of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_server_makes_one_that_is_its_own(temporary: Path) -> None:
    root, another = script_folders.make_root(), script_folders.make_root()
    assert root != another
    assert root.parent == temporary
    assert root.name.startswith(f"{PREFIX}{os.getpid()}-")
    assert root.stat().st_mode & 0o777 == 0o700
    assert root.exists()  # the second one didn't take it for a dead server's


def test_those_of_killed_servers_are_removed(temporary: Path, ended: int) -> None:
    left = temporary / f"{PREFIX}{ended}-abc"
    (left / "server/worker-7").mkdir(parents=True)
    (left / "server/worker-7/file").touch()
    script_folders.make_root()
    assert not left.exists()


def test_those_of_running_servers_and_what_is_no_servers_stay(temporary: Path, ended: int) -> None:
    stay = [f"{PREFIX}{os.getppid()}-abc", f"{PREFIX}1-abc", f"tabpy-{ended}-abc", "other"]
    for name in stay:
        (temporary / name).mkdir()
    script_folders.make_root()
    assert set(stay) < {each.name for each in temporary.iterdir()}


def test_those_of_other_users_stay(
    temporary: Path, ended: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = temporary / f"{PREFIX}{ended}-abc"
    theirs.mkdir()
    monkeypatch.setattr(os, "getuid", lambda: theirs.stat().st_uid + 1)
    script_folders.make_root()
    assert theirs.exists()


def test_a_link_by_that_name_opens_nothing(temporary: Path, ended: int) -> None:
    """Anyone may put one into /tmp."""
    (temporary / "outside").mkdir()
    (temporary / "outside/file").touch()
    (temporary / f"{PREFIX}{ended}-abc").symlink_to("outside")
    script_folders.make_root()
    assert (temporary / "outside/file").exists()


# --- the folders of workers ---


@pytest.fixture
def folders(temporary: Path) -> ScriptFolders:
    return ScriptFolders(str(temporary), "server")


def test_each_worker_has_one_of_its_own(folders: ScriptFolders, temporary: Path) -> None:
    one, two = folders.make(7), folders.make(8)
    assert [one, two] == [f"{temporary}/server/worker-7", f"{temporary}/server/worker-8"]
    assert Path(one).stat().st_mode & 0o777 == 0o700
    assert Path(folders.make_root()) == Path(one).parent


def test_an_empty_one_is_gone_at_once(folders: ScriptFolders) -> None:
    folder = folders.make(7)
    assert folders.discard(7) is None
    assert not Path(folder).exists()


def test_a_full_one_makes_way_for_the_next_worker_of_that_number(folders: ScriptFolders) -> None:
    aside = []
    for _ in range(2):
        folder = Path(folders.make(7))
        (folder / "file").touch()
        aside.append(folders.discard(7))
        assert not folder.exists()
    one, two = aside
    assert one is not None
    assert two is not None
    assert one != two
    assert (one / "file").exists()
    assert (two / "file").exists()
    remove(one)
    assert not one.exists()


def test_one_that_is_not_there_needs_nothing(folders: ScriptFolders) -> None:
    assert folders.discard(7) is None
    folders.make(8)
    assert folders.discard(7) is None


def test_at_the_end_all_go(folders: ScriptFolders, temporary: Path) -> None:
    (Path(folders.make(7)) / "file").touch()
    folders.remove_all()
    assert list(temporary.iterdir()) == []
    folders.remove_all()


def test_where_nothing_is_confined_there_are_none(temporary: Path) -> None:
    none = ScriptFolders("", "server")
    assert (none.make_root(), none.make(7), none.discard(7)) == ("", "", None)
    none.remove_all()
    assert list(temporary.iterdir()) == []
