"""A store that fails says what to do, and nothing of its URL's password; the databases are real."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, make_url
from sqlalchemy.exc import SQLAlchemyError

from tabpy.tabpy_server.errors import DiskFullError, StartError
from tabpy.tabpy_server.functions.store import reasons
from tabpy.tabpy_server.functions.store.database import open_engine, postgres_url
from tabpy.tabpy_server.functions.store.reasons import reason, telling_full_disk, trouble
from tests.postgres import Postgres
from tests.running import free_port

SECRET = "obviously-fake"


def execute(engine: Engine, statements: Iterable[str]) -> None:
    with engine.begin() as connection:
        for each in statements:
            connection.exec_driver_sql(each)


@pytest.fixture
def failure(tmp_path: Path) -> Iterator[Callable[..., Exception]]:
    """What an engine raises when it is asked for something, after statements that prepare it."""
    with contextlib.ExitStack() as opened:

        def fail(url: str, *statements: str) -> Exception:
            engine: Engine = open_engine(url, tmp_path)
            opened.callback(engine.dispose)
            with pytest.raises(SQLAlchemyError) as raised:
                execute(engine, statements or ("SELECT 1",))
            assert SECRET not in reason(raised.value)
            return raised.value

        yield fail


# --- Postgres: connecting ---


def test_a_host_that_nobody_knows(failure: Callable[..., Exception]) -> None:
    error = failure(f"postgres://me:{SECRET}@no-such-host.invalid/functions")
    assert reason(error) == (
        "The host name in TABPY_DATABASE_URL, no-such-host.invalid, has no address: check it, and "
        "the network."
    )


def test_a_port_where_nothing_listens(failure: Callable[..., Exception]) -> None:
    port = free_port()
    error = failure(f"postgres://me:{SECRET}@127.0.0.1:{port}/functions")
    assert reason(error) == (
        f"Nothing listens at 127.0.0.1, port {port}: check that Postgres runs, and host and port "
        "in TABPY_DATABASE_URL."
    )


def test_a_database_that_is_not_there(
    failure: Callable[..., Exception], postgres: Postgres
) -> None:
    url = make_url(postgres.new_database()).set(database="nowhere")
    assert reason(failure(url.render_as_string(hide_password=False))) == reasons.NO_DATABASE


@pytest.mark.parametrize("user", ["locked_out", "nobody_of_that_name"])
def test_a_user_or_a_password_that_postgres_refuses(
    failure: Callable[..., Exception], postgres: Postgres, user: str
) -> None:
    with postgres.asking_for_passwords("locked_out"):
        url = make_url(postgres.new_database()).set(username=user, password=SECRET)
        error = failure(url.render_as_string(hide_password=False))
    assert reason(error) == reasons.PASSWORD


def test_a_database_that_has_stopped(failure: Callable[..., Exception], postgres: Postgres) -> None:
    url = postgres.new_database()
    postgres.stop()
    try:
        error = failure(url)
    finally:
        postgres.start()
    assert reason(error).startswith("Nothing listens at its host and port: check that Postgres")


def test_a_host_that_may_be_a_part_of_the_password_is_not_shown() -> None:
    error = psycopg.OperationalError(f"failed to resolve host '{SECRET}@host': no such host")
    assert SECRET not in reason(error)


@pytest.mark.parametrize("rest", [f"p@{SECRET}@host/name", f"p@{SECRET}/word@host"])
def test_a_url_with_two_ats_is_refused_without_a_part_of_the_password(rest: str) -> None:
    with pytest.raises(StartError, match="more than one @: in a user or password write") as raised:
        postgres_url(f"postgres://me:{rest}")
    assert SECRET not in str(raised.value)


# --- Postgres: a statement ---


def raising(state: str) -> str:
    return f"DO $$ BEGIN RAISE EXCEPTION 'so' USING ERRCODE = '{state}'; END $$"


def test_a_full_disk_of_postgres(failure: Callable[..., Exception], postgres: Postgres) -> None:
    error = failure(postgres.new_database(), raising("53100"))
    assert trouble(error) == (reasons.FULL_DATABASE, True)


def test_a_database_that_takes_no_changes(
    failure: Callable[..., Exception], postgres: Postgres
) -> None:
    error = failure(
        postgres.new_database(), "SET TRANSACTION READ ONLY", "CREATE TABLE t (x INTEGER)"
    )
    assert trouble(error) == (reasons.READ_ONLY, False)


def test_a_table_that_another_program_has_locked(
    failure: Callable[..., Exception], postgres: Postgres
) -> None:
    url = postgres.new_database()
    with psycopg.connect(url.replace("postgres:", "postgresql:", 1)) as other:
        other.execute("CREATE TABLE t (x INTEGER)")
        other.commit()
        other.execute("LOCK TABLE t")
        error = failure(url, "SET lock_timeout = 1", "SELECT * FROM t")
    assert reason(error) == reasons.LOCKED


def test_what_nobody_thought_of_is_called_by_its_class(
    failure: Callable[..., Exception], postgres: Postgres
) -> None:
    error = failure(postgres.new_database(), f"SELECT '{SECRET} refused'::integer")
    assert reason(error) == ("The database failed (InvalidTextRepresentation): look into its log.")


# --- SQLite ---


def test_a_file_that_is_no_database(failure: Callable[..., Exception], tmp_path: Path) -> None:
    (tmp_path / "tabpy.db").write_bytes(b"no database, whatever it is" * 100)
    assert reason(failure("")) == reasons.DAMAGED


def test_a_file_that_cannot_be_opened(failure: Callable[..., Exception], tmp_path: Path) -> None:
    (tmp_path / "tabpy.db").mkdir()
    assert reason(failure("")) == reasons.NO_PLACE


def test_a_file_that_another_program_has_locked(
    failure: Callable[..., Exception], tmp_path: Path
) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "tabpy.db")) as other:
        other.execute("CREATE TABLE t (x INTEGER)")
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("BEGIN IMMEDIATE")
        error = failure("", "PRAGMA busy_timeout = 1", "INSERT INTO t VALUES (1)")
    assert reason(error) == reasons.LOCKED


def test_a_file_that_may_not_grow(failure: Callable[..., Exception], tmp_path: Path) -> None:
    error = failure("", "PRAGMA max_page_count = 3", *(f"CREATE TABLE t{n} (x)" for n in range(9)))
    assert trouble(error) == (reasons.FULL_STATE, True)


# --- files ---


def test_a_full_disk_is_told_and_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(DiskFullError) as raised, telling_full_disk():
        Path("/dev/full").write_bytes(b"x")
    assert raised.value.info.startswith(reasons.FULL_STATE)
    with pytest.raises(FileNotFoundError), telling_full_disk():
        (tmp_path / "not there").read_bytes()


def test_a_systems_error_names_no_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        (tmp_path / "not there").read_bytes()
    assert reason(raised.value) == (
        "The state folder (TABPY_STATE_PATH) can't be used: No such file or directory."
    )
