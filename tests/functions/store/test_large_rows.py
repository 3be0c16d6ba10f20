"""What people say of an endpoint has a limit, and what an earlier version let in does no harm."""

import json
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from tabpy.tabpy_server.errors import InvalidInputError
from tabpy.tabpy_server.functions.store.endpoint import ALIAS, ArchiveInfo, EndpointMetadata
from tabpy.tabpy_server.functions.store.rows import LEFT_OUT, LIMIT
from tabpy.tabpy_server.functions.store.store import Store
from tests.functions.building import DATA, add_alias, add_model, put, sha256

TOO_LARGE = "x" * LIMIT
HUGE = "x" * (8 << 20)


@pytest.fixture
def engine(each_engine: Engine) -> Engine:
    return each_engine


# --- new ones ---


@pytest.mark.parametrize("field", ["description", "docstring", "schema"])
def test_metadata_that_is_too_large_is_refused(store: Store, tmp_path: Path, field: str) -> None:
    archive = put(store, tmp_path)
    fits: dict[str, Any] = {field: TOO_LARGE[:-1000]}
    said: dict[str, Any] = {field: TOO_LARGE}
    store.create("f", EndpointMetadata(**fits), archive)
    before = store.load()
    ways: list[Callable[[], object]] = [
        lambda: store.create("g", EndpointMetadata(**said), archive),
        lambda: store.create("a", EndpointMetadata(type=ALIAS, target="f", **said), None),
        lambda: store.replace("f", said, archive),
        lambda: store.change("f", said),
        lambda: store.change("f", {"methods": ["x" * 1000]}),  # with what is there already
    ]
    refusal = rf"(metadata|docstring) is too large\. .* bytes, and {LIMIT} are allowed"
    for way in ways:
        with pytest.raises(InvalidInputError, match=refusal):
            way()
    assert store.load() == before


def test_so_are_lists_of_packages(store: Store, tmp_path: Path) -> None:
    archive = replace(put(store, tmp_path), requirements=[TOO_LARGE])
    with pytest.raises(InvalidInputError, match="list of packages and requirements is too large"):
        store.create("f", EndpointMetadata(), archive)
    assert store.load() == {}


# --- old ones ---


def enlarge(engine: Engine, table: str, column: str, key: str = "description") -> None:
    """Have all rows of a table say very much, as an earlier version let them."""
    with engine.begin() as connection:
        for name, said in connection.execute(text(f"SELECT name, {column} FROM {table}")).all():
            value: Any = json.loads(said)
            value = HUGE if isinstance(value, str) else {**value, key: HUGE}
            connection.execute(
                text(f"UPDATE {table} SET {column} = :said WHERE name = :name"),
                {"said": json.dumps(value), "name": name},
            )


@pytest.fixture
def enlarged(store: Store, engine: Engine, tmp_path: Path) -> Store:
    """A store in which all that can be large is."""
    add_model(store, tmp_path, "f", docstring="d")
    store.replace("f", {}, put(store, tmp_path, b"2"))
    add_alias(store, "a", "f")
    enlarge(engine, "tabpy_endpoints", "description")
    enlarge(engine, "tabpy_versions", "code", "origin")
    enlarge(engine, "tabpy_versions", "docstring")
    return store


def test_what_was_stored_is_read_without_what_makes_it_large(enlarged: Store) -> None:
    tracemalloc.start()
    try:
        found = enlarged.load()
        _, kept = enlarged.versions("f")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < len(HUGE) / 4
    assert found["f"].metadata == EndpointMetadata(description=LEFT_OUT)
    assert found["f"].archive == ArchiveInfo(sha256(b"2"), 1, "3.11.7")
    assert found["a"].metadata == EndpointMetadata(ALIAS, target="f", description=LEFT_OUT)
    assert found["a"].archive is None
    assert [each.archive.sha256 for each in kept] == [sha256(b"2"), sha256(DATA)]


def test_it_can_be_changed_and_removed_and_is_sound_then(enlarged: Store, tmp_path: Path) -> None:
    assert enlarged.change("a", {"description": "new"}).metadata == EndpointMetadata(
        ALIAS, target="f", description="new"
    )
    back = enlarged.roll_back("f", 1)
    assert (back.version, back.metadata.docstring) == (1, "")
    newer = enlarged.replace("f", {"description": "new"}, put(enlarged, tmp_path, b"3"))
    assert (newer.version, newer.metadata.description) == (3, "new")
    assert enlarged.load()["f"] == newer
    for name in ("a", "f"):
        enlarged.delete(name)
    assert enlarged.load() == {}
