"""Opens the store's database: SQLite in the state folder, or the Postgres of TABPY_DATABASE_URL."""

import contextlib
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from tabpy.tabpy_server.errors import StartError
from tabpy.tabpy_server.functions.store.postgres import open_postgres

LOCAL = {"localhost", "127.0.0.1", "::1", None}


def open_engine(database_url: str, state_path: Path) -> Engine:
    """Return the store's engine, which connects only when it is first used. `state_path` is for
    SQLite's file. Raises StartError for an URL that isn't Postgres's."""
    if not database_url:
        return _sqlite(state_path / "tabpy.db")
    return open_postgres(postgres_url(database_url))


def postgres_url(database_url: str) -> URL:
    """Return the URL for psycopg of `postgres://…` as platforms give it, encrypted unless it stays
    on this machine.

    Raises StartError, which never quotes the URL: it has a password in it.
    """
    try:
        url = make_url(database_url)
    except ArgumentError:
        raise StartError(
            "TABPY_DATABASE_URL is no URL: expected postgres://user:password@host/name."
        ) from None
    if "@" in f"{url.host}{url.database}":  # else a part of the password would be shown as a host
        raise StartError(
            "TABPY_DATABASE_URL has more than one @: in a user or password write %40 for @, %2F "
            "for / and %3A for :."
        )
    if url.drivername not in ("postgres", "postgresql", "postgresql+psycopg"):
        raise StartError(
            f"TABPY_DATABASE_URL names {url.drivername}: only postgres:// is supported. Unset it "
            "to keep functions in TABPY_STATE_PATH."
        )
    url = url.set(drivername="postgresql+psycopg")
    local = url.host in LOCAL and str(url.query.get("host", "/")).startswith("/")
    if not local and "sslmode" not in url.query:
        url = url.update_query_dict({"sslmode": "require"})
    return url


def _sqlite(file: Path) -> Engine:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.suppress(OSError):  # connecting says why
        file.touch(mode=0o600)  # whoever reads functions may read what is secret in them
    engine = create_engine(URL.create("sqlite", database=str(file)), connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def set_up(connection: object, _: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]  # we say BEGIN, below
        cursor = connection.cursor()  # type: ignore[attr-defined]
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")  # acknowledged means on the disk
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads first and writes later can't get the lock any more when another
        # has written in between; who will write says so at once and waits.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
