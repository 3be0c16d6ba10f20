"""The operations on the store, on SQLite; `tests/system/test_store.py` has Postgres."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from tabpy.tabpy_server.errors import (
    EndpointExistsError,
    RefusedError,
    StartError,
    UnknownEndpointError,
    UnknownVersionError,
)
from tabpy.tabpy_server.functions.store import archives
from tabpy.tabpy_server.functions.store.database import open_engine
from tabpy.tabpy_server.functions.store.endpoint import (
    ArchiveInfo,
    Endpoint,
    EndpointMetadata,
)
from tabpy.tabpy_server.functions.store.store import Store
from tests.functions.building import DATA, add_alias, add_model, put, sha256
from tests.functions.conftest import KEPT


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the clock says, in seconds; in a list, to be changed."""
    clock = [1_800_000_000]
    monkeypatch.setattr("time.time", lambda: clock[0])
    return clock


def stored(engine: Engine) -> set[str]:
    """The SHA-256 of all archives that are in the store, whole or in part."""
    with engine.connect() as connection:
        parts = set(connection.scalars(text("SELECT sha256 FROM tabpy_archive_parts")))
        assert parts == set(connection.scalars(text("SELECT sha256 FROM tabpy_archives")))
    return parts


def test_only_the_servers_user_can_read_it(tmp_path: Path) -> None:
    engine = open_engine("", tmp_path / "state")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE functions (archive)"))
        files = [*(tmp_path / "state").iterdir()]
        assert {each.stat().st_mode & 0o777 for each in files} == {0o600}
    engine.dispose()


# --- endpoints and versions ---


def test_what_is_created_is_loaded(store: Store, tmp_path: Path) -> None:
    created = add_model(store, tmp_path, "f", description="Größe\0\ud800", schema={"a": [1]})
    assert store.load() == {"f": created}
    assert (created.version, created.metadata.description) == (1, "Größe\0\ud800")
    assert created.archive == ArchiveInfo(sha256(), len(DATA), python="3.11.7")
    assert created.creation_time == created.last_modified_time > 1_700_000_000


def test_a_name_is_taken_once(store: Store, tmp_path: Path) -> None:
    created = add_model(store, tmp_path, "f")
    with pytest.raises(EndpointExistsError):
        add_model(store, tmp_path, "f", b"another")
    assert store.load() == {"f": created}


def test_a_new_version_has_the_next_number_though_an_older_one_serves(
    store: Store, tmp_path: Path
) -> None:
    add_model(store, tmp_path, "f", docstring="1", description="kept")
    store.replace("f", {"docstring": "2"}, put(store, tmp_path, b"2"))
    back = store.roll_back("f", 1)
    assert (back.version, back.metadata.docstring, back.metadata.description) == (1, "1", "kept")
    assert back.archive == ArchiveInfo(sha256(), len(DATA), python="3.11.7")
    third = store.replace("f", {"docstring": "3"}, put(store, tmp_path, b"3"))
    assert (third.version, third.metadata.docstring) == (3, "3")
    found, kept = store.versions("f")
    assert (found, [each.version for each in kept]) == (third, [3, 2])
    assert len(kept) == KEPT


@pytest.mark.parametrize("author", ["anna", "Größe \0 \ud800", None], ids=["a", "odd", "nobody"])
def test_each_version_tells_who_deployed_it(
    store: Store, tmp_path: Path, author: str | None
) -> None:
    store.create("f", EndpointMetadata(), put(store, tmp_path, b"1"), author=author)
    store.replace("f", {}, put(store, tmp_path, b"2"), "bert")
    store.roll_back("f", 1)
    assert [each.author for each in store.versions("f")[1]] == ["bert", author]


def test_a_change_leaves_the_version(store: Store, tmp_path: Path) -> None:
    before = add_model(store, tmp_path, "f", description="1", is_public=True)
    after = store.change("f", {"description": "2"})
    assert (after.version, after.archive) == (before.version, before.archive)
    assert (after.metadata.description, after.metadata.is_public) == ("2", True)


def test_a_model_that_is_removed_begins_anew(store: Store, tmp_path: Path) -> None:
    add_model(store, tmp_path, "f")
    store.replace("f", {}, put(store, tmp_path, b"2"))
    store.delete("f")
    assert store.load() == {}
    assert add_model(store, tmp_path, "f").version == 1


OPERATIONS: dict[str, Callable[[Store, ArchiveInfo], object]] = {
    "versions": lambda store, _: store.versions("f"),
    "replace": lambda store, archive: store.replace("f", {}, archive),
    "change": lambda store, _: store.change("f", {"description": "other"}),
    "roll back": lambda store, _: store.roll_back("f", 1),
    "delete": lambda store, _: store.delete("f"),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_is_not_there_is_unknown(store: Store, tmp_path: Path, operation: str) -> None:
    archive = put(store, tmp_path)
    with pytest.raises(UnknownEndpointError) as raised:
        OPERATIONS[operation](store, archive)
    assert raised.value.info == "There is no endpoint 'f'."


@pytest.mark.parametrize("number", [0, -1, 1, 4])
def test_a_version_that_is_not_kept_is_unknown(store: Store, tmp_path: Path, number: int) -> None:
    add_model(store, tmp_path, "f", b"1")
    for data in (b"2", b"3"):
        store.replace("f", {}, put(store, tmp_path, data))
    with pytest.raises(UnknownVersionError) as raised:
        store.roll_back("f", number)
    assert str(raised.value) == f"Endpoint 'f' has no version {number}. Kept are: 2, 3."


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("a", "it would be an alias of itself"),
        ("none", "there is no endpoint 'none'"),
        ("b", "'b' is an alias itself; name the endpoint behind it"),
    ],
)
def test_an_alias_leads_to_a_model(store: Store, tmp_path: Path, target: str, problem: str) -> None:
    add_model(store, tmp_path, "f")
    add_alias(store, "b", "f")
    attempts: list[Callable[[], Endpoint]] = [
        lambda: add_alias(store, "a", target),
        lambda: store.change("a", {"target": target}),
    ]
    for attempt in attempts:
        with pytest.raises(RefusedError) as raised:
            attempt()
        assert str(raised.value) == f"'a' can't be an alias of '{target}'. {problem}."
        if "a" not in store.load():
            add_alias(store, "a", "f")
    assert store.load()["a"].metadata.target == "f"


def test_what_an_alias_points_to_is_not_removed(store: Store, tmp_path: Path) -> None:
    # differences, section 2: as TabPy does
    add_model(store, tmp_path, "f")
    for alias in ("b", "a"):
        add_alias(store, alias, "f")
    with pytest.raises(RefusedError) as raised:
        store.delete("f")
    assert str(raised.value) == (
        "Endpoint 'f' is used by 'a', 'b'. "
        "An alias of it is there: remove that first, or give it another target."
    )
    assert set(store.load()) == {"f", "a", "b"}
    for name in ("a", "b", "f"):
        store.delete(name)
    assert store.load() == {}


def test_an_alias_has_no_versions(store: Store, tmp_path: Path) -> None:
    add_model(store, tmp_path, "f")
    alias = add_alias(store, "a", "f")
    assert store.versions("a") == (alias, [])
    with pytest.raises(RefusedError, match="Endpoint 'a' is an alias"):
        store.replace("a", {}, put(store, tmp_path))
    with pytest.raises(UnknownVersionError, match="Kept are: none"):
        store.roll_back("a", 1)


@pytest.mark.parametrize("operation", ["create", *OPERATIONS])
def test_a_change_takes_the_lock_of_all_writers_before_it_reads(
    store: Store, engine: Engine, tmp_path: Path, operation: str
) -> None:
    """Else, on Postgres, two would read the same last version and both write the next."""
    add_model(store, tmp_path, "f")
    archive = put(store, tmp_path)
    operations: dict[str, Callable[[Store, ArchiveInfo], object]] = {
        **OPERATIONS,
        "create": lambda store, _: add_alias(store, "a", "f"),
    }
    statements: list[str] = []

    def note(*event: Any) -> None:
        statements.append(event[2].partition(" SET")[0])

    event.listen(engine, "before_cursor_execute", note)
    operations[operation](store, archive)
    assert statements.pop(0).startswith("BEGIN")
    locks = [position for position, each in enumerate(statements) if each == "UPDATE tabpy_state"]
    assert locks == ([] if operation == "versions" else [0])


def test_what_is_refused_in_the_middle_leaves_nothing(store: Store, tmp_path: Path) -> None:
    add_model(store, tmp_path, "f")
    before = store.load()
    missing = ArchiveInfo("0" * 64, 1)
    with pytest.raises(Exception, match="FOREIGN KEY"):
        store.replace("f", {"description": "new"}, missing)
    assert store.load() == before


# --- archives ---


def test_an_archive_comes_back_as_it_was(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "PART", 4)  # bytes
    for data in (b"", b"1234", b"12345678", b"123456789"):
        archive = put(store, tmp_path, data)
        assert (archive.sha256, archive.size) == (sha256(data), len(data))
        store.read_archive(archive.sha256, tmp_path / "again")
        assert (tmp_path / "again").read_bytes() == data


def test_an_archive_that_is_not_there_or_not_whole_is_not_read(
    store: Store, engine: Engine, tmp_path: Path
) -> None:
    put(store, tmp_path)
    with engine.begin() as connection:
        connection.execute(text("UPDATE tabpy_archive_parts SET data = x'00'"))
    for sought in (sha256(), sha256(b"never stored")):
        with pytest.raises(LookupError, match=sought):
            store.read_archive(sought, tmp_path / "again")


@pytest.mark.parametrize("event", ["replaced", "removed"])
def test_archives_that_no_version_uses_any_more_go(
    store: Store, engine: Engine, tmp_path: Path, now: list[int], event: str
) -> None:
    add_model(store, tmp_path, "f", b"1")
    add_model(store, tmp_path, "other", b"other")
    now[0] += archives.UNUSED_AFTER + 1
    if event == "removed":
        store.delete("f")
        assert stored(engine) == {sha256(b"other")}
        return
    for data in (b"2", b"3"):
        store.replace("f", {}, put(store, tmp_path, data))
    assert stored(engine) == {sha256(b"2"), sha256(b"3"), sha256(b"other")}


def test_an_archive_whose_version_is_on_its_way_stays(
    store: Store, engine: Engine, tmp_path: Path, now: list[int]
) -> None:
    add_model(store, tmp_path, "f", b"1")
    archive = put(store, tmp_path, b"2")
    now[0] += archives.UNUSED_AFTER
    store.delete("f")
    assert sha256(b"2") in stored(engine)
    assert store.create("g", EndpointMetadata(), archive).archive == archive


def test_an_archive_that_is_stored_again_stays_like_a_new_one(
    store: Store, engine: Engine, tmp_path: Path, now: list[int]
) -> None:
    add_model(store, tmp_path, "f", b"1")
    put(store, tmp_path, b"2")
    now[0] += archives.UNUSED_AFTER + 1
    put(store, tmp_path, b"2")
    store.delete("f")
    assert stored(engine) == {sha256(b"2")}


# --- the rest ---


def test_what_was_deployed_by_itself_is_remembered(store: Store) -> None:
    for origin in ("models/a.py: f: 1", "models/a.py: f_: 1", "models/a.py: f: 1"):
        store.remember(origin)
    assert store.origins() == {"models/a.py: f: 1", "models/a.py: f_: 1"}
    store.remember("models/a.py: f_: 2", "models/a.py: f_:")  # "_" stands for itself only
    assert store.origins() == {"models/a.py: f: 1", "models/a.py: f_: 2"}


def test_a_database_as_the_first_version_left_it_is_read(store: Store, engine: Engine) -> None:
    with engine.begin() as connection:
        for statement in (
            """INSERT INTO tabpy_endpoints VALUES ('f', 2, 3, '{"type": "model", "description":
            "d", "docstring": "e", "methods": [], "dependencies": ["g"], "target": null,
            "schema": {"a": 1}, "is_public": true}', 5, 6)""",
            "INSERT INTO tabpy_archives VALUES ('aa', 7, 5)",
            "ALTER TABLE tabpy_versions DROP COLUMN author",
            "ALTER TABLE tabpy_versions DROP COLUMN pure",
            """INSERT INTO tabpy_versions VALUES ('f', 2, 'aa', '{"sha256": "aa", "size": 7,
            "python": "3.11", "packages": {"p": "1"}, "requirements": ["p"], "origin": "o"}',
            '"e"', 5)""",
        ):
            connection.exec_driver_sql(statement)
    store.migrate()
    metadata = EndpointMetadata("model", "d", "e", [], ["g"], None, {"a": 1}, is_public=True)
    archive = ArchiveInfo("aa", 7, "3.11", {"p": "1"}, ["p"], "o")
    assert store.load() == {"f": Endpoint("f", 2, metadata, archive, 5, 6)}
    (kept,) = store.versions("f")[1]
    assert kept.info() == {
        "version": 2,
        "creation_time": 5,
        "author": None,
        "pure": False,
        "sha256": "aa",
        "size": 7,
        "python": "3.11",
        "packages": {"p": "1"},
        "requirements": ["p"],
        "origin": "o",
    }


def test_many_servers_may_bring_a_database_up_to_date_at_once(
    store: Store, engine: Engine, tmp_path: Path
) -> None:
    add_model(store, tmp_path, "f")
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE tabpy_versions DROP COLUMN author")
        connection.exec_driver_sql("ALTER TABLE tabpy_versions DROP COLUMN pure")
    engines = [open_engine("", tmp_path / "state") for _ in range(8)]
    try:
        with ThreadPoolExecutor(len(engines)) as threads:
            list(threads.map(lambda each: Store(each, KEPT).migrate(), engines))
    finally:
        for each in engines:
            each.dispose()
    store.replace("f", {}, put(store, tmp_path, b"2"), "anna")
    assert [each.author for each in store.versions("f")[1]] == ["anna", None]


def purity(store: Store, name: str = "f") -> tuple[bool, list[bool]]:
    """That of what answers, and of all versions, the newest first."""
    endpoint, versions = store.versions(name)
    assert store.load()[name].pure is endpoint.pure
    return endpoint.pure, [each.pure for each in versions]


def test_a_version_is_pure_if_that_is_said_of_it(store: Store, tmp_path: Path) -> None:
    store.create("f", EndpointMetadata(), put(store, tmp_path, b"1"), pure=True)
    assert purity(store) == (True, [True])
    store.replace("f", {"description": "new"}, put(store, tmp_path, b"2"))
    assert purity(store) == (False, [False, True])
    store.roll_back("f", 1)
    assert purity(store) == (True, [False, True])


def test_whether_a_version_is_pure_can_be_changed(store: Store, tmp_path: Path) -> None:
    store.create("f", EndpointMetadata(), put(store, tmp_path, b"1"), pure=True)
    store.replace("f", {}, put(store, tmp_path, b"2"), pure=True)
    store.change("f", {"description": "words"})
    assert purity(store) == (True, [True, True])
    assert store.change("f", {}, pure=False).pure is False
    assert purity(store) == (False, [False, True])


def test_an_alias_is_not_pure_by_itself(store: Store, tmp_path: Path) -> None:
    add_model(store, tmp_path, "f")
    with pytest.raises(RefusedError, match="'g' is an alias"):
        store.create("g", EndpointMetadata(type="alias", target="f"), None, pure=True)
    add_alias(store, "g", "f")
    with pytest.raises(RefusedError, match="'g' is an alias"):
        store.change("g", {}, pure=True)
    assert store.change("g", {}, pure=False).pure is False


def test_a_server_from_before_authors_still_stores_versions(
    store: Store, engine: Engine, tmp_path: Path
) -> None:
    """It names the columns that it knows, while a newer one works on the same database."""
    add_model(store, tmp_path, "f")
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO tabpy_versions (name, version, sha256, code, docstring, creation_time) "
            "SELECT name, 2, sha256, code, docstring, creation_time FROM tabpy_versions"
        )
    assert [each.author for each in store.versions("f")[1]] == [None, None]
    assert purity(store) == (False, [False, False])


def test_tables_of_a_later_version_are_left_alone(store: Store, engine: Engine) -> None:
    store.migrate()  # a second time changes nothing
    with engine.begin() as connection:
        connection.execute(text("UPDATE tabpy_state SET schema_version = 99"))
    with pytest.raises(StartError, match="tables are version 99, this server knows 1"):
        store.migrate()
