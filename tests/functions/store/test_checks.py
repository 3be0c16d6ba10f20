"""What is known of archives outlives a server, in each environment for itself."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from tabpy.tabpy_server.functions.store import checks
from tabpy.tabpy_server.functions.store.store import Store
from tests.functions.building import add_model, put, sha256

HERE, THERE = "this Python", "another"


@pytest.fixture
def engine(each_engine: Engine) -> Engine:
    return each_engine


def test_each_environment_has_its_own(store: Store, tmp_path: Path) -> None:
    put(store, tmp_path, b"1")
    put(store, tmp_path, b"2")
    store.record_checks(HERE, {sha256(b"1"): "It needs x.\0\ud800", sha256(b"2"): ""})
    store.record_checks(THERE, {sha256(b"1"): ""})
    assert store.checks(HERE) == {sha256(b"1"): "It needs x.\0\ud800", sha256(b"2"): ""}
    assert store.checks(THERE) == {sha256(b"1"): ""}


def test_the_last_one_counts(store: Store, tmp_path: Path) -> None:
    put(store, tmp_path)
    for reason in ("It needs x.", "", "y" * (checks.REASON_LIMIT + 1)):
        store.record_checks(HERE, {sha256(): reason})
    assert store.checks(HERE) == {sha256(): "y" * checks.REASON_LIMIT}


def test_nothing_is_known_of_what_is_gone(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1_800_000_000]
    monkeypatch.setattr("time.time", lambda: clock[0])
    add_model(store, tmp_path, "f", b"1")
    put(store, tmp_path, b"2")
    store.record_checks(HERE, {sha256(b"1"): "", sha256(b"2"): "", sha256(b"3"): ""})
    assert store.checks(HERE).keys() == {sha256(b"1"), sha256(b"2")}
    clock[0] += 2 * 3600
    store.delete("f")
    assert store.checks(HERE) == {}


def test_environments_that_nobody_has_any_more_are_forgotten(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, tmp_path)
    for number in range(checks.ENVIRONMENTS_KEPT + 2):
        monkeypatch.setattr("time.time", lambda number=number: 1_800_000_000 + number)
        store.record_checks(str(number), {sha256(): ""})
    kept = [number for number in range(checks.ENVIRONMENTS_KEPT + 2) if store.checks(str(number))]
    assert kept == [*range(2, checks.ENVIRONMENTS_KEPT + 2)]


def test_a_database_of_an_earlier_version_has_room_for_it(
    store: Store, engine: Engine, tmp_path: Path
) -> None:
    put(store, tmp_path)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE tabpy_checks"))
    store.migrate()
    store.record_checks(HERE, {sha256(): ""})
    assert store.checks(HERE) == {sha256(): ""}
