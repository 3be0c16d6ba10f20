"""Rows of the tables and what they stand for. The names of columns and of the fields in their JSON
are those of the first version: `description` has an endpoint's metadata, `code` its archive.

Both have a limit, since every web process keeps them all in memory. Earlier versions of the server
had none: of a text that is larger only the fields are read which a function can't do without, in
the database, so that no text takes a web process down at each start.

Later versions of the server may work with the same tables meanwhile, as in a rolling update, and
have more fields: they are left out when they are read, and left as they are when others change.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    RowMapping,
    case,
    cast,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSON

from tabpy.tabpy_server.errors import InvalidInputError, UnknownEndpointError
from tabpy.tabpy_server.functions.store.endpoint import (
    ArchiveInfo,
    Endpoint,
    EndpointMetadata,
    Version,
)
from tabpy.tabpy_server.functions.store.schema import endpoints, versions

LIMIT = 1 << 20  # bytes of each text, JSON in ASCII
LEFT_OUT = "(The description was left out, since it was too large. Deploy the function again.)"


def _bounded(column: Column[str]) -> ColumnElement[str | None]:
    """Select a text; NULL in place of one that is too large."""
    return case((func.length(column) <= LIMIT, column)).label(column.name)


_ENDPOINTS = select(
    endpoints.c.name,
    endpoints.c.version,
    _bounded(endpoints.c.description),
    endpoints.c.creation_time,
    endpoints.c.last_modified_time,
    versions.c.sha256,
    versions.c.pure,
    _bounded(versions.c.code),
).join_from(
    endpoints,
    versions,
    (versions.c.name == endpoints.c.name) & (versions.c.version == endpoints.c.version),
    isouter=True,
)


def all_endpoints(connection: Connection) -> list[Endpoint]:
    """Return every endpoint."""
    found = connection.execute(_ENDPOINTS).all()
    return [_endpoint(connection, row._mapping) for row in found]


def find_endpoint(connection: Connection, name: str) -> Endpoint:
    """Return one endpoint. Raises UnknownEndpointError."""
    row = connection.execute(_ENDPOINTS.where(endpoints.c.name == name)).one_or_none()
    if row is None:
        raise UnknownEndpointError(name)
    return _endpoint(connection, row._mapping)


def metadata_of(connection: Connection, name: str) -> EndpointMetadata | None:
    """Return an endpoint's metadata; None if there is no such endpoint."""
    query = select(_bounded(endpoints.c.description)).where(endpoints.c.name == name)
    found = connection.execute(query).one_or_none()
    return None if found is None else _metadata(connection, name, found.description)


def find_versions(connection: Connection, name: str) -> list[Version]:
    """Return what is kept of an endpoint, the newest first."""
    version = versions.c
    query = (
        select(version.name, version.version, version.sha256, version.creation_time, version.pure)
        .add_columns(_bounded(version.code), _bounded(version.author))
        .where(version.name == name)
        .order_by(version.version.desc())
    )
    return [_version(connection, row._mapping) for row in connection.execute(query).all()]


def add_endpoint(
    connection: Connection, name: str, metadata: EndpointMetadata, version: int
) -> None:
    """Store a new endpoint."""
    now = int(time.time())
    connection.execute(
        insert(endpoints).values(
            name=name,
            version=version,
            last_version=version,
            description=_dump(vars(metadata), "metadata"),
            creation_time=now,
            last_modified_time=now,
        )
    )


def change_endpoint(
    connection: Connection, name: str, metadata: EndpointMetadata, **numbers: int
) -> None:
    """Store an endpoint's metadata, and its `version` or `last_version` if given."""
    stored = select(_bounded(endpoints.c.description)).where(endpoints.c.name == name)
    before = json.loads(connection.scalar(stored) or "{}")
    connection.execute(
        update(endpoints)
        .where(endpoints.c.name == name)
        .values(
            description=_dump({**before, **vars(metadata)}, "metadata"),
            last_modified_time=int(time.time()),
            **numbers,
        )
    )


def add_version(connection: Connection, name: str, version: Version, docstring: str) -> None:
    """Store a version, whose archive is there already."""
    author = version.author
    connection.execute(
        insert(versions).values(
            name=name,
            version=version.version,
            sha256=version.archive.sha256,
            code=_dump(vars(version.archive), "list of packages and requirements"),
            docstring=_dump(docstring, "docstring"),
            creation_time=version.creation_time,
            author=None if author is None else _dump(author, "author's name"),
            pure=version.pure,
        )
    )


def change_version(connection: Connection, name: str, version: int, *, pure: bool) -> None:
    """Store whether a version is pure."""
    connection.execute(
        update(versions)
        .where(versions.c.name == name, versions.c.version == version)
        .values(pure=pure)
    )


def docstring_of(connection: Connection, name: str, version: int) -> str | None:
    """Return the docstring that came with a version, "" if it was too large; None if it isn't
    kept."""
    query = select(_bounded(versions.c.docstring))
    found = connection.execute(
        query.where(versions.c.name == name, versions.c.version == version)
    ).one_or_none()
    return None if found is None else json.loads(found.docstring or '""')


def _endpoint(connection: Connection, row: RowMapping) -> Endpoint:
    return Endpoint(
        name=row["name"],
        version=row["version"],
        metadata=_metadata(connection, row["name"], row["description"]),
        archive=_archive(connection, row) if row["sha256"] else None,
        creation_time=row["creation_time"],
        last_modified_time=row["last_modified_time"],
        pure=bool(row["pure"]),
    )


def _version(connection: Connection, row: RowMapping) -> Version:
    return Version(
        version=row["version"],
        archive=_archive(connection, row),
        creation_time=row["creation_time"],
        author=json.loads(row["author"] or "null"),
        pure=bool(row["pure"]),
    )


def _metadata(connection: Connection, name: str, text: str | None) -> EndpointMetadata:
    if text is not None:
        return EndpointMetadata(**_known(EndpointMetadata, text))
    kind, target = _picked(
        connection, endpoints.c.description, ("type", "target"), endpoints.c.name == name
    )
    return EndpointMetadata(type=kind, target=target, description=LEFT_OUT)


def _archive(connection: Connection, row: RowMapping) -> ArchiveInfo:
    if row["code"] is not None:
        return ArchiveInfo(**_known(ArchiveInfo, row["code"]))
    size, python = _picked(
        connection,
        versions.c.code,
        ("size", "python"),
        (versions.c.name == row["name"]) & (versions.c.version == row["version"]),
    )
    return ArchiveInfo(row["sha256"], int(size), python)


def _known(kind: type[EndpointMetadata | ArchiveInfo], text: str) -> dict[str, Any]:
    """Return the fields in a text that are known here."""
    names = {each.name for each in fields(kind)}
    return {name: value for name, value in json.loads(text).items() if name in names}


def _picked(
    connection: Connection, column: Column[str], fields: Sequence[str], where: ColumnElement[bool]
) -> Sequence[Any]:
    """Return some fields of the JSON object in one row's text, read by the database."""
    if connection.dialect.name == "postgresql":
        picked = [cast(column, JSON)[field].astext for field in fields]
    else:
        picked = [func.json_extract(column, f"$.{field}") for field in fields]
    return connection.execute(select(*picked).where(where)).one()


def _dump(value: Any, what: str) -> str:
    """Return the text to store. Raises InvalidInputError for one that is too large; `what` is its
    name."""
    text = json.dumps(value, ensure_ascii=True)
    if len(text) > LIMIT:
        raise InvalidInputError(
            f"The endpoint's {what} is too large.",
            f"As JSON it has {len(text)} bytes, and {LIMIT} are allowed.",
        )
    return text
