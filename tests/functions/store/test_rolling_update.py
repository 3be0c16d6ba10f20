"""Servers of two versions work on one database while they are replaced one after the other."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from tabpy.tabpy_server.functions.store.endpoint import EndpointMetadata
from tabpy.tabpy_server.functions.store.store import Store
from tests.functions.building import add_alias, add_model, put
from tests.functions.store.old_server import OldServer

KEPT = 5


@pytest.fixture
def engine(each_engine: Engine) -> Engine:
    return each_engine


@pytest.fixture
def old(engine: Engine) -> OldServer:
    """It was there first, with a function of two versions."""
    made = OldServer(engine)
    made.make_tables()
    made.deploy("f", b"1", description="by the old one")
    made.deploy("f", b"2")
    return made


@pytest.fixture
def store(engine: Engine, old: OldServer) -> Store:
    """A server of today starts beside it."""
    made = Store(engine, KEPT)
    made.migrate()
    return made


def archive(store: Store, folder: Path, name: str) -> bytes:
    found = store.load()[name].archive
    assert found is not None
    store.read_archive(found.sha256, folder / "read")
    return (folder / "read").read_bytes()


def test_what_an_old_server_has_deployed_serves(store: Store, tmp_path: Path) -> None:
    assert (store.load()["f"].version, archive(store, tmp_path, "f")) == (2, b"2")
    assert store.load()["f"].metadata.description == "by the old one"
    assert store.roll_back("f", 1).version == 1
    assert archive(store, tmp_path, "f") == b"1"


def test_an_old_server_goes_on_deploying(store: Store, old: OldServer, tmp_path: Path) -> None:
    assert old.deploy("f", b"3", description="still") == 3
    assert old.deploy("g", b"g") == 1
    assert (store.load()["f"].version, archive(store, tmp_path, "f")) == (3, b"3")
    assert archive(store, tmp_path, "g") == b"g"
    old.roll_back("f", 2)
    assert archive(store, tmp_path, "f") == b"2"
    assert store.replace("f", {}, put(store, tmp_path, b"4"), "anna").version == 4
    found = store.load()["f"].archive
    assert found is not None
    store.record_checks("here", {found.sha256: "It can't be loaded."})
    old.delete("f")
    assert set(store.load()) == {"g"}
    assert store.checks("here") == {}


def test_an_old_server_reads_what_is_deployed_today(
    store: Store, old: OldServer, tmp_path: Path
) -> None:
    store.replace("f", {"description": "new"}, put(store, tmp_path, b"3"), "anna")
    add_model(store, tmp_path, "g", b"g", schema={"input": {}})
    add_alias(store, "a", "g")
    found = old.serving()
    assert (found["f"].version, found["f"].archive) == (3, b"3")
    assert found["f"].metadata["description"] == "new"
    assert (found["g"].archive, found["a"].metadata["target"]) == (b"g", "g")
    store.change("f", {"is_public": True})
    store.roll_back("f", 1)
    assert (old.serving()["f"].version, old.serving()["f"].archive) == (1, b"1")
    assert old.serving()["f"].metadata["is_public"]


@pytest.mark.parametrize("column", ["description", "code"])
def test_a_field_of_a_later_server_is_left_as_it_is(
    store: Store, engine: Engine, tmp_path: Path, column: str
) -> None:
    add_model(store, tmp_path, "g", b"g")
    table = "tabpy_endpoints" if column == "description" else "tabpy_versions"
    query = text(f"SELECT {column} FROM {table} WHERE name = 'g'")
    with engine.begin() as connection:
        fields = {**json.loads(connection.execute(query).scalar_one()), "later": [1]}
        connection.execute(
            text(f"UPDATE {table} SET {column} = :fields WHERE name = 'g'"),
            {"fields": json.dumps(fields)},
        )
    assert store.load()["g"].version == 1
    store.change("g", {"description": "changed here"})
    store.roll_back("g", 1)
    assert len(store.versions("g")[1]) == 1
    with engine.begin() as connection:
        assert json.loads(connection.execute(query).scalar_one())["later"] == [1]


def test_servers_that_start_at_once_deploy_the_same_once(store: Store, tmp_path: Path) -> None:
    info = replace(put(store, tmp_path, b"of the checkout"), origin="models/mine.py text")
    store.create("c", EndpointMetadata(), info)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: store.replace("c", {}, info).version, range(4)))
        list(threads.map(lambda _: store.remember(info.origin, "models/mine.py "), range(4)))
    assert found == [1] * 4
    assert store.origins() == {info.origin}
    other = replace(info, packages={"numpy": "3"})
    assert store.replace("c", {}, other).version == 2
    assert store.replace("c", {}, info).version == 3
    text = replace(put(store, tmp_path, b"another text"), origin=info.origin)
    assert store.replace("c", {}, text).version == 4
    by_hand = replace(info, origin="")
    assert [store.replace("c", {}, by_hand).version for _ in range(2)] == [5, 6]
