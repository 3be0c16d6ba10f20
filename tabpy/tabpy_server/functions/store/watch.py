"""Noticing that somebody else has changed the store: another web process, another dyno.

Runs on a thread of its own, since both homes are waited for with blocking calls.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator

import psycopg
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from tabpy.tabpy_server.functions.store.store import CHANNEL

logger = logging.getLogger(__name__)

LOOK_EVERY = 0.25  # seconds between looks at SQLite's counter, which cost microseconds
RECONNECT_AFTER = 1.0  # seconds
LISTEN_FOR = 15.0  # seconds after which a silent Postgres is asked whether it's still there


def watch(engine: Engine, changed: Callable[[], None]) -> None:
    """Call `changed` from a thread whenever the store may have changed, until the process ends."""

    def run() -> None:
        while True:
            try:
                for _ in _changes(engine):
                    changed()
            except (SQLAlchemyError, psycopg.Error) as problem:
                logger.warning("The store can't be watched: %s", type(problem).__name__)
                time.sleep(RECONNECT_AFTER)

    threading.Thread(target=run, name="watch", daemon=True).start()


def _changes(engine: Engine) -> Iterator[None]:
    return _notifications(engine) if engine.dialect.name == "postgresql" else _counted(engine)


def _counted(engine: Engine) -> Iterator[None]:
    """https://www.sqlite.org/pragma.html#pragma_data_version: differs after a commit by another
    connection, and asking touches no page of the database."""
    seen = None
    with engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        while True:
            counter = raw.execute("PRAGMA data_version").fetchone()
            if counter != seen:
                seen = counter
                yield
            time.sleep(LOOK_EVERY)


def _notifications(engine: Engine) -> Iterator[None]:
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
