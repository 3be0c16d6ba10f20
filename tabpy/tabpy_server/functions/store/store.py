"""The operations on the store. Whatever returns has been stored durably."""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, delete, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from tabpy.tabpy_server.errors import RequestError
from tabpy.tabpy_server.functions.store import schema
from tabpy.tabpy_server.functions.store.endpoint import (
    ALIAS,
    MODEL,
    ArchiveInfo,
    Endpoint,
    EndpointMetadata,
    Version,
    exists,
    unknown,
)
from tabpy.tabpy_server.functions.store.schema import (
    archive_parts,
    archives,
    endpoints,
    origins,
    state,
    versions,
)

PART = 4 << 20  # bytes; archives travel in parts, so none has to fit into memory
UNUSED_AFTER = 3600  # seconds an archive may lie there before its version is stored
CHANNEL = "tabpy"  # Postgres: NOTIFY and LISTEN

_ENDPOINTS = select(endpoints, versions.c.code).join_from(
    endpoints,
    versions,
    (versions.c.name == endpoints.c.name) & (versions.c.version == endpoints.c.version),
    isouter=True,
)


class Store:
    """Endpoints, their versions and their archives.

    Raises RequestError for what a client got wrong and SQLAlchemyError for a database that
    doesn't answer.
    """

    def __init__(self, engine: Engine, keep_versions: int) -> None:
        self._engine = engine
        self._keep = keep_versions

    def migrate(self) -> None:
        with self._writing() as connection:
            schema.migrate(connection)

    def close(self) -> None:
        self._engine.dispose()

    # Reading

    def revision(self) -> int:
        """A number that every change counts up."""
        with self._engine.connect() as connection:
            return _revision(connection)

    def load(self) -> tuple[int, dict[str, Endpoint]]:
        """The revision and all endpoints by name, as of one moment."""
        with self._engine.begin() as connection:
            revision = _revision(connection)
            found = [_endpoint(row._mapping) for row in connection.execute(_ENDPOINTS)]
        return revision, {each.name: each for each in found}

    def versions(self, name: str) -> list[Version]:
        """What can be brought back, the newest first. Raises RequestError 404."""
        query = select(versions).where(versions.c.name == name).order_by(versions.c.version.desc())
        with self._engine.begin() as connection:
            _find(connection, name)
            return [_version(row._mapping) for row in connection.execute(query)]

    def origins(self) -> set[str]:
        """What `remember` was given."""
        with self._engine.connect() as connection:
            return set(connection.scalars(select(origins.c.origin)))

    def read_archive(self, sha256: str, into: Path) -> None:
        """Write an archive to a file. Raises LookupError if it's not there, or not whole."""
        digest = hashlib.sha256()
        query = select(archive_parts.c.data).where(archive_parts.c.sha256 == sha256)
        with self._engine.connect() as connection, into.open("wb") as file:
            parts = connection.scalar(select(func.count()).select_from(query.subquery()))
            for part in range(parts or 0):
                data = connection.scalar(query.where(archive_parts.c.part == part)) or b""
                digest.update(data)
                file.write(data)
        if digest.hexdigest() != sha256:
            raise LookupError(sha256)

    # Writing

    def put_archive(self, file: Path) -> tuple[str, int]:
        """Store an archive; its SHA-256 and size."""
        with file.open("rb") as archive:
            sha256 = hashlib.file_digest(archive, "sha256").hexdigest()
            size = os.fstat(archive.fileno()).st_size
            archive.seek(0)
            now = int(time.time())
            try:
                with self._writing() as connection:
                    touched = connection.execute(
                        update(archives)
                        .where(archives.c.sha256 == sha256)
                        .values(creation_time=now)
                    )
                    if not touched.rowcount:
                        connection.execute(
                            insert(archives).values(sha256=sha256, size=size, creation_time=now)
                        )
                        for part, data in enumerate(iter(lambda: archive.read(PART), b"")):
                            connection.execute(
                                insert(archive_parts).values(sha256=sha256, part=part, data=data)
                            )
            except IntegrityError:
                pass  # another server stored the same one at the same moment
        return sha256, size

    def create(
        self, name: str, description: EndpointMetadata, code: ArchiveInfo | None, version: int = 1
    ) -> Endpoint:
        """A new endpoint. Raises RequestError 400 if there is one of that name."""
        now = int(time.time())
        with self._changing() as connection:
            if connection.scalar(select(endpoints.c.name).where(endpoints.c.name == name)):
                raise exists(name)
            _check_target(connection, name, description)
            connection.execute(
                insert(endpoints).values(
                    name=name,
                    version=version,
                    last_version=version,
                    description=_dump(asdict(description)),
                    creation_time=now,
                    last_modified_time=now,
                )
            )
            if code is not None:
                _add_version(connection, name, version, description.docstring, code)
            return _find(connection, name)

    def replace(self, name: str, changes: Mapping[str, Any], code: ArchiveInfo) -> Endpoint:
        """A new version of a model, with `changes` to fields of its `EndpointMetadata`.

        Raises RequestError 404 for an unknown name, 400 for an alias.
        """
        with self._changing() as connection:
            found = _find(connection, name)
            if found.description.type == ALIAS:
                raise RequestError(
                    400,
                    f"Endpoint '{name}' is an alias.",
                    f"Deploy to its target '{found.description.target}', or remove it first.",
                )
            description = replace(found.description, **changes)
            version = (
                1
                + connection.execute(
                    select(endpoints.c.last_version).where(endpoints.c.name == name)
                ).scalar_one()
            )
            _add_version(connection, name, version, description.docstring, code)
            _write(connection, name, description, version=version, last_version=version)
            self._forget_old_versions(connection, name, keep=version)
            return _find(connection, name)

    def change(self, name: str, changes: Mapping[str, Any]) -> Endpoint:
        """Change what `changes` names of a description; the version stays.

        Raises RequestError 404 for an unknown name, 400 for an impossible target.
        """
        with self._changing() as connection:
            description = replace(_find(connection, name).description, **changes)
            _check_target(connection, name, description)
            _write(connection, name, description)
            return _find(connection, name)

    def roll_back(self, name: str, version: int) -> Endpoint:
        """Have an earlier version answer again. Raises RequestError 404 if it isn't kept."""
        with self._changing() as connection:
            found = _find(connection, name)
            row = connection.execute(
                select(versions).where(versions.c.name == name, versions.c.version == version)
            ).one_or_none()
            if row is None:
                kept = connection.scalars(
                    select(versions.c.version).where(versions.c.name == name).order_by("version")
                )
                raise RequestError(
                    404,
                    f"Endpoint '{name}' has no version {version}.",
                    f"Kept are: {', '.join(map(str, kept)) or 'none'}.",
                )
            description = replace(found.description, docstring=json.loads(row.docstring))
            _write(connection, name, description, version=version)
            return _find(connection, name)

    def remember(self, origin: str, instead_of: str | None = None) -> None:
        """That something was deployed by itself once; forgets all that begins with `instead_of`."""
        column = origins.c.origin
        before = column.startswith(instead_of, autoescape=True) if instead_of else column == origin
        with self._writing() as connection:
            connection.execute(delete(origins).where(before))
            connection.execute(insert(origins).values(origin=origin))

    def delete(self, name: str) -> None:
        """Remove an endpoint with all its versions. Raises RequestError 404."""
        with self._changing() as connection:
            _find(connection, name)
            connection.execute(delete(versions).where(versions.c.name == name))
            connection.execute(delete(endpoints).where(endpoints.c.name == name))
            _forget_unused_archives(connection)

    def _forget_old_versions(self, connection: Connection, name: str, keep: int) -> None:
        old = (
            select(versions.c.version)
            .where(versions.c.name == name, versions.c.version != keep)
            .order_by(versions.c.creation_time.desc(), versions.c.version.desc())
            .offset(self._keep - 1)
        )
        numbers = connection.scalars(old).all()
        if numbers:
            connection.execute(
                delete(versions).where(versions.c.name == name, versions.c.version.in_(numbers))
            )
        _forget_unused_archives(connection)

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with (
            self._engine.connect().execution_options(writes=True) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def _changing(self) -> Iterator[Connection]:
        """One change at a time, over all servers: the counting row is locked until it's done."""
        with self._writing() as connection:
            connection.execute(update(state).values(revision=state.c.revision + 1))
            yield connection
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"NOTIFY {CHANNEL}"))


def _revision(connection: Connection) -> int:
    revision: int = connection.execute(select(state.c.revision)).scalar_one()
    return revision


def _find(connection: Connection, name: str) -> Endpoint:
    row = connection.execute(_ENDPOINTS.where(endpoints.c.name == name)).one_or_none()
    if row is None:
        raise unknown(name)
    return _endpoint(row._mapping)


def _check_target(connection: Connection, name: str, description: EndpointMetadata) -> None:
    if description.type == MODEL:
        return
    target = description.target
    kind = connection.scalar(select(endpoints.c.description).where(endpoints.c.name == target))
    if target == name:
        problem = "it would be an alias of itself"
    elif kind is None:
        problem = f"there is no endpoint '{target}'"
    elif json.loads(kind)["type"] == ALIAS:
        problem = f"'{target}' is an alias itself; name the endpoint behind it"
    else:
        return
    raise RequestError(400, f"'{name}' can't be an alias of '{target}'.", f"{problem}.")


def _write(
    connection: Connection, name: str, description: EndpointMetadata, **numbers: int
) -> None:
    connection.execute(
        update(endpoints)
        .where(endpoints.c.name == name)
        .values(
            description=_dump(asdict(description)), last_modified_time=int(time.time()), **numbers
        )
    )


def _add_version(
    connection: Connection, name: str, version: int, docstring: str, code: ArchiveInfo
) -> None:
    connection.execute(
        insert(versions).values(
            name=name,
            version=version,
            sha256=code.sha256,
            code=_dump(asdict(code)),
            docstring=_dump(docstring),
            creation_time=int(time.time()),
        )
    )


def _forget_unused_archives(connection: Connection) -> None:
    # Not the ones just stored: their version is on its way.
    connection.execute(
        delete(archives).where(
            archives.c.creation_time < int(time.time()) - UNUSED_AFTER,
            archives.c.sha256.not_in(select(versions.c.sha256)),
        )
    )


def _endpoint(row: RowMapping) -> Endpoint:
    return Endpoint(
        name=row["name"],
        version=row["version"],
        description=EndpointMetadata(**json.loads(row["description"])),
        code=ArchiveInfo(**json.loads(row["code"])) if row["code"] else None,
        creation_time=row["creation_time"],
        last_modified_time=row["last_modified_time"],
    )


def _version(row: RowMapping) -> Version:
    code = ArchiveInfo(**json.loads(row["code"]))
    return Version(version=row["version"], code=code, creation_time=row["creation_time"])


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True)
