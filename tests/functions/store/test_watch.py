"""A change by somebody else is noticed, whatever has become of the database in between."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, create_engine, event, make_url

from tabpy.tabpy_server.functions.store import reasons
from tabpy.tabpy_server.functions.store import watch as watching
from tabpy.tabpy_server.functions.store.database import open_engine
from tabpy.tabpy_server.functions.store.store import Store
from tabpy.tabpy_server.functions.store.watch import watch, watch_once
from tabpy.tabpy_server.functions.turn import Turn
from tests.functions.building import add_alias, add_model
from tests.postgres import Postgres
from tests.running import until

HOLD_LOCK = """
import fcntl, sys
fcntl.lockf(int(sys.argv[1]), fcntl.LOCK_EX)
print("have it", flush=True)
sys.stdin.read()
"""


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

    watch_once(engine, changed, nullcontext)
    assert seen[0] == 0
    assert seen[-1] >= 1


def test_an_error_of_sqlites_own_ends_one_connection_and_not_the_watch(
    store: Store, engine: Engine, connections: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    def changed() -> None:
        connections[-1].set_authorizer(lambda *_: sqlite3.SQLITE_DENY)  # and fails ever after

    engine.dispose()
    watch_once(engine, changed, nullcontext)
    assert "The store can't be watched: The database failed (DatabaseError)" in caplog.text
    watch_once(engine, changed, nullcontext)
    assert len(connections) == 2, "not the broken one again"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_watch_goes_on_after_an_error(store: Store, engine: Engine) -> None:
    rounds: list[None] = []

    def changed() -> None:
        rounds.append(None)
        if len(rounds) == 1:
            raise sqlite3.OperationalError
        raise SystemExit  # the one way out, which only a test takes

    watch(engine, changed, nullcontext)
    for thread in threading.enumerate():
        if thread.name == "watch":
            thread.join(10)
    assert len(rounds) == 2


# --- Postgres ---


class Watched:
    """A store in Postgres that is watched on a thread, until `over`."""

    def __init__(self, engine: Engine) -> None:
        self.store = Store(engine, keep_versions=5)
        self.store.migrate()
        self.seen = 0
        self.over = False
        self.why = ""
        self._engine = engine
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        self.why = watch_once(self._engine, self._changed, nullcontext)

    def _changed(self) -> None:
        if self.over:
            raise EnoughError
        self.seen += 1

    def end(self) -> None:
        self.over = True
        if self._thread.is_alive():
            self.store.record_checks("another", {})  # a change, without anything else
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def database(postgres: Postgres) -> str:
    return postgres.new_database()


@pytest.fixture
def watched(database: str) -> Iterator[Callable[[], Watched]]:
    """Begin to watch."""
    made: list[Watched] = []

    def begin() -> Watched:
        made.append(Watched(open_engine(database, Path())))
        until(lambda: made[-1].seen == 1, "what was there before counts as a change")
        return made[-1]

    yield begin
    for each in made:
        each.end()


def test_a_word_of_postgres_is_a_change(watched: Callable[[], Watched], tmp_path: Path) -> None:
    watching_it = watched()
    for name in ("f", "g"):
        seen = watching_it.seen
        add_model(watching_it.store, tmp_path, name)
        until(lambda: watching_it.seen > seen, "it is heard", seconds=5)  # noqa: B023


def test_a_change_that_nobody_has_told_of_is_found_in_time(
    watched: Callable[[], Watched], database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pooler may swallow what Postgres says."""
    monkeypatch.setattr(watching, "LISTEN_FOR", 0.05)
    watching_it = watched()
    with psycopg.connect(database.replace("postgres:", "postgresql:", 1)) as other:
        other.execute("UPDATE tabpy_state SET revision = revision + 1")
    until(lambda: watching_it.seen == 2, "it is found", seconds=5)


def test_who_listens_keeps_a_connection(
    watched: Callable[[], Watched], database: str, postgres: Postgres
) -> None:
    watched()
    assert postgres.connections(database) == 1


def test_where_connections_are_few_nobody_keeps_one_and_changes_are_found(
    watched: Callable[[], Watched],
    database: str,
    postgres: Postgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "ASK_AFTER", (0.2, 0.2))
    with psycopg.connect(database.replace("postgres:", "postgresql:", 1), autocommit=True) as other:
        name = make_url(database).database
        other.execute(f"ALTER DATABASE {name} CONNECTION LIMIT {watching.LEFT_FREE + 1}".encode())
        watching_it = watched()  # with `other`, one fewer is left than has to be
        until(lambda: postgres.connections(database) == 1, "only the other keeps one", seconds=5)
        add_model(watching_it.store, tmp_path, "f")
        until(lambda: watching_it.seen == 2, "it is found", seconds=5)
    until(
        lambda: postgres.connections(database, older=0.5) == 1,
        "there are enough again, and one is kept",
        seconds=5,
    )


def test_a_connection_that_is_cut_ends_the_watch_with_the_reason(
    watched: Callable[[], Watched], database: str
) -> None:
    watching_it = watched()
    with psycopg.connect(database.replace("postgres:", "postgresql:", 1)) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    until(lambda: watching_it.why, "it has ended", seconds=5)
    assert watching_it.why == reasons.CUT


def test_the_same_reason_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    gone = create_engine("postgresql+psycopg://nobody@no-such-host.invalid/nothing")
    told = ""
    for _ in range(3):
        told = watch_once(gone, print, nullcontext, told)
    assert told.startswith("The host name in TABPY_DATABASE_URL")
    assert len(caplog.records) == 1


def test_one_web_process_has_the_turn_and_the_next_one_takes_it_when_that_dies() -> None:
    turn = Turn()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, str(turn._file)],
        pass_fds=[turn._file],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()  # it has it
        taken: list[int] = []

        def take() -> None:
            with turn.taken():
                taken.append(1)

        waiting = threading.Thread(target=take)
        waiting.start()
        waiting.join(0.2)
        assert taken == []
        holder.kill()
        waiting.join(10)
        assert taken == [1]
