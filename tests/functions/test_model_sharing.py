"""Large models that serve are loaded once for all workers, as many as fit."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from tabpy.tabpy_server.errors import StoreUnavailableError, TabPyError
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


class FakePreloader:
    """Stands in for the pool."""

    def __init__(self) -> None:
        self.asked: list[list[Reference]] = []

    def preload_models(self, references: Sequence[Reference]) -> None:
        self.asked.append(list(references))

    @property
    def names(self) -> list[list[str]]:
        return [[each.name for each in asked] for asked in self.asked]


@pytest.fixture
def preloader() -> FakePreloader:
    return FakePreloader()


@pytest.fixture
def catalog(store: Store, tmp_path: Path) -> Catalog:
    return catalog_of(lambda: store, tmp_path / "archives")


def data(text: str) -> bytes:
    return text.encode().ljust(WORTH_IT)


def test_workers_are_replaced_when_other_models_serve_and_only_then(
    catalog: Catalog, preloader: FakePreloader, tmp_path: Path
) -> None:
    async def serve() -> None:
        sharing = ModelSharing(catalog, preloader, 10)
        await sharing.look()
        assert preloader.names == []
        await catalog.change(lambda store: add_model(store, tmp_path, "f", data("1")))
        for _ in range(2):
            await sharing.look()
        assert preloader.names == [["f"]]
        await catalog.change(lambda store: store.change("f", {"description": "new"}))
        await catalog.change(lambda store: add_model(store, tmp_path, "small", b"small"))
        await sharing.look()
        assert preloader.names == [["f"]]
        await catalog.change(lambda store: store.replace("f", {}, put(store, tmp_path, data("2"))))
        await sharing.look()
        assert [each[0].sha256 for each in preloader.asked] == [
            sha256(data("1")),
            sha256(data("2")),
        ]
        await catalog.change(lambda store: store.delete("f"))
        await sharing.look()
        assert preloader.names == [["f"], ["f"], []]

    asyncio.run(serve())


def test_a_setting_in_megabytes_is_the_room(
    catalog: Catalog, preloader: FakePreloader, tmp_path: Path
) -> None:
    async def serve() -> None:
        await catalog.change(lambda store: add_model(store, tmp_path, "f", data("1")))
        await ModelSharing(catalog, preloader, 0.9).look()
        assert preloader.names == []
        await ModelSharing(catalog, preloader, 1).look()
        assert preloader.names == [["f"]]

    asyncio.run(serve())


def test_after_a_failure_it_is_tried_again(
    catalog: Catalog, preloader: FakePreloader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_sharing, "CHANGE_CHECK_INTERVAL", 0)
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
        sharing = asyncio.create_task(share_models(catalog, preloader, 10))
        while not preloader.asked:
            assert not sharing.done()
            await asyncio.sleep(0)
        sharing.cancel()

    asyncio.run(serve())
    assert (preloader.names, problems) == ([["f"]], [])
