"""A web process knows what the store has, and hands workers what they need to load it."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from tabpy.tabpy_server.errors import (
    NotLoadableError,
    StartError,
    StoreUnavailableError,
    UnknownEndpointError,
    UnknownFunctionError,
)
from tabpy.tabpy_server.functions import catalog as cataloguing
from tabpy.tabpy_server.functions import store_access
from tabpy.tabpy_server.functions.catalog import Catalog
from tabpy.tabpy_server.functions.change_token import ChangeToken
from tabpy.tabpy_server.functions.store.endpoint import Endpoint
from tabpy.tabpy_server.functions.store.store import Store
from tabpy.tabpy_server.metrics.counters import Counters
from tabpy.tabpy_server.workers.protocol import Reference
from tests.functions.building import (
    DATA,
    ENVIRONMENT,
    add_alias,
    add_model,
    catalog_of,
    put,
    remove_by_hand,
    sha256,
)
from tests.functions.conftest import KEPT


class StoreOfOthers(Store):
    """A store that somebody else changes at the worst moment, or that doesn't answer."""

    loads = 0
    away = False
    while_reading: Callable[[], object] | None = None

    def revision(self) -> int:
        if self.away:
            raise OperationalError("SELECT secret", None, Exception("host=secret"))
        return super().revision()

    def read(self, environment: str) -> tuple[int, dict[str, Endpoint], dict[str, str]]:
        self.loads += 1
        self.revision()
        return super().read(environment)

    def read_archive(self, sha256: str, into: Path) -> None:
        if self.while_reading is not None:
            happen, self.while_reading = self.while_reading, None
            happen()
        super().read_archive(sha256, into)


@pytest.fixture
def store(engine: Engine) -> StoreOfOthers:
    made = StoreOfOthers(engine, KEPT)
    made.migrate()
    return made


@pytest.fixture
def token() -> ChangeToken:
    return ChangeToken()


@pytest.fixture
def catalog(store: StoreOfOthers, token: ChangeToken, tmp_path: Path) -> Catalog:
    return catalog_of(lambda: store, tmp_path / "archives", token)


def test_it_knows_why_the_store_does_not_answer_and_that_it_does_again(
    catalog: Catalog, store: StoreOfOthers, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asyncio.run(catalog.ask_store()) == ""
    with monkeypatch.context() as away:
        away.setattr(store, "_engine", None)
        with pytest.raises(AttributeError):  # an accident of ours is none of the store's
            asyncio.run(catalog.ask_store())

    def fail() -> None:
        raise OperationalError("SELECT secret", None, Exception("host=secret"))

    with monkeypatch.context() as away:
        away.setattr(store, "answer", fail)
        problem = asyncio.run(catalog.ask_store())
        assert problem
        assert "secret" not in problem
    assert asyncio.run(catalog.ask_store()) == ""


def test_a_store_that_hangs_is_not_waited_for(
    catalog: Catalog, store: StoreOfOthers, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()
    monkeypatch.setattr(store_access, "PATIENCE", 0.01)
    monkeypatch.setattr(store, "answer", released.wait)
    try:
        assert asyncio.run(catalog.ask_store()) == "It didn't answer within 0.01 s."
    finally:
        released.set()


def reference(catalog: Catalog, name: str, damaged: str = "") -> Reference:
    return asyncio.run(catalog.reference(name, damaged=damaged))


# --- what there is ---


def test_the_store_is_read_once_for_each_change(
    catalog: Catalog, store: StoreOfOthers, token: ChangeToken, tmp_path: Path
) -> None:
    async def ask_twice() -> set[str]:
        found = await asyncio.gather(catalog.endpoints(), catalog.endpoints())
        return set(found[0]) & set(found[1])

    async def ask() -> None:
        assert await ask_twice() == set()
        add_model(store, tmp_path, "f")
        assert await ask_twice() == set(), "nobody has said that there is anything new"
        token.change()
        assert await ask_twice() == {"f"}

    asyncio.run(ask())
    assert (store.loads, catalog.size) == (2, 1)


def test_what_another_server_has_just_deployed_is_known_when_it_is_called(
    catalog: Catalog, store: StoreOfOthers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its word is on the way, and a router may be faster."""

    async def ask() -> None:
        assert await catalog.endpoints() == {}
        add_model(store, tmp_path, "f")
        assert (await catalog.reference("f")).version == 1
        loads = store.loads
        add_model(store, tmp_path, "g")
        with pytest.raises(UnknownFunctionError):  # who asks again and again asks the store once
            await catalog.reference("g")
        monkeypatch.setattr(cataloguing, "LOOK_INTERVAL", 0)
        assert (await catalog.endpoint("g")).version == 1
        for _ in range(2):
            with pytest.raises(UnknownEndpointError):
                await catalog.endpoint("h")
        assert store.loads == loads + 1, "nothing has changed since"

    asyncio.run(ask())


def test_calls_know_each_of_many_changes(
    catalog: Catalog, store: StoreOfOthers, token: ChangeToken, tmp_path: Path
) -> None:
    add_model(store, tmp_path, "f")

    async def serve() -> list[int]:
        versions = [(await catalog.reference("f")).version]
        for number in range(3):
            store.replace("f", {}, put(store, tmp_path, str(number).encode()))
            token.change()
            found = await asyncio.gather(catalog.reference("f"), catalog.reference("f"))
            versions += {each.version for each in found}
        return versions

    assert asyncio.run(serve()) == [1, 2, 3, 4]


def test_a_change_from_here_is_known_to_everybody_here_at_once(
    catalog: Catalog, store: StoreOfOthers, tmp_path: Path
) -> None:
    async def create_and_remove() -> tuple[set[str], set[str]]:
        before = catalog.change_token
        await catalog.change(lambda store: add_model(store, tmp_path, "f"))
        assert catalog.change_token != before
        created = set(await catalog.endpoints())
        await catalog.change(lambda store: store.delete("f"))
        return created, set(await catalog.endpoints())

    assert asyncio.run(create_and_remove()) == ({"f"}, set())


def test_a_change_that_is_refused_is_none(catalog: Catalog) -> None:
    before = catalog.change_token
    with pytest.raises(UnknownEndpointError):
        asyncio.run(catalog.change(lambda store: store.delete("f")))
    assert catalog.change_token == before


def test_an_endpoint_is_there_or_unknown(
    catalog: Catalog, store: StoreOfOthers, tmp_path: Path
) -> None:
    created = add_model(store, tmp_path, "f")
    assert asyncio.run(catalog.endpoint("f")) == created
    with pytest.raises(UnknownEndpointError, match="no endpoint 'g'"):
        asyncio.run(catalog.endpoint("g"))


# --- a database that doesn't answer ---


def test_a_store_that_is_away_costs_nothing_that_is_known(
    catalog: Catalog,
    store: StoreOfOthers,
    token: ChangeToken,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    add_model(store, tmp_path, "f")
    known = reference(catalog, "f")
    store.away = True
    assert reference(catalog, "f") == known
    token.change()
    for _ in range(3):
        assert reference(catalog, "f") == known, "calls go on"
    with pytest.raises(StoreUnavailableError):
        asyncio.run(catalog.endpoints())
    with pytest.raises(StoreUnavailableError):
        reference(catalog, "g")  # it may be there by now
    store.away = False
    store.replace("f", {}, put(store, tmp_path, b"2"))
    assert asyncio.run(catalog.endpoints())["f"].version == 2
    assert reference(catalog, "f").version == 2
    assert [each.message for each in caplog.records] == [
        "The store of deployed functions can't be used: The database failed (Exception): look into "
        "its log.",
        "The store of deployed functions answers again.",
    ]


def test_calls_that_go_on_with_what_is_known_hear_of_a_change_when_the_store_is_back(
    catalog: Catalog,
    store: StoreOfOthers,
    token: ChangeToken,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cataloguing, "RETRY_AFTER", 0)
    add_model(store, tmp_path, "f")

    async def serve() -> list[int]:
        versions = [(await catalog.reference("f")).version]
        store.replace("f", {}, put(store, tmp_path, b"2"))
        store.away = True
        token.change()
        versions.append((await catalog.reference("f")).version)
        store.away = False
        await catalog.reference("f")  # and has that looked up
        assert catalog._reading is not None
        await catalog._reading
        return [*versions, (await catalog.reference("f")).version]

    assert asyncio.run(serve()) == [1, 1, 2]


def test_calls_wait_for_a_slow_store_once(
    catalog: Catalog,
    store: StoreOfOthers,
    token: ChangeToken,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = threading.Event()
    read = store.read

    def late(environment: str) -> tuple[int, dict[str, Endpoint], dict[str, str]]:
        answers.wait(10)
        return read(environment)

    add_model(store, tmp_path, "f")

    async def serve() -> None:
        known = await catalog.reference("f")
        monkeypatch.setattr(store, "read", late)
        token.change()
        with monkeypatch.context() as hasty:
            hasty.setattr(cataloguing, "PATIENCE", 0.01)
            assert await catalog.reference("f") == known
        loads = store.loads
        async with asyncio.timeout(1):  # and not those five seconds
            assert await catalog.reference("f") == known
        assert store.loads == loads
        answers.set()
        await catalog.endpoints()

    try:
        asyncio.run(serve())
    finally:
        answers.set()


def test_opening_is_tried_until_it_works(
    store: StoreOfOthers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cataloguing, "RETRY_AFTER", 0)
    problems = [StartError("tables of a later version"), OSError("no disk")]

    def open_store() -> Store:
        if problems:
            raise problems.pop()
        return store

    counters = Counters()
    catalog = Catalog(open_store, tmp_path, ChangeToken(), counters, ENVIRONMENT)
    asyncio.run(catalog.open())
    assert problems == []
    assert [kind for kind, _ in counters.store] == ["read"] * 3


# --- references ---


def test_a_reference_has_what_a_worker_needs(
    catalog: Catalog, store: StoreOfOthers, tmp_path: Path
) -> None:
    add_model(store, tmp_path, "f")
    add_alias(store, "a", "f")
    path = tmp_path / "archives" / sha256()
    expected = Reference("f", 1, sha256(), str(path), "3.11.7", len(DATA))
    assert (reference(catalog, "f"), reference(catalog, "a")) == (expected, expected)
    assert path.read_bytes() == DATA


def test_it_knows_which_names_are_pure(
    catalog: Catalog, store: StoreOfOthers, tmp_path: Path
) -> None:
    add_model(store, tmp_path, "f")
    store.change("f", {}, pure=True)
    add_alias(store, "alias of f", "f")
    add_model(store, tmp_path, "g")
    add_alias(store, "alias of g", "g")

    async def test() -> None:
        assert catalog.pure == frozenset()
        since = await catalog.pure_since("f")
        assert since == catalog.change_token
        assert catalog.pure == {"f", "alias of f"}
        assert await catalog.pure_since("alias of f") == since
        assert [await catalog.pure_since(name) for name in ("g", "alias of g", "h")] == [None] * 3
        await catalog.change(lambda store: store.change("f", {}, pure=False))
        assert await catalog.pure_since("f") is None
        assert catalog.pure == frozenset()

    asyncio.run(test())


def test_names_of_nothing(
    catalog: Catalog, store: StoreOfOthers, engine: Engine, tmp_path: Path
) -> None:
    add_model(store, tmp_path, "f")
    for alias, target in (("a", "f"), ("b", "f")):
        add_alias(store, alias, target)
    remove_by_hand(engine, "f")
    add_model(store, tmp_path, "g")
    add_alias(store, "f", "g")
    store.delete("b")
    for name, why in {
        "x": "There is no function 'x' on this server.",
        "a": "'a' is an alias of 'f', which is an alias itself.",
    }.items():
        with pytest.raises(UnknownFunctionError) as raised:
            reference(catalog, name)
        assert raised.value.info == why


def test_an_alias_of_what_is_removed(
    catalog: Catalog, store: StoreOfOthers, engine: Engine, tmp_path: Path
) -> None:
    add_model(store, tmp_path, "f")
    add_alias(store, "a", "f")
    remove_by_hand(engine, "f")
    with pytest.raises(UnknownFunctionError, match="'a' is an alias of 'f', which isn't there"):
        reference(catalog, "a")


def test_a_model_without_its_version_is_no_function(
    catalog: Catalog, store: StoreOfOthers, engine: Engine, tmp_path: Path
) -> None:
    add_model(store, tmp_path, "f")
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM tabpy_versions"))
    with pytest.raises(UnknownFunctionError, match="There is no function 'f' on this server"):
        reference(catalog, "f")


def test_a_new_version_is_another_reference(
    catalog: Catalog, store: StoreOfOthers, token: ChangeToken, tmp_path: Path
) -> None:
    add_model(store, tmp_path, "f")
    first = reference(catalog, "f")
    store.replace("f", {}, put(store, tmp_path, b"2"))
    token.change()
    second = reference(catalog, "f")
    assert (first.version, second.version, second.sha256) == (1, 2, sha256(b"2"))


def test_a_reference_is_not_kept_when_its_version_was_replaced_meanwhile(
    catalog: Catalog, store: StoreOfOthers, token: ChangeToken, tmp_path: Path
) -> None:
    add_model(store, tmp_path, "f")

    async def serve() -> list[int]:
        loop = asyncio.get_running_loop()

        def replace() -> None:
            store.replace("f", {}, put(store, tmp_path, b"2"))
            token.change()
            asyncio.run_coroutine_threadsafe(catalog.endpoints(), loop).result(10)  # who asks next

        store.while_reading = replace
        return [(await catalog.reference("f")).version for _ in range(2)]

    assert asyncio.run(serve()) == [1, 2]


def test_a_version_that_is_gone_before_it_was_fetched_is_looked_up_again(
    catalog: Catalog, store: StoreOfOthers, engine: Engine, tmp_path: Path
) -> None:
    """Another server has replaced it, and that word is still on its way."""
    add_model(store, tmp_path, "f")

    def replace() -> None:
        store.replace("f", {}, put(store, tmp_path, b"2"))
        with engine.begin() as connection:
            connection.execute(text(f"DELETE FROM tabpy_versions WHERE sha256 = '{sha256()}'"))
            connection.execute(text(f"DELETE FROM tabpy_archives WHERE sha256 = '{sha256()}'"))

    store.while_reading = replace
    assert reference(catalog, "f").sha256 == sha256(b"2")


# --- archives that are damaged ---


@pytest.mark.parametrize("harm", [Path.unlink, lambda file: file.write_bytes(b"no archive")])
def test_a_damaged_file_is_fetched_again(
    catalog: Catalog, store: StoreOfOthers, tmp_path: Path, harm: Callable[[Path], object]
) -> None:
    add_model(store, tmp_path, "f")
    add_alias(store, "a", "f")
    before = reference(catalog, "a")
    harm(Path(before.path))
    assert reference(catalog, "a", damaged=before.sha256) == before
    assert Path(before.path).read_bytes() == DATA


def test_a_damaged_file_of_a_version_that_was_replaced_leads_to_the_new_one(
    catalog: Catalog, store: StoreOfOthers, token: ChangeToken, tmp_path: Path
) -> None:
    add_model(store, tmp_path, "f")
    old = reference(catalog, "f")
    Path(old.path).unlink()
    store.replace("f", {}, put(store, tmp_path, b"2"))
    token.change()
    assert reference(catalog, "f", damaged=old.sha256).version == 2
    assert not Path(old.path).exists()


@pytest.mark.parametrize("said", ["../outside", "/etc/passwd", "..", "no such"])
def test_what_a_worker_says_is_no_path(
    catalog: Catalog, store: StoreOfOthers, tmp_path: Path, said: str
) -> None:
    """A script may say it."""
    (tmp_path / "outside").write_text("stays")
    add_model(store, tmp_path, "f")
    assert reference(catalog, "f", damaged=said) == reference(catalog, "f")
    assert (tmp_path / "outside").read_text() == "stays"


@pytest.mark.parametrize("damaged", ["", sha256()])
def test_an_archive_that_is_damaged_in_the_store_cannot_be_loaded(
    catalog: Catalog, store: StoreOfOthers, engine: Engine, tmp_path: Path, damaged: str
) -> None:
    add_model(store, tmp_path, "f")
    with engine.begin() as connection:
        connection.execute(text("UPDATE tabpy_archive_parts SET data = x'00'"))
    with pytest.raises(NotLoadableError) as raised:
        reference(catalog, "f", damaged=damaged)
    assert str(raised.value) == "Function 'f' can't be loaded. Its archive is damaged."


# --- files that nobody uses ---


def test_only_files_that_serve_are_kept(
    catalog: Catalog, store: StoreOfOthers, token: ChangeToken, tmp_path: Path
) -> None:
    add_model(store, tmp_path, "f")
    add_model(store, tmp_path, "g", b"removed")
    files = [Path(reference(catalog, name).path) for name in ("f", "g")]
    store.delete("g")
    token.change()
    asyncio.run(catalog.remove_unused_files())
    assert [each.exists() for each in files] == [True, True], "they are young"
    for each in files:
        os.utime(each, (0, 0))
    asyncio.run(catalog.remove_unused_files())
    assert [each.exists() for each in files] == [True, False]


# --- the start ---


def test_a_name_that_is_not_there_yet_waits_for_what_deploys_at_the_start(
    catalog: Catalog, store: StoreOfOthers, tmp_path: Path
) -> None:
    async def start() -> tuple[Reference, bool]:
        catalog.settled.clear()
        waiting = asyncio.create_task(catalog.reference("f"))
        await catalog.change(lambda store: add_model(store, tmp_path, "f"))
        waited = not waiting.done()
        catalog.settled.set()
        return await waiting, waited

    found, waited = asyncio.run(start())
    assert (found.name, waited) == ("f", True)


def test_no_name_waits_for_ever(
    catalog: Catalog, store: StoreOfOthers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cataloguing, "SETTLE_TIMEOUT", 0)
    catalog.settled.clear()
    with pytest.raises(UnknownFunctionError):
        reference(catalog, "f")


def test_two_threads_open_one_store(store: StoreOfOthers, tmp_path: Path) -> None:
    opened: list[None] = []
    both = threading.Barrier(2, timeout=0.1)

    def open_store() -> Store:
        opened.append(None)
        with contextlib.suppress(threading.BrokenBarrierError):  # nobody else opens it
            both.wait()
        return store

    async def use() -> None:
        catalog = catalog_of(open_store, tmp_path)
        await asyncio.gather(*(catalog.run(lambda store: store.origins()) for _ in range(2)))

    asyncio.run(use())
    assert len(opened) == 1


def test_a_name_that_is_nearly_right_gets_the_right_one(
    catalog: Catalog, store: StoreOfOthers, token: ChangeToken, tmp_path: Path
) -> None:
    with pytest.raises(UnknownFunctionError, match=r"on this server\. None is deployed here\."):
        reference(catalog, "price")
    add_model(store, tmp_path, "Price")
    token.change()
    with pytest.raises(UnknownFunctionError, match=r"on this server\. Did you mean 'Price'\?"):
        reference(catalog, "price")
    with pytest.raises(UnknownEndpointError, match=r"no endpoint 'Prize'\. Did you mean 'Price'\?"):
        asyncio.run(catalog.endpoint("Prize"))
