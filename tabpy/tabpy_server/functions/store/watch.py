"""Notices that somebody else has changed the store: another web process, another dyno.

Runs on a thread of its own, since both homes are waited for with blocking calls.
"""

import logging
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from sqlalchemy import Engine

from tabpy.tabpy_server.functions.store.postgres import connect
from tabpy.tabpy_server.functions.store.reasons import reason
from tabpy.tabpy_server.functions.store.store import CHANNEL

logger = logging.getLogger(__name__)

COUNTER_INTERVAL = 0.25  # seconds between looks at SQLite's counter, which cost microseconds
RECONNECT_AFTER = 1.0  # seconds
LISTEN_FOR = 15.0  # seconds after which a silent Postgres is asked
LEFT_FREE = 5  # connections: when fewer are left, nobody keeps one to listen
ASK_AFTER = (1.0, 2.0)  # seconds between looks of who keeps none, by chance

# How often the store was changed, and how many connections are left for this user. What it lets
# everybody see of others' is enough: who has a `datid` is in some database.
LOOK = """
SELECT
  (SELECT revision FROM tabpy_state),
  LEAST(
    current_setting('max_connections')::int
      - current_setting('superuser_reserved_connections')::int
      - COALESCE(current_setting('reserved_connections', true)::int, 0)
      - (SELECT count(*) FROM pg_stat_activity WHERE datid IS NOT NULL),
    (SELECT NULLIF(rolconnlimit, -1) FROM pg_roles WHERE rolname = session_user)
      - (SELECT count(*) FROM pg_stat_activity WHERE usename = session_user),
    (SELECT NULLIF(datconnlimit, -1) FROM pg_database WHERE datname = current_database())
      - (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database())
  )
"""

Turn = Callable[[], AbstractContextManager[None]]


def watch(engine: Engine, changed: Callable[[], None], turn: Turn) -> None:
    """Call `changed` from a thread whenever the store may have changed, until the process ends.

    `turn` is waited for, and kept, before Postgres is asked anything: one web process of a machine
    has it at a time, and tells the others.
    """

    def run() -> None:
        told = ""
        while True:
            told = watch_once(engine, changed, turn, told)
            time.sleep(RECONNECT_AFTER)

    threading.Thread(target=run, name="watch", daemon=True).start()


def watch_once(engine: Engine, changed: Callable[[], None], turn: Turn, told: str = "") -> str:
    """Call `changed` whenever the store may have changed, until its database fails; return why. It
    is logged, too, unless that is what was `told` last."""
    try:
        for _ in _changes(engine, turn):
            told = ""
            changed()
    # SQLAlchemy's errors and both drivers' own; and whatever else it is, a watcher that ended would
    # leave this process with old functions for ever. Its text may quote the connection's URL.
    except Exception as error:  # noqa: BLE001
        if (why := reason(error)) != told:
            logger.warning("The store can't be watched: %s", why)
        return why
    return told


def _changes(engine: Engine, turn: Turn) -> Iterator[None]:
    return _heard(engine, turn) if engine.dialect.name == "postgresql" else _counted(engine)


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


def _heard(engine: Engine, turn: Turn) -> Iterator[None]:
    """Yield when Postgres's store has another revision. A word on our channel has us look at once,
    if there are connections enough to keep one for that."""
    seen = None
    with turn():
        while True:
            with connect(engine.url) as own:
                own.autocommit = True
                own.execute(f"LISTEN {CHANNEL}")  # first, so that nothing is missed in between
                while True:
                    revision, free = own.execute(LOOK).fetchone() or (None, 0)
                    if revision != seen:
                        seen = revision
                        yield
                    if free < LEFT_FREE:
                        break
                    list(own.notifies(timeout=LISTEN_FOR, stop_after=1))
            time.sleep(random.uniform(*ASK_AFTER))  # nosec B311 # noqa: S311
