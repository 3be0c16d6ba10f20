"""What a server from before 3.0.0 does with the tables: those it made, and its own statements.

It is the oldest one whose tables are taken as they are. Nothing here follows the code of today:
while servers are replaced one after the other, both work on one database.
"""

import hashlib
import json
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, text

TABLES = """
CREATE TABLE tabpy_state (
    id INTEGER NOT NULL, schema_version INTEGER NOT NULL, revision BIGINT NOT NULL,
    PRIMARY KEY (id));
CREATE TABLE tabpy_endpoints (
    name TEXT NOT NULL, version INTEGER NOT NULL, last_version INTEGER NOT NULL,
    description TEXT NOT NULL, creation_time BIGINT NOT NULL, last_modified_time BIGINT NOT NULL,
    PRIMARY KEY (name));
CREATE TABLE tabpy_archives (
    sha256 TEXT NOT NULL, size BIGINT NOT NULL, creation_time BIGINT NOT NULL,
    PRIMARY KEY (sha256));
CREATE TABLE tabpy_archive_parts (
    sha256 TEXT NOT NULL, part INTEGER NOT NULL, data {bytes} NOT NULL,
    PRIMARY KEY (sha256, part),
    FOREIGN KEY(sha256) REFERENCES tabpy_archives (sha256) ON DELETE CASCADE);
CREATE TABLE tabpy_versions (
    name TEXT NOT NULL, version INTEGER NOT NULL, sha256 TEXT NOT NULL, code TEXT NOT NULL,
    docstring TEXT NOT NULL, creation_time BIGINT NOT NULL,
    PRIMARY KEY (name, version),
    FOREIGN KEY(name) REFERENCES tabpy_endpoints (name) ON DELETE CASCADE,
    FOREIGN KEY(sha256) REFERENCES tabpy_archives (sha256));
CREATE TABLE tabpy_origins (origin TEXT NOT NULL, PRIMARY KEY (origin));
INSERT INTO tabpy_state (id, schema_version, revision) VALUES (1, 1, 1)
"""
# The fields that it takes; any other stops it from reading anything.
METADATA: dict[str, Any] = {
    "type": "model",
    "description": "",
    "docstring": "",
    "methods": [],
    "dependencies": [],
    "target": None,
    "schema": None,
    "is_public": False,
}
CODE = {"sha256", "size", "python", "packages", "requirements", "origin"}


@dataclass(frozen=True)
class Serving:
    """What it knows of an endpoint; an alias has no archive."""

    version: int
    metadata: dict[str, Any]
    archive: bytes | None


class OldServer:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def make_tables(self) -> None:
        kind = "BYTEA" if self._engine.dialect.name == "postgresql" else "BLOB"
        with self._engine.begin() as connection:
            for each in TABLES.format(bytes=kind).split(";"):
                connection.execute(text(each))

    def deploy(self, name: str, archive: bytes, **metadata: Any) -> int:
        """A new endpoint, or a new version; which it is."""
        sha256 = hashlib.sha256(archive).hexdigest()
        code = {"sha256": sha256, "size": len(archive), "python": "", "packages": {}}
        code |= {"requirements": [], "origin": ""}
        row: dict[str, Any] = {
            "name": name,
            "sha256": sha256,
            "size": len(archive),
            "now": int(time.time()),
        }
        row |= {
            "data": archive,
            "code": json.dumps(code),
            "docstring": '""',
            "now": int(time.time()),
        }
        with self._changing() as connection:
            connection.execute(
                text("INSERT INTO tabpy_archives VALUES (:sha256, :size, :now)"), row
            )
            connection.execute(
                text("INSERT INTO tabpy_archive_parts VALUES (:sha256, 0, :data)"), row
            )
            last = connection.execute(
                text("SELECT last_version, description FROM tabpy_endpoints WHERE name = :name"),
                row,
            ).one_or_none()
            row["version"] = 1 if last is None else last.last_version + 1
            before = METADATA if last is None else _strictly(last.description, METADATA.keys())
            row["description"] = json.dumps({**before, **metadata})
            connection.execute(
                text(
                    "INSERT INTO tabpy_endpoints (name, version, last_version, description, "
                    "creation_time, last_modified_time) "
                    "VALUES (:name, :version, :version, :description, :now, :now)"
                    if last is None
                    else "UPDATE tabpy_endpoints SET description = :description, "
                    "last_modified_time = :now, version = :version, last_version = :version "
                    "WHERE name = :name"
                ),
                row,
            )
            connection.execute(
                text(
                    "INSERT INTO tabpy_versions "
                    "(name, version, sha256, code, docstring, creation_time) "
                    "VALUES (:name, :version, :sha256, :code, :docstring, :now)"
                ),
                row,
            )
        return int(row["version"])

    def roll_back(self, name: str, version: int) -> None:
        with self._changing() as connection:
            connection.execute(
                text("UPDATE tabpy_endpoints SET version = :version WHERE name = :name"),
                {"name": name, "version": version},
            )

    def delete(self, name: str) -> None:
        with self._changing() as connection:
            for statement in (
                "DELETE FROM tabpy_versions WHERE name = :name",
                "DELETE FROM tabpy_endpoints WHERE name = :name",
                "DELETE FROM tabpy_archives "
                "WHERE sha256 NOT IN (SELECT sha256 FROM tabpy_versions)",
            ):
                connection.execute(text(statement), {"name": name})

    def serving(self) -> dict[str, Serving]:
        """What it would answer for, by name. Raises AssertionError for what it can't read."""
        with self._engine.begin() as connection:
            (version,) = connection.execute(text("SELECT schema_version FROM tabpy_state")).one()
            assert version == 1, "it starts with no later tables"
            rows = connection.execute(
                text(
                    "SELECT e.name, e.version, e.description, v.sha256, v.code, p.data "
                    "FROM tabpy_endpoints e "
                    "LEFT JOIN tabpy_versions v ON v.name = e.name AND v.version = e.version "
                    "LEFT JOIN tabpy_archive_parts p ON p.sha256 = v.sha256"
                )
            ).all()
        for row in rows:
            if row.code is not None:
                assert _strictly(row.code, CODE)["sha256"] == row.sha256
        return {
            row.name: Serving(
                row.version,
                _strictly(row.description, METADATA.keys()),
                None if row.data is None else bytes(row.data),
            )
            for row in rows
        }

    @contextmanager
    def _changing(self) -> Iterator[Connection]:
        """One transaction that counts the revision up, and tells the others."""
        with (
            self._engine.connect().execution_options(writes=True) as connection,
            connection.begin(),
        ):
            connection.execute(text("UPDATE tabpy_state SET revision = revision + 1"))
            yield connection
            if connection.dialect.name == "postgresql":
                connection.execute(text("NOTIFY tabpy"))


def _strictly(stored: str, known: Collection[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stored)
    assert set(found) <= set(known), "a field that it doesn't know stops it"
    return found
