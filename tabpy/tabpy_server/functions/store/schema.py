"""The tables, and how an older database becomes what this version needs.

Texts that people wrote are kept inside JSON with everything but ASCII escaped: no database's
idea of encodings, NUL characters or quoting can change them.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    insert,
    inspect,
    select,
    text,
    update,
)

from tabpy.tabpy_server.errors import StartError

metadata = MetaData()

# One row. Each change counts `revision` up, which also makes all writers wait for each other.
state = Table(
    "tabpy_state",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("schema_version", Integer, nullable=False),
    Column("revision", BigInteger, nullable=False),
)
endpoints = Table(
    "tabpy_endpoints",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, nullable=False),  # the one that answers
    Column("last_version", Integer, nullable=False),  # the highest ever given, removed ones too
    Column("description", Text, nullable=False),  # JSON
    Column("creation_time", BigInteger, nullable=False),
    Column("last_modified_time", BigInteger, nullable=False),
)
archives = Table(
    "tabpy_archives",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("creation_time", BigInteger, nullable=False),
)
archive_parts = Table(
    "tabpy_archive_parts",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("data", LargeBinary, nullable=False),
    ForeignKeyConstraint(["sha256"], ["tabpy_archives.sha256"], ondelete="CASCADE"),
)
versions = Table(
    "tabpy_versions",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("sha256", Text, nullable=False),
    Column("code", Text, nullable=False),  # JSON
    Column("docstring", Text, nullable=False),  # JSON: it goes with the code
    Column("creation_time", BigInteger, nullable=False),
    Column("author", Text),  # JSON; NULL where nobody had signed in, and in older rows
    Column("pure", Boolean),  # NULL in rows that older servers wrote: nobody has said so
    ForeignKeyConstraint(["name"], ["tabpy_endpoints.name"], ondelete="CASCADE"),
    ForeignKeyConstraint(["sha256"], ["tabpy_archives.sha256"]),
)
# What was once deployed by itself: from a state folder of TabPy's, which isn't done again even if
# the function was removed; from the checkout, which doesn't take the place of what came since.
origins = Table("tabpy_origins", metadata, Column("origin", Text, primary_key=True))
# Whether an archive can be loaded, where: see `checks`. Earlier versions don't know this table, and
# needn't: it is made for the first one that does.
checks = Table(
    "tabpy_checks",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("environment", Text, primary_key=True),
    Column("reason", Text, nullable=False),  # JSON; "" for one that can
    Column("time", BigInteger, nullable=False),
    ForeignKeyConstraint(["sha256"], ["tabpy_archives.sha256"], ondelete="CASCADE"),
)

# Counts up when older servers couldn't use the tables any more: they start with no later ones. A
# column that may be NULL is nothing to them.
SCHEMA_VERSION = 1
LOCK = 0x7461627079  # any number; Postgres's advisory locks are named by one


def migrate(connection: Connection) -> None:
    """Make the tables, or bring them up to date; any number of servers may do it at once.

    Raises StartError for tables of a later version than this one knows, and leaves them alone.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    state.create(connection, checkfirst=True)
    found = connection.execute(select(state.c.schema_version)).scalar()
    if found is not None and found > SCHEMA_VERSION:
        raise StartError(
            f"The store was last used by a later version of this server (its tables are version "
            f"{found}, this server knows {SCHEMA_VERSION}): run that version or a newer one."
        )
    metadata.create_all(connection)
    _add_columns(connection)
    if found is None:
        connection.execute(insert(state).values(id=1, schema_version=SCHEMA_VERSION, revision=1))
    elif found < SCHEMA_VERSION:  # nothing to alter yet: the first version
        connection.execute(update(state).values(schema_version=SCHEMA_VERSION))


def _add_columns(connection: Connection) -> None:
    """Add the columns that the tables of earlier servers don't have."""
    there = {column["name"] for column in inspect(connection).get_columns(versions.name)}
    for name, kind in (("author", "TEXT"), ("pure", "BOOLEAN")):
        if name not in there:
            connection.execute(text(f"ALTER TABLE {versions.name} ADD COLUMN {name} {kind}"))
