"""Notices that somebody else has changed the store: another web process, another dyno.

Runs on a thread of its own, since both homes are waited for with blocking calls.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator

import psycopg
from sqlalchemy import Engine

from tabpy.tabpy_server.functions.store.reasons import reason
from tabpy.tabpy_server.functions.store.store import CHANNEL

logger = logging.getLogger(__name__)

COUNTER_INTERVAL = 0.25  # seconds between looks at SQLite's counter, which cost microseconds
RECONNECT_AFTER = 1.0  # seconds
LISTEN_FOR = 15.0  # seconds after which a silent Postgres is asked whether it's still there


def watch(engine: Engine, changed: Callable[[], None]) -> None:
    """Call `changed` from a thread whenever the store may have changed, until the process ends."""

    def run() -> None:
        while True:
            watch_once(engine, changed)
            time.sleep(RECONNECT_AFTER)

    threading.Thread(target=run, name="watch", daemon=True).start()


def watch_once(engine: Engine, changed: Callable[[], None]) -> None:
    """Call `changed` whenever the store may have changed, until its database fails."""
    try:
        for _ in _changes(engine):
            changed()
    # SQLAlchemy's errors and both drivers' own; and whatever else it is, a watcher that ended would
    # leave this process with old functions for ever. Its text may quote the connection's URL.
    except Exception as error:  # noqa: BLE001
        logger.warning("The store can't be watched: %s", reason(error))


def _changes(engine: Engine) -> Iterator[None]:
    return _notifications(engine) if engine.dialect.name == "postgresql" else _counted(engine)


def _counted(engine: Engine) -> Iterator[None]:
    """Yield when SQLite's counter differs, as it does after a commit by another connection; asking
    touches no page. https://www.sqlite.org/pragma.html#pragma_data_version"""
    seen = None
    with engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        while True:
            try:
                counter = raw.execute("PRAGMA data_version").fetchone()
            except sqlite3.Error:
                connection.invalidate()  # so that the next one is another
                raise
            if counter != seen:
                seen = counter
                yield
            time.sleep(COUNTER_INTERVAL)


def _notifications(engine: Engine) -> Iterator[None]:
    """Yield for what Postgres says on our channel."""
    # A connection of its own: the pool's must not be kept from others for ever.
    with psycopg.connect(
        **engine.dialect.create_connect_args(engine.url)[1], autocommit=True
    ) as own:
        own.execute(f"LISTEN {CHANNEL}")
        yield  # there may have been changes before LISTEN
        while True:
            if list(own.notifies(timeout=LISTEN_FOR, stop_after=1)):
                yield
            else:
                own.execute("SELECT 1")  # raises when the connection is gone without a word
