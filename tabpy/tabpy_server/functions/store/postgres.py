"""Connections to Postgres: few, short, and none that waits for ever.

Small plans allow 20, and any number of web processes share them. So each operation has a connection
of its own and gives it back, and whoever finds none free tries again for a moment.
"""

import random
import time
from typing import Any

import psycopg
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event

from tabpy.tabpy_server.functions.store.reasons import CROWDED, reason

PATIENCE = 5.0  # seconds to find a free connection
PAUSE = (0.05, 0.25)  # seconds between tries, by chance: those who wait come at different times
# A host that vanishes without a word is noticed in less than half a minute: see
# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
OPTIONS: dict[str, Any] = {
    "application_name": "tabpy",
    "connect_timeout": 10,  # seconds
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # milliseconds
    "prepare_threshold": None,  # a pooler would give what was prepared to others
}
# The last one is for a server that stops in the middle of a change: everybody's changes wait for
# its end. Set in each transaction, since a pooler may give it another connection.
LIMITS = """
SET LOCAL lock_timeout = '10s';
SET LOCAL statement_timeout = '25s';
SET LOCAL idle_in_transaction_session_timeout = '25s'
"""


def open_postgres(url: URL) -> Engine:
    """Return an engine that connects for each transaction."""
    engine = create_engine(url, poolclass=NullPool, creator=lambda: connect(url))

    @event.listens_for(engine, "begin")
    def limit(connection: Connection) -> None:
        connection.exec_driver_sql(LIMITS)

    return engine


def connect(url: URL) -> psycopg.Connection:
    """Return a new connection; what `url` says of `OPTIONS` goes before these. Raises
    psycopg.OperationalError, also when none was free for `PATIENCE`."""
    arguments = {**OPTIONS, **url.get_dialect()().create_connect_args(url)[1]}
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return psycopg.connect(**arguments)
        except psycopg.OperationalError as error:
            if reason(error) != CROWDED or time.monotonic() > until:
                raise
        time.sleep(random.uniform(*PAUSE))  # nosec B311 # noqa: S311
