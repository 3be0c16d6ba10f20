"""What nobody uses any more is removed while the server runs, not only when it starts."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tabpy.tabpy_server.functions import tidy as tidying
from tabpy.tabpy_server.functions.catalog import Catalog
from tabpy.tabpy_server.functions.store.store import Store
from tabpy.tabpy_server.functions.tidy import keep_tidy, tidy
from tests.functions.building import add_model, catalog_of, put


@pytest.fixture
def catalog(store: Store, tmp_path: Path) -> Catalog:
    return catalog_of(lambda: store, tmp_path / "archives")


@pytest.fixture
def incoming(tmp_path: Path) -> Path:
    folder = tmp_path / "incoming"
    folder.mkdir()
    return folder


EVENTS: dict[str, Callable[[Store, Path], object]] = {
    "removed": lambda store, _: store.delete("f"),
    "replaced": lambda store, folder: store.replace("f", {}, put(store, folder, b"3")),
    "rolled back": lambda store, _: store.roll_back("f", 1),
}


@pytest.mark.parametrize("event", EVENTS)
def test_the_file_of_what_serves_no_more_goes_and_no_other(
    catalog: Catalog, incoming: Path, store: Store, tmp_path: Path, event: str
) -> None:
    add_model(store, tmp_path, "f", b"1")
    add_model(store, tmp_path, "g", b"of g")
    store.replace("f", {}, put(store, tmp_path, b"2"))

    async def serve() -> tuple[list[bool], list[bool]]:
        files = [Path((await catalog.reference(name)).path) for name in ("f", "g")]
        for file in files:
            os.utime(file, (0, 0))
        await tidy(catalog, incoming)
        before = are_there(files)
        await catalog.change(lambda store: EVENTS[event](store, tmp_path))
        await tidy(catalog, incoming)
        return before, are_there(files)

    assert asyncio.run(serve()) == ([True, True], [False, True])


def are_there(files: list[Path]) -> list[bool]:
    return [each.exists() for each in files]


def test_what_a_killed_server_had_taken_in_goes_once_it_is_old(
    catalog: Catalog, incoming: Path
) -> None:
    (incoming / "young").touch()
    (incoming / "old").touch()
    os.utime(incoming / "old", (0, 0))
    asyncio.run(tidy(catalog, incoming))
    assert [each.name for each in incoming.iterdir()] == ["young"]


def test_a_store_that_is_away_keeps_nothing_else_from_being_removed(
    incoming: Path, tmp_path: Path
) -> None:
    def open_store() -> Store:
        raise OSError("away")

    (incoming / "old").touch()
    os.utime(incoming / "old", (0, 0))
    asyncio.run(tidy(catalog_of(open_store, tmp_path / "archives"), incoming))
    assert list(incoming.iterdir()) == []


def test_it_is_done_again_and_again_once_the_start_is_over(
    catalog: Catalog, incoming: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tidying, "TIDY_INTERVAL", 0)
    looks: list[Path] = []

    async def serve() -> None:
        thrice = asyncio.Event()

        async def look(_: Catalog, folder: Path) -> None:
            looks.append(folder)
            if len(looks) == 3:
                thrice.set()

        monkeypatch.setattr(tidying, "tidy", look)
        catalog.settled.clear()
        keeping = asyncio.create_task(keep_tidy(catalog, incoming))
        await asyncio.sleep(0)
        assert looks == []
        catalog.settled.set()
        await asyncio.wait_for(thrice.wait(), 10)
        keeping.cancel()

    asyncio.run(serve())
    assert set(looks) == {incoming}
