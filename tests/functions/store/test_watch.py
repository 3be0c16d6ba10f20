"""A change by somebody else is noticed, whatever has become of the database in between."""

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, create_engine, event

from tabpy.tabpy_server.functions.store import watch as watching
from tabpy.tabpy_server.functions.store.store import Store
from tabpy.tabpy_server.functions.store.watch import watch, watch_once
from tests.functions.building import add_alias, add_model


class EnoughError(Exception):
    """Ends a watch, which would go on for as long as the process does."""


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "COUNTER_INTERVAL", 0)
    monkeypatch.setattr(watching, "RECONNECT_AFTER", 0)


@pytest.fixture
def connections(engine: Engine) -> list[Any]:
    """The driver's connections, in the order in which they were opened."""
    opened: list[Any] = []
    event.listen(engine, "connect", lambda connection, _: opened.append(connection))
    return opened


def test_a_commit_by_another_connection_is_a_change(
    store: Store, engine: Engine, tmp_path: Path
) -> None:
    seen = []

    def changed() -> None:
        seen.append(len(store.load()))
        if len(seen) == 3:
            raise EnoughError
        if len(seen) == 1:  # the first look counts, too: what was before it isn't known
            add_model(store, tmp_path, "f")
        else:
            add_alias(store, "a", "f")

    watch_once(engine, changed)
    assert seen[0] == 0
    assert seen[-1] >= 1


def test_an_error_of_sqlites_own_ends_one_connection_and_not_the_watch(
    store: Store, engine: Engine, connections: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    def changed() -> None:
        connections[-1].set_authorizer(lambda *_: sqlite3.SQLITE_DENY)  # and fails ever after

    engine.dispose()
    watch_once(engine, changed)
    assert "The store can't be watched: The database failed (DatabaseError)" in caplog.text
    watch_once(engine, changed)
    assert len(connections) == 2, "not the broken one again"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_watch_goes_on_after_an_error(store: Store, engine: Engine) -> None:
    rounds: list[None] = []

    def changed() -> None:
        rounds.append(None)
        if len(rounds) == 1:
            raise sqlite3.OperationalError
        raise SystemExit  # the one way out, which only a test takes

    watch(engine, changed)
    for thread in threading.enumerate():
        if thread.name == "watch":
            thread.join(10)
    assert len(rounds) == 2


class FakePostgres:
    """Stands in for psycopg's connection: nobody notifies, and what's executed is noted."""

    def __init__(self, notifications: list[list[str]]) -> None:
        self.executed: list[str] = []
        self._notifications = iter(notifications)

    def __enter__(self) -> "FakePostgres":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None: ...

    def execute(self, statement: str) -> None:
        self.executed.append(statement)

    def notifies(self, timeout: float, stop_after: int) -> Iterator[str]:
        assert (timeout, stop_after) == (watching.LISTEN_FOR, 1)
        try:
            yield from next(self._notifications)
        except StopIteration:
            raise psycopg.OperationalError from None


@pytest.fixture
def postgres_engine() -> Engine:
    """Never connects by itself: the watch has a connection of its own."""
    return create_engine("postgresql+psycopg://nobody@nowhere/nothing")


@pytest.mark.parametrize(
    ("notifications", "changes", "asked"),
    [([], 1, 0), ([["tabpy"]], 2, 0), ([[]], 1, 1), ([[], ["tabpy"], [], []], 2, 3)],
)
def test_a_postgres_that_says_nothing_is_asked_whether_it_is_there(
    postgres_engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    notifications: list[list[str]],
    changes: int,
    asked: int,
) -> None:
    fake = FakePostgres(notifications)
    monkeypatch.setattr(psycopg, "connect", lambda **_: fake)
    seen: list[None] = []
    watch_once(postgres_engine, lambda: seen.append(None))
    assert len(seen) == changes  # one for what may have been before
    assert fake.executed == ["LISTEN tabpy"] + ["SELECT 1"] * asked
