"""Postgres has few connections, and may be slow: nobody keeps one, or waits for ever."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, make_url
from sqlalchemy.exc import OperationalError

from tabpy.tabpy_server.functions.store import postgres as connecting
from tabpy.tabpy_server.functions.store.database import open_engine, postgres_url
from tabpy.tabpy_server.functions.store.reasons import CROWDED, LOCKED, reason
from tabpy.tabpy_server.functions.store.store import Store
from tests.postgres import Postgres

FEW = 1


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    """Of a database that gives its user one connection."""
    with postgres.user_with(FEW, postgres.new_database()) as made:
        yield made


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    made = open_engine(url, Path())
    yield made
    made.dispose()


@pytest.fixture
def store(engine: Engine) -> Store:
    made = Store(engine, keep_versions=5)
    made.migrate()
    return made


def test_no_connection_is_kept(store: Store, url: str, postgres: Postgres) -> None:
    store.load()
    store.record_checks("here", {})
    assert postgres.connections(url) == 0


def test_who_finds_no_connection_free_waits_for_one(store: Store, url: str) -> None:
    other = connecting.connect(postgres_url(url))
    freed = threading.Timer(0.3, other.close)
    freed.start()
    assert store.load() == {}
    freed.join()


def test_but_not_for_long(store: Store, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "PATIENCE", 0.1)
    with connecting.connect(postgres_url(url)), pytest.raises(OperationalError) as raised:
        store.load()
    assert reason(raised.value) == CROWDED


@pytest.mark.parametrize("full", ["sorry, too many clients already", "remaining connection slots"])
def test_postgres_has_several_words_for_that(full: str) -> None:
    assert reason(psycopg.OperationalError(f"connection failed: FATAL: {full}")) == CROWDED


def test_a_change_that_somebody_never_ends_is_waited_for_a_while(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "LIMITS", connecting.LIMITS.replace("'10s'", "'50ms'"))
    engine = open_engine(postgres.new_database(), Path())
    store = Store(engine, keep_versions=5)
    store.migrate()
    with engine.begin() as stopped:
        stopped.exec_driver_sql("UPDATE tabpy_state SET revision = revision")
        with pytest.raises(OperationalError) as raised:
            store.record_checks("here", {})
    assert reason(raised.value) == LOCKED


def test_and_then_postgres_ends_it(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_engine(postgres.new_database(), Path())
    store = Store(engine, keep_versions=5)
    store.migrate()
    with monkeypatch.context() as hasty:
        limits = connecting.LIMITS.replace("session_timeout = '25s'", "session_timeout = '200ms'")
        hasty.setattr(connecting, "LIMITS", limits)
        stopped = engine.connect()
        stopped.exec_driver_sql("UPDATE tabpy_state SET revision = revision + 10")
    began = time.monotonic()
    store.record_checks("here", {})  # waits until it is gone
    assert time.monotonic() - began < 5
    assert store.revision() == 2
    stopped.invalidate()
    stopped.close()


def test_what_the_url_says_goes_before(postgres: Postgres) -> None:
    url = make_url(postgres_url(postgres.new_database())).update_query_dict(
        {"application_name": "mine"}
    )
    with connecting.connect(url) as connection:
        assert connection.execute("SHOW application_name").fetchone() == ("mine",)
