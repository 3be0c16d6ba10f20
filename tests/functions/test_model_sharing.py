"""Large models that an owner calls are loaded once for all its workers, as many as fit."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from tabpy.tabpy_server.errors import NotLoadableError, StoreUnavailableError, TabPyError
from tabpy.tabpy_server.functions import model_sharing
from tabpy.tabpy_server.functions.catalog import Catalog
from tabpy.tabpy_server.functions.model_sharing import (
    WORTH_IT,
    ModelSharing,
    large_models,
    share_models,
)
from tabpy.tabpy_server.functions.store.endpoint import ArchiveInfo, Endpoint, EndpointMetadata
from tabpy.tabpy_server.functions.store.store import Store
from tabpy.tabpy_server.workers.pool.launchers import SpawnLauncher
from tabpy.tabpy_server.workers.pool.shelves import Shelves
from tabpy.tabpy_server.workers.protocol import Reference
from tests.functions.building import add_model, catalog_of, put, sha256

ROOM = 10 * WORTH_IT


def model(name: str, size: int, code: str = "") -> Endpoint:
    archive = ArchiveInfo(code or f"sha of {name}", size)
    return Endpoint(name, 1, EndpointMetadata(), archive, 0, 0)


ALIAS = Endpoint("alias", 1, EndpointMetadata("alias", target="f"), None, 0, 0)


@pytest.mark.parametrize(
    ("endpoints", "names"),
    [
        ([], []),
        ([ALIAS], []),
        ([model("small", WORTH_IT - 1), model("large", WORTH_IT)], ["large"]),
        ([model("a", WORTH_IT), model("b", 2 * WORTH_IT)], ["b", "a"]),
        ([model("b", WORTH_IT), model("a", WORTH_IT)], ["a", "b"]),
        ([model("b", WORTH_IT, "same"), model("a", WORTH_IT, "same")], ["a", "b"]),
        ([model("fits", ROOM)], ["fits"]),
        ([model("too large", ROOM + 1)], []),
        ([model("a", ROOM - WORTH_IT), model("b", 2 * WORTH_IT), model("c", WORTH_IT)], ["a", "c"]),
        ([model("a", 6 * WORTH_IT), model("b", 5 * WORTH_IT)], ["a"]),
    ],
)
def test_the_largest_that_fit_are_shared(endpoints: list[Endpoint], names: list[str]) -> None:
    found = large_models(endpoints, ROOM)
    assert list(found) == names
    assert set(found.values()) <= {each.archive.sha256 for each in endpoints if each.archive}


@pytest.fixture
def callers() -> Shelves:
    return Shelves(SpawnLauncher([], 100.0, {}), by_owner=True)


@pytest.fixture
def catalog(store: Store, tmp_path: Path) -> Catalog:
    return catalog_of(lambda: store, tmp_path / "archives")


def data(text: str) -> bytes:
    return text.encode().ljust(WORTH_IT)


async def add(catalog: Catalog, folder: Path, *names: str) -> None:
    """Deploy large models, each with an archive of its own."""

    def deploy(store: Store) -> None:
        for name in names:
            add_model(store, folder, name, data(name))

    await catalog.change(deploy)


def test_what_an_owner_calls_is_shared_in_the_version_that_serves(
    catalog: Catalog, callers: Shelves, tmp_path: Path
) -> None:
    async def serve() -> None:
        sharing = ModelSharing(catalog, callers, 10)
        await add(catalog, tmp_path, "f", "g")
        await catalog.change(lambda store: add_model(store, tmp_path, "small", b"small"))
        await sharing.look()
        assert callers.called == {}, "nobody calls anything"
        for owner, name in [("anna", "f"), ("anna", "small"), ("bob", "small"), ("carl", "g")]:
            callers.note(owner, name)
        await sharing.look()
        shared = {owner: dict(callers.models(owner)) for owner in ("anna", "bob", "carl")}
        assert shared == {
            "anna": {"f": sha256(data("f"))},
            "bob": {},
            "carl": {"g": sha256(data("g"))},
        }
        callers.note("anna", "g")
        await sharing.look()
        assert callers.models("anna").keys() == {"f", "g"}
        await catalog.change(lambda store: store.replace("f", {}, put(store, tmp_path, data("2"))))
        await sharing.look()
        assert callers.models("anna")["f"] == sha256(data("2"))
        await catalog.change(lambda store: store.delete("f"))
        await sharing.look()
        assert callers.models("anna").keys() == {"g"}
        assert "f" not in callers.called["anna"], "another of that name is to be called first"

    asyncio.run(serve())


def test_nothing_is_put_anew_while_nothing_changes(
    catalog: Catalog, callers: Shelves, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    puts: list[str | None] = []
    real = callers.put

    def put_and_count(owner: str | None, references: Sequence[Reference]) -> None:
        puts.append(owner)
        real(owner, references)

    monkeypatch.setattr(callers, "put", put_and_count)

    async def serve() -> None:
        await catalog.change(lambda store: add_model(store, tmp_path, "f", data("1")))
        sharing = ModelSharing(catalog, callers, 10)
        for owner in ("anna", "bob", "bob"):
            callers.note(owner, "f")
            await sharing.look()
        await catalog.change(lambda store: store.change("f", {"description": "new"}))
        await sharing.look()
        assert puts == ["anna", "bob"]

    asyncio.run(serve())


def test_a_setting_in_megabytes_is_the_room(
    catalog: Catalog, callers: Shelves, tmp_path: Path
) -> None:
    async def serve() -> None:
        await catalog.change(lambda store: add_model(store, tmp_path, "f", data("1")))
        callers.note("anna", "f")
        await ModelSharing(catalog, callers, 0.9).look()
        assert callers.models("anna") == {}
        await ModelSharing(catalog, callers, 1).look()
        assert callers.models("anna").keys() == {"f"}

    asyncio.run(serve())


def test_a_model_that_is_not_whole_keeps_out_no_other(
    catalog: Catalog, callers: Shelves, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = catalog.reference

    async def reference(name: str, *, damaged: str = "") -> Reference:
        if name == "bad":
            raise NotLoadableError(name, "Its archive is damaged.")
        return await find(name, damaged=damaged)

    monkeypatch.setattr(catalog, "reference", reference)

    async def serve() -> None:
        for name in ("bad", "good"):
            await add(catalog, tmp_path, name)
            callers.note("anna", name)
        await ModelSharing(catalog, callers, 10).look()
        assert callers.models("anna").keys() == {"good"}

    asyncio.run(serve())


def test_after_a_failure_it_is_tried_again(
    catalog: Catalog, callers: Shelves, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_sharing, "LOOK_INTERVAL", 0)
    monkeypatch.setattr(model_sharing, "RETRY_AFTER", 0)
    problems: list[TabPyError] = [StoreUnavailableError(), StoreUnavailableError()]
    find = catalog.reference

    async def reference(name: str, *, damaged: str = "") -> Reference:
        if problems:
            raise problems.pop()
        return await find(name, damaged=damaged)

    monkeypatch.setattr(catalog, "reference", reference)

    async def serve() -> None:
        await catalog.change(lambda store: add_model(store, tmp_path, "f", data("1")))
        callers.note("anna", "f")
        sharing = asyncio.create_task(share_models(catalog, callers, 10))
        while not callers.models("anna"):
            assert not sharing.done()
            await asyncio.sleep(0)
        sharing.cancel()

    asyncio.run(serve())
    assert problems == []
