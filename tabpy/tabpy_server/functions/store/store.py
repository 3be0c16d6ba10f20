"""The operations on the store. Whatever returns has been stored durably."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, delete, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from tabpy.tabpy_server.errors import (
    EndpointExistsError,
    RefusedError,
    UnknownVersionError,
)
from tabpy.tabpy_server.functions.store import archives, checks, rows, schema
from tabpy.tabpy_server.functions.store.endpoint import (
    ALIAS,
    MODEL,
    ArchiveInfo,
    Endpoint,
    EndpointMetadata,
    Version,
)
from tabpy.tabpy_server.functions.store.opened_archive import OpenedArchive
from tabpy.tabpy_server.functions.store.schema import endpoints, origins, state, versions

CHANNEL = "tabpy"  # Postgres: NOTIFY and LISTEN


class Store:
    """Endpoints, their versions and their archives.

    Raises TabPyError for what can't be done and SQLAlchemyError for a database that doesn't
    answer.
    """

    def __init__(self, engine: Engine, keep_versions: int) -> None:
        self._engine = engine
        self._keep = keep_versions

    def migrate(self) -> None:
        """Make the tables, or bring them up to date. Raises StartError for those of a later
        version of this server."""
        with self._writing() as connection:
            schema.migrate(connection)

    # Reading

    def answer(self) -> None:
        """Do nothing but find out that the database answers."""
        self.revision()

    def revision(self) -> int:
        """Return a number that every change of an endpoint counts up."""
        with self._engine.connect() as connection:
            revision: int = connection.execute(select(state.c.revision)).scalar_one()
            return revision

    def read(self, environment: str) -> tuple[int, dict[str, Endpoint], dict[str, str]]:
        """Return the `revision`, all endpoints by name, and the `checks`, as of one moment."""
        with self._reading() as connection:
            revision: int = connection.execute(select(state.c.revision)).scalar_one()
            found = {each.name: each for each in rows.all_endpoints(connection)}
            return revision, found, checks.found(connection, environment)

    def load(self) -> dict[str, Endpoint]:
        """Return all endpoints by name, as of one moment."""
        with self._engine.begin() as connection:
            return {each.name: each for each in rows.all_endpoints(connection)}

    def versions(self, name: str) -> tuple[Endpoint, list[Version]]:
        """Return an endpoint and what can be brought back of it, the newest first, as of one
        moment. Raises UnknownEndpointError."""
        with self._reading() as connection:
            return rows.find_endpoint(connection, name), rows.find_versions(connection, name)

    def origins(self) -> set[str]:
        """Return what `remember` was given."""
        with self._engine.connect() as connection:
            return set(connection.scalars(select(origins.c.origin)))

    def checks(self, environment: str) -> dict[str, str]:
        """Return by SHA-256 why archives can't be loaded in an environment, "" for those that can;
        nothing of those that weren't tried there."""
        with self._engine.connect() as connection:
            return checks.found(connection, environment)

    def read_archive(self, sha256: str, into: Path) -> None:
        """Write an archive to a file. Raises LookupError if it's not there, or not whole."""
        with self._engine.connect() as connection:
            archives.read(connection, sha256, into)

    # Writing

    def put_archive(self, archive: OpenedArchive, environment: str = "") -> None:
        """Store an archive, measured already, that no version uses yet, and that it can be loaded
        in an environment, if that is given. Raises RefusedError for one that has changed since."""
        # Another server may store the same one at the same moment.
        with suppress(IntegrityError), self._writing() as connection:
            archives.put(connection, archive)
            if environment:  # no news to anybody before a version uses it
                checks.record(connection, environment, {archive.stored.sha256: ""})

    def create(  # noqa: PLR0913 - what there is to say of a version
        self,
        name: str,
        metadata: EndpointMetadata,
        archive: ArchiveInfo | None,
        version: int = 1,
        author: str | None = None,
        *,
        pure: bool = False,
    ) -> Endpoint:
        """Store a new endpoint and return it; an alias has no archive. `author` and `pure`: see
        `Version`.

        Raises EndpointExistsError, and RefusedError for an impossible target or a pure alias.
        """
        with self._changing() as connection:
            if connection.scalar(select(endpoints.c.name).where(endpoints.c.name == name)):
                raise EndpointExistsError(name)
            _check_target(connection, name, metadata)
            _check_pure(name, metadata, pure)
            rows.add_endpoint(connection, name, metadata, version)
            if archive is not None:
                made = Version(version, archive, int(time.time()), author, pure)
                rows.add_version(connection, name, made, metadata.docstring)
            return rows.find_endpoint(connection, name)

    def replace(
        self,
        name: str,
        changes: Mapping[str, Any],
        archive: ArchiveInfo,
        author: str | None = None,
        *,
        pure: bool = False,
    ) -> Endpoint:
        """Store a new version of a model, with `changes` to fields of its `EndpointMetadata`.
        `author` and `pure`: see `Version`. What has an `origin` and serves already stays, without a
        new version: several servers start at once, and each deploys its checkout.

        Raises UnknownEndpointError, and RefusedError for an alias.
        """
        with self._changing() as connection:
            found = rows.find_endpoint(connection, name)
            if found.metadata.type == ALIAS:
                raise RefusedError(
                    f"Endpoint '{name}' is an alias.",
                    f"Deploy to its target '{found.metadata.target}', or remove it first.",
                )
            if found.archive is not None and _is_same(found.archive, archive):
                return found
            metadata = replace(found.metadata, **changes)
            last = connection.execute(
                select(endpoints.c.last_version).where(endpoints.c.name == name)
            ).scalar_one()
            version = last + 1
            made = Version(version, archive, int(time.time()), author, pure)
            rows.add_version(connection, name, made, metadata.docstring)
            rows.change_endpoint(connection, name, metadata, version=version, last_version=version)
            self._forget_old_versions(connection, name, keep=version)
            return rows.find_endpoint(connection, name)

    def change(
        self, name: str, changes: Mapping[str, Any], *, pure: bool | None = None
    ) -> Endpoint:
        """Change what `changes` names of an endpoint's metadata, and whether the version that
        answers is pure, if that is given; the version stays.

        Raises UnknownEndpointError, and RefusedError for an impossible target or a pure alias.
        """
        with self._changing() as connection:
            found = rows.find_endpoint(connection, name)
            metadata = replace(found.metadata, **changes)
            _check_target(connection, name, metadata)
            _check_pure(name, metadata, pure)
            rows.change_endpoint(connection, name, metadata)
            if pure is not None:
                rows.change_version(connection, name, found.version, pure=pure)
            return rows.find_endpoint(connection, name)

    def roll_back(self, name: str, version: int) -> Endpoint:
        """Have an earlier version answer again, with its docstring.

        Raises UnknownEndpointError, and UnknownVersionError if it isn't kept.
        """
        with self._changing() as connection:
            found = rows.find_endpoint(connection, name)
            docstring = rows.docstring_of(connection, name, version)
            if docstring is None:
                kept = [each.version for each in rows.find_versions(connection, name)]
                raise UnknownVersionError(name, version, kept[::-1])
            metadata = replace(found.metadata, docstring=docstring)
            rows.change_endpoint(connection, name, metadata, version=version)
            return rows.find_endpoint(connection, name)

    def delete(self, name: str) -> None:
        """Remove an endpoint with all its versions. Raises UnknownEndpointError, and RefusedError
        for what an alias points to."""
        with self._changing() as connection:
            rows.find_endpoint(connection, name)
            _check_unneeded(connection, name)
            connection.execute(delete(versions).where(versions.c.name == name))
            connection.execute(delete(endpoints).where(endpoints.c.name == name))
            archives.forget_unused(connection)

    def remember(self, origin: str, instead_of: str | None = None) -> None:
        """Note that something was deployed by itself once, and forget all that begins with
        `instead_of`."""
        column = origins.c.origin
        before = column.startswith(instead_of, autoescape=True) if instead_of else column == origin
        # Another server may note the same at the same moment.
        with suppress(IntegrityError), self._writing() as connection:
            connection.execute(delete(origins).where(before))
            connection.execute(insert(origins).values(origin=origin))

    def record_checks(self, environment: str, reasons: Mapping[str, str]) -> None:
        """Store what `checks` is to return of some archives, as far as they are still there."""
        with self._changing() as connection:
            checks.record(connection, environment, reasons)

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
        archives.forget_unused(connection)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """Read as of one moment, however many statements it takes."""
        with self._engine.connect() as connection:
            if connection.dialect.name == "postgresql":  # SQLite's transactions always do
                connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with (
            self._engine.connect().execution_options(writes=True) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def _changing(self) -> Iterator[Connection]:
        """Make one change at a time, over all servers: who counts the revision up has locked its
        row until the change is done."""
        with self._writing() as connection:
            connection.execute(update(state).values(revision=state.c.revision + 1))
            yield connection
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"NOTIFY {CHANNEL}"))


def _is_same(serving: ArchiveInfo, other: ArchiveInfo) -> bool:
    """Say whether both came from the same place by themselves, and nothing has changed there."""
    return bool(other.origin) and serving == other


def _check_target(connection: Connection, name: str, metadata: EndpointMetadata) -> None:
    if metadata.type == MODEL:
        return
    target = metadata.target
    found = rows.metadata_of(connection, target or "")
    if target == name:
        problem = "it would be an alias of itself"
    elif found is None:
        problem = f"there is no endpoint '{target}'"
    elif found.type == ALIAS:
        problem = f"'{target}' is an alias itself; name the endpoint behind it"
    else:
        return
    raise RefusedError(f"'{name}' can't be an alias of '{target}'.", f"{problem}.")


def _check_pure(name: str, metadata: EndpointMetadata, pure: bool | None) -> None:
    if pure and metadata.type == ALIAS:
        raise RefusedError(
            f"'{name}' is an alias, which can't be pure by itself.",
            f"It is as pure as its target: say it of '{metadata.target}'.",
        )


def _check_unneeded(connection: Connection, name: str) -> None:
    aliases = sorted(
        f"'{each.name}'"
        for each in rows.all_endpoints(connection)
        if each.metadata.type == ALIAS and each.metadata.target == name
    )
    if aliases:
        raise RefusedError(
            f"Endpoint '{name}' is used by {', '.join(aliases)}.",
            "An alias of it is there: remove that first, or give it another target.",
        )
