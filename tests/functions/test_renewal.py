"""Workers load a new version before it answers, whoever has deployed it."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tabpy.tabpy_server.functions import renewal as renewing
from tabpy.tabpy_server.functions.announcements import Announcements
from tabpy.tabpy_server.functions.catalog import Catalog
from tabpy.tabpy_server.functions.change_token import ChangeToken
from tabpy.tabpy_server.functions.deployer import Deployer
from tabpy.tabpy_server.functions.metadata import DeployRequest
from tabpy.tabpy_server.functions.model_sharing import WORTH_IT
from tabpy.tabpy_server.functions.renewal import Renewal
from tabpy.tabpy_server.functions.store.opened_archive import OpenedArchive
from tabpy.tabpy_server.functions.store.store import Store
from tabpy.tabpy_server.workers.protocol import Reference
from tests.functions.building import (
    FakeRenewer,
    FakeRunner,
    add_model,
    catalog_of,
    put,
    renewal_of,
    sha256,
)
from tests.running import PATIENCE

Write = Callable[[bytes], OpenedArchive]
OLD, NEW = b"old", b"new"
CALLED = {"f": {sha256(OLD)}}
REQUEST = DeployRequest("f", "model", {})


@pytest.fixture
def token() -> ChangeToken:
    return ChangeToken()


@pytest.fixture
def catalog(store: Store, tmp_path: Path, token: ChangeToken) -> Catalog:
    add_model(store, tmp_path, "f", OLD)
    return catalog_of(lambda: store, tmp_path / "archives", token)


def replace(catalog: Catalog, renewal: Renewal, archive: OpenedArchive) -> None:
    asyncio.run(Deployer(catalog, FakeRunner(), renewal).replace(REQUEST, archive))


# --- where it is deployed ---


def test_a_version_is_loaded_where_it_is_called_before_it_answers(
    catalog: Catalog, store: Store, archive: Write
) -> None:
    class Renewer(FakeRenewer):
        async def renew(self, reference: Reference, /) -> None:
            await super().renew(reference)
            assert store.load()["f"].version == 1
            assert await asyncio.to_thread(Path(reference.path).read_bytes) == NEW

    renewer = Renewer(CALLED)
    replace(catalog, renewal_of(catalog, renewer), archive(NEW))
    [reference] = renewer.renewed
    assert (reference.name, reference.sha256) == ("f", sha256(NEW))
    assert store.load()["f"].version == 2


@pytest.mark.parametrize(
    ("called", "data"),
    [
        pytest.param({"g": {sha256(OLD)}}, NEW, id="not called"),
        pytest.param(CALLED, NEW * WORTH_IT, id="large"),
    ],
)
def test_nothing_is_loaded_that_nobody_calls_or_that_workers_share(
    catalog: Catalog, archive: Write, called: dict[str, set[str]], data: bytes
) -> None:
    renewer = FakeRenewer(called)
    replace(catalog, renewal_of(catalog, renewer), archive(data))
    assert renewer.renewed == []


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewing, "PATIENCE", 0.001)
    monkeypatch.setattr(renewing, "LOOK_INTERVAL", 0.001)


@pytest.mark.usefixtures("impatient")
def test_workers_that_are_busy_are_not_waited_for_long(
    catalog: Catalog, store: Store, archive: Write
) -> None:
    class Busy(FakeRenewer):
        async def renew(self, reference: Reference, /) -> None:
            await asyncio.Event().wait()

    replace(catalog, renewal_of(catalog, Busy(CALLED)), archive(NEW))
    assert store.load()["f"].version == 2


# --- elsewhere ---


@pytest.mark.usefixtures("impatient")
def test_the_other_web_processes_load_it_too_before_it_answers(
    catalog: Catalog,
    store: Store,
    tmp_path: Path,
    archive: Write,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(renewing, "PATIENCE", PATIENCE)
    told = ChangeToken()

    class Other(FakeRenewer):
        async def renew(self, reference: Reference, /) -> None:
            await super().renew(reference)
            assert store.load()["f"].version == 1

    def announcements() -> Announcements:
        return Announcements(told, tmp_path / "coming", others=1)

    async def run() -> None:
        other_catalog = catalog_of(lambda: store, tmp_path / "archives")
        keeping = asyncio.create_task(Renewal(other_catalog, other, announcements()).keep())
        renewal = Renewal(catalog, FakeRenewer(), announcements())
        await Deployer(catalog, FakeRunner(), renewal).replace(REQUEST, archive(NEW))
        keeping.cancel()

    other = Other(CALLED)
    asyncio.run(run())
    assert [each.sha256 for each in other.renewed] == [sha256(NEW)]
    assert store.load()["f"].version == 2


@pytest.mark.usefixtures("impatient")
def test_what_others_have_deployed_is_loaded_once_it_is_seen(
    catalog: Catalog, store: Store, tmp_path: Path, token: ChangeToken
) -> None:
    renewer = FakeRenewer(CALLED)

    async def run() -> None:
        keeping = asyncio.create_task(renewal_of(catalog, renewer).keep())
        await asyncio.sleep(0)
        store.replace("f", {}, put(store, tmp_path, NEW))
        token.change()
        async with asyncio.timeout(PATIENCE):
            while not renewer.renewed:  # noqa: ASYNC110 - threads work on it
                await asyncio.sleep(0.001)
        keeping.cancel()

    asyncio.run(run())
    [reference] = renewer.renewed
    assert (reference.version, reference.sha256) == (2, sha256(NEW))


def test_only_what_differs_is(catalog: Catalog, store: Store, tmp_path: Path) -> None:
    add_model(store, tmp_path, "g", b"g")
    add_model(store, tmp_path, "large", b"l" * WORTH_IT)
    add_model(store, tmp_path, "half", b"h")
    called = {name: {sha256(OLD)} for name in ("f", "g", "large", "gone", "half")}
    called["half"].add(sha256(b"h"))  # by one of two workers
    renewer = FakeRenewer(called)
    asyncio.run(renewal_of(catalog, renewer).look())
    assert [each.name for each in renewer.renewed] == ["g", "half"]
