"""An archive on this machine is taken from one folder, and removed once it's done with."""

import os
from pathlib import Path
from typing import Any

import pytest

from tabpy.tabpy_server.errors import (
    DrainingError,
    EndpointExistsError,
    InternalError,
    InvalidInputError,
    RefusedError,
    StoreUnavailableError,
)
from tabpy.tabpy_server.web.staged_archive import removing_staged, staged_archive
from tests.functions.swapping import Swap, swaps


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    folder = tmp_path / "uploads"
    folder.mkdir()
    return folder


def stage(folder: Path) -> str:
    folder.mkdir(parents=True)
    (folder / "pickle_archive").touch()
    return str(folder)


def test_an_archive_inside_the_destination_is_found(destination: Path) -> None:
    source = stage(destination / "endpoints" / "f" / "1")
    with staged_archive(source, destination) as archive:
        assert archive.path == Path(source, "pickle_archive")


@pytest.mark.parametrize("source", [None, 5, ["a"], "a\0b", "\ud800", "x" * 5000])
def test_what_is_no_path(destination: Path, source: Any) -> None:
    with pytest.raises(InvalidInputError, match="src_path is no"):
        staged_archive(source, destination)


def test_what_lies_elsewhere_or_is_not_there(destination: Path, tmp_path: Path) -> None:
    outside = stage(tmp_path / "outside")
    (destination / "link").symlink_to(outside)
    (destination / "pickle_archive").touch()
    for source in (outside, f"{destination}/link", f"{destination}/..", str(destination)):
        with pytest.raises(InvalidInputError, match="not inside the upload destination"):
            staged_archive(source, destination)
    with pytest.raises(InvalidInputError, match="no archive at src_path"):
        staged_archive(f"{destination}/nothing", destination)


@swaps
def test_what_is_no_file_is_refused_and_removed(destination: Path, swap: Swap) -> None:
    source = stage(destination / "folder")
    swap(Path(source, "pickle_archive"))
    if Path(source, "pickle_archive").is_file() and not Path(source, "pickle_archive").is_symlink():
        return  # another file is a file
    with (
        pytest.raises((InvalidInputError, RefusedError), match="archive"),
        removing_staged(source, destination),
    ):
        staged_archive(source, destination)
    is_there = os.path.lexists(Path(source, "pickle_archive"))
    assert not is_there


def test_a_folder_of_folders_is_never_removed(destination: Path) -> None:
    other = stage(destination / "endpoints" / "of another person")
    with (
        pytest.raises(InvalidInputError, match="no archive at src_path"),
        removing_staged(f"{destination}/endpoints", destination),
    ):
        staged_archive(f"{destination}/endpoints", destination)
    assert Path(other, "pickle_archive").exists()


def test_what_is_stored_is_removed(destination: Path) -> None:
    source = stage(destination / "f" / "1")
    with removing_staged(source, destination):
        assert Path(source).exists()
    assert not Path(source).exists()
    assert Path(source).parent.is_dir()


@pytest.mark.parametrize(
    "error", [RefusedError("a"), InvalidInputError("a"), EndpointExistsError("f")]
)
def test_what_is_refused_for_good_is_removed(destination: Path, error: Exception) -> None:
    source = stage(destination / "f")
    with pytest.raises(type(error)), removing_staged(source, destination):
        raise error
    assert not Path(source).exists()


@pytest.mark.parametrize(
    "error", [StoreUnavailableError(), DrainingError(), InternalError(), ZeroDivisionError()]
)
def test_what_may_be_sent_again_stays(destination: Path, error: Exception) -> None:
    source = stage(destination / "f")
    with pytest.raises(type(error)), removing_staged(source, destination):
        raise error
    assert Path(source).exists()


def test_nothing_outside_is_ever_removed(destination: Path, tmp_path: Path) -> None:
    outside = stage(tmp_path / "outside")
    (destination / "link").symlink_to(outside)
    for source in (outside, f"{destination}/link", f"{destination}/..", None, 5):
        with removing_staged(source, destination):
            pass
    assert Path(outside, "pickle_archive").exists()
    assert destination.is_dir()
