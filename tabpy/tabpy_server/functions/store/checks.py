"""What is known of archives that are stored: whether they can be loaded, and if not, why.

That depends on where: servers with other Pythons or packages may share a database.
"""

import json
import time
from collections.abc import Mapping

from sqlalchemy import BigInteger, Connection, delete, func, insert, literal, select

from tabpy.tabpy_server.functions.store.schema import archives, checks

REASON_LIMIT = 2_000  # characters, since every web process keeps them all in memory
ENVIRONMENTS_KEPT = 8  # those that were checked last


def found(connection: Connection, environment: str) -> dict[str, str]:
    """Return by SHA-256 why archives can't be loaded in an environment; "" for one that can."""
    rows = connection.execute(
        select(checks.c.sha256, checks.c.reason).where(checks.c.environment == environment)
    )
    return {sha256: json.loads(reason) for sha256, reason in rows}


def record(connection: Connection, environment: str, reasons: Mapping[str, str]) -> None:
    """Store what `found` is to return, in place of what is stored of the same archives; nothing of
    archives that aren't there any more."""
    connection.execute(
        delete(checks).where(
            checks.c.environment == environment, checks.c.sha256.in_(list(reasons))
        )
    )
    for sha256, reason in reasons.items():
        row = select(
            archives.c.sha256,
            literal(environment),
            literal(json.dumps(reason[:REASON_LIMIT])),
            literal(int(time.time()), BigInteger),
        ).where(archives.c.sha256 == sha256)
        columns = [checks.c.sha256, checks.c.environment, checks.c.reason, checks.c.time]
        connection.execute(insert(checks).from_select(columns, row))
    kept = (
        select(checks.c.environment)
        .group_by(checks.c.environment)
        .order_by(func.max(checks.c.time).desc(), checks.c.environment)
        .limit(ENVIRONMENTS_KEPT)
    )
    connection.execute(delete(checks).where(checks.c.environment.not_in(kept)))
