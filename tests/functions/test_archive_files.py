"""Archives as files: fetched once, whole, and gone when nobody uses them."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tabpy.tabpy_server.functions.archive_files import FORGET_AFTER, ArchiveFiles, remove_old_files
from tests.functions.building import sha256
from tests.functions.swapping import Swap, swaps

DATA = b"an archive"
NAME = sha256(DATA)


class Source:
    """What a store has, and how often it was asked for it."""

    def __init__(self, folder: Path) -> None:
        self.has = {NAME: DATA}
        self.fetched: list[str] = []
        self.files = ArchiveFiles(folder, self._fetch)

    async def _fetch(self, name: str, into: Path) -> None:
        self.fetched.append(name)
        await asyncio.sleep(0)
        self._write(name, into)

    def _write(self, name: str, into: Path) -> None:
        into.write_bytes(b"half of it")
        if name not in self.has:
            raise LookupError(name)
        into.write_bytes(self.has[name])

    def get(self, *, damaged: bool = False) -> Path:
        return asyncio.run(self.files.get(NAME, damaged=damaged))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "archives"


@pytest.fixture
def source(folder: Path) -> Source:
    return Source(folder)


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


def age(file: Path, seconds: float = FORGET_AFTER + 60) -> None:
    then = time.time() - seconds
    os.utime(file, (then, then))


def test_a_file_is_fetched_when_it_is_first_asked_for(source: Source, folder: Path) -> None:
    for _ in range(2):
        assert source.get() == folder / NAME
        assert (folder / NAME).read_bytes() == DATA
    assert source.fetched == [NAME]
    assert names(folder) == {NAME}


def test_who_asks_at_the_same_time_gets_the_same_file(source: Source, folder: Path) -> None:
    async def ask() -> list[Path]:
        return await asyncio.gather(*(source.files.get(NAME) for _ in range(5)))

    assert asyncio.run(ask()) == [folder / NAME] * 5
    assert source.fetched == [NAME]


@swaps
@pytest.mark.parametrize("damaged", [False, True])
def test_whatever_lies_in_a_files_place_is_replaced(
    source: Source, folder: Path, swap: Swap, damaged: bool
) -> None:
    swap(source.get())
    # Without a look at what is in it, another file is a file: the worker finds it damaged.
    is_file = (folder / NAME).is_file() and not (folder / NAME).is_symlink()
    assert source.get(damaged=damaged or is_file) == folder / NAME
    assert (folder / NAME).read_bytes() == DATA
    assert not (folder / NAME).is_symlink()


def test_an_archive_that_cannot_be_had_leaves_nothing(source: Source, folder: Path) -> None:
    source.has.clear()
    with pytest.raises(LookupError):
        source.get()
    assert names(folder) == set()
    source.has[NAME] = DATA
    assert source.get().read_bytes() == DATA


@pytest.mark.parametrize("harm", [Path.unlink, lambda file: file.write_bytes(DATA[:-1])])
def test_a_file_that_somebody_found_damaged_is_fetched_again(
    source: Source, folder: Path, harm: Callable[[Path], object]
) -> None:
    harm(source.get())
    assert source.get(damaged=True).read_bytes() == DATA
    assert source.fetched == [NAME, NAME]
    assert names(folder) == {NAME}


def test_a_file_that_is_whole_stays_whatever_is_said_of_it(source: Source) -> None:
    before = source.get().stat().st_ino
    assert source.get(damaged=True).stat().st_ino == before
    assert source.fetched == [NAME]


def test_no_lock_outlives_those_who_wait_for_it(source: Source) -> None:
    source.get()
    assert len(source.files._locks) == 0


# --- removing ---


def remove(source: Source, *used: str) -> None:
    asyncio.run(source.files.remove_unused(used))


def test_an_unused_file_is_removed_once_it_is_old(source: Source, folder: Path) -> None:
    file = source.get()
    remove(source)
    assert file.exists(), "it may have been deployed just now"
    age(file)
    remove(source, NAME)
    assert file.exists(), "it is used"
    remove(source)
    assert names(folder) == set()


def test_what_somebody_asks_for_is_young_again(source: Source) -> None:
    file = source.get()
    age(file)
    source.get()
    remove(source)
    assert file.exists()


def test_half_a_file_of_a_killed_server_goes_too(source: Source, folder: Path) -> None:
    source.get()
    (folder / "tmp_half").touch()
    age(folder / "tmp_half")
    remove(source, NAME)
    assert names(folder) == {NAME}


def test_no_folder_is_nothing_to_remove(folder: Path) -> None:
    remove_old_files(folder)
    folder.touch()
    remove_old_files(folder)


def test_what_cannot_be_removed_keeps_nothing_else(folder: Path) -> None:
    for each in ("a folder", "z folder"):
        (folder / each).mkdir(parents=True)
        age(folder / each)
    (folder / "file").touch()
    age(folder / "file")
    remove_old_files(folder)
    assert names(folder) == {"a folder", "z folder"}
