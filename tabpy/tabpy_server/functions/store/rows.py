"""Rows of the tables and what they stand for. The names of columns and of the fields in their JSON
are those of the first version: `description` has an endpoint's metadata, `code` its archive."""

import json
import time
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select, update

from tabpy.tabpy_server.errors import UnknownEndpointError
from tabpy.tabpy_server.functions.store.endpoint import (
    ArchiveInfo,
    Endpoint,
    EndpointMetadata,
    Version,
)
from tabpy.tabpy_server.functions.store.schema import endpoints, versions

_ENDPOINTS = select(endpoints, versions.c.code).join_from(
    endpoints,
    versions,
    (versions.c.name == endpoints.c.name) & (versions.c.version == endpoints.c.version),
    isouter=True,
)


def all_endpoints(connection: Connection) -> list[Endpoint]:
    """Return every endpoint."""
    return [_endpoint(row._mapping) for row in connection.execute(_ENDPOINTS)]


def find_endpoint(connection: Connection, name: str) -> Endpoint:
    """Return one endpoint. Raises UnknownEndpointError."""
    row = connection.execute(_ENDPOINTS.where(endpoints.c.name == name)).one_or_none()
    if row is None:
        raise UnknownEndpointError(name)
    return _endpoint(row._mapping)


def metadata_of(connection: Connection, name: str) -> EndpointMetadata | None:
    """Return an endpoint's metadata; None if there is no such endpoint."""
    found = connection.scalar(select(endpoints.c.description).where(endpoints.c.name == name))
    return None if found is None else EndpointMetadata(**json.loads(found))


def find_versions(connection: Connection, name: str) -> list[Version]:
    """Return what is kept of an endpoint, the newest first."""
    query = select(versions).where(versions.c.name == name).order_by(versions.c.version.desc())
    return [_version(row._mapping) for row in connection.execute(query)]


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
            description=_dump(vars(metadata)),
            creation_time=now,
            last_modified_time=now,
        )
    )


def change_endpoint(
    connection: Connection, name: str, metadata: EndpointMetadata, **numbers: int
) -> None:
    """Store an endpoint's metadata, and its `version` or `last_version` if given."""
    connection.execute(
        update(endpoints)
        .where(endpoints.c.name == name)
        .values(description=_dump(vars(metadata)), last_modified_time=int(time.time()), **numbers)
    )


def add_version(
    connection: Connection, name: str, version: int, docstring: str, archive: ArchiveInfo
) -> None:
    """Store a version, whose archive is there already."""
    connection.execute(
        insert(versions).values(
            name=name,
            version=version,
            sha256=archive.sha256,
            code=_dump(vars(archive)),
            docstring=_dump(docstring),
            creation_time=int(time.time()),
        )
    )


def docstring_of(connection: Connection, name: str, version: int) -> str | None:
    """Return the docstring that came with a version; None if it isn't kept."""
    found = connection.scalar(
        select(versions.c.docstring).where(versions.c.name == name, versions.c.version == version)
    )
    return None if found is None else json.loads(found)


def _endpoint(row: RowMapping) -> Endpoint:
    return Endpoint(
        name=row["name"],
        version=row["version"],
        metadata=EndpointMetadata(**json.loads(row["description"])),
        archive=ArchiveInfo(**json.loads(row["code"])) if row["code"] else None,
        creation_time=row["creation_time"],
        last_modified_time=row["last_modified_time"],
    )


def _version(row: RowMapping) -> Version:
    archive = ArchiveInfo(**json.loads(row["code"]))
    return Version(version=row["version"], archive=archive, creation_time=row["creation_time"])


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True)
