"""Deploying: from something a client sent, or a file of the checkout, to a version that serves.

An archive is first loaded in a script worker that is thrown away, so one that can't be loaded,
crashes or never ends leaves what serves now as it is, and its author hears why. What is stored is
what came: an archive is read from one open file, and refused if it has changed meanwhile.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from tabpy.tabpy_server import process_memory
from tabpy.tabpy_server.errors import (
    EndpointExistsError,
    InternalError,
    InvalidInputError,
    JobTimeoutError,
    MissingArchiveError,
    NotLoadableError,
    RefusedError,
    WorkerDiedError,
)
from tabpy.tabpy_server.functions.catalog import Catalog
from tabpy.tabpy_server.functions.isolated import SENDERS_FAULT, IsolatedRunner, why_it_failed
from tabpy.tabpy_server.functions.metadata import DeployRequest
from tabpy.tabpy_server.functions.renewal import Renewal
from tabpy.tabpy_server.functions.store.endpoint import (
    ALIAS,
    ArchiveInfo,
    Endpoint,
    EndpointMetadata,
)
from tabpy.tabpy_server.functions.store.opened_archive import OpenedArchive
from tabpy.tabpy_server.json_codec import dumps, loads
from tabpy.tabpy_server.workers.pool.hired import ENDED
from tabpy.tabpy_server.workers.protocol import CheckArchive

if TYPE_CHECKING:
    from tabpy.tabpy_server.functions.store.store import Store

LOAD_TIMEOUT = 300.0  # seconds


class DeployResult(NamedTuple):
    """What serves now, and what its author should know of it, a line each."""

    endpoint: Endpoint
    remarks: list[str]


class _Checked(NamedTuple):
    """A request with its schema read, and its archive, which can be loaded and is stored."""

    request: DeployRequest
    archive: ArchiveInfo
    remarks: list[str]


class Deployer:
    """Deploys one thing after the other: checking an archive can take much memory.

    Raises InvalidInputError or RefusedError with the reason that something can't be deployed, and
    StoreUnavailableError.
    """

    def __init__(
        self,
        catalog: Catalog,
        runner: IsolatedRunner,
        renewal: Renewal,
        load_timeout: float = LOAD_TIMEOUT,
    ) -> None:
        """`load_timeout`: seconds that loading an archive may take."""
        self._catalog = catalog
        self._load_timeout = load_timeout
        self._runner = runner
        self._renewal = renewal
        self._turn = asyncio.Lock()

    async def create(self, request: DeployRequest, archive: OpenedArchive | None) -> DeployResult:
        """Deploy a new endpoint. Raises EndpointExistsError, and MissingArchiveError for a model
        without one."""
        if request.type == ALIAS:
            return DeployResult(await self._create_alias(request), [])
        async with self._turn_of(archive):
            if request.name in await self._catalog.endpoints():
                raise EndpointExistsError(request.name)
            return await self._create_model(request, archive)

    async def import_legacy(
        self, request: DeployRequest, archive: OpenedArchive, version: int
    ) -> Endpoint:
        """Deploy a new model that starts with a version from elsewhere."""
        async with self._turn_of(archive):
            return (await self._create_model(request, archive, version)).endpoint

    async def replace(self, request: DeployRequest, archive: OpenedArchive | None) -> DeployResult:
        """Deploy a new version. Raises UnknownEndpointError and MissingArchiveError."""
        async with self._turn_of(archive):
            checked = await self._check_and_store(request, archive)
            await self._renewal.prepare(request.name, checked.archive)
            model = await self._catalog.change(
                lambda store: store.replace(
                    request.name,
                    checked.request.given,
                    checked.archive,
                    request.author,
                    pure=bool(request.pure),
                )
            )
            return DeployResult(model, checked.remarks)

    async def change(self, request: DeployRequest) -> Endpoint:
        """Change only what was given. Raises UnknownEndpointError."""
        given = (await self._read_schema(request)).given
        return await self._catalog.change(
            lambda store: store.change(request.name, given, pure=request.pure)
        )

    async def check_stored(self, name: str) -> dict[str, str]:
        """Load the archive that serves as `name` as if it had just come; return by its SHA-256 why
        that can't be done, "" if it can. Nothing for what has no archive, or isn't there.

        Raises TabPyError for what isn't the archive's fault, and OSError for a full disk.
        """
        async with self._turn:
            endpoint = (await self._catalog.endpoints()).get(name)
            if endpoint is None or endpoint.archive is None:
                return {}
            sha256 = endpoint.archive.sha256
            try:
                await self._load_stored(name, endpoint.archive)
            except SENDERS_FAULT as error:
                return {sha256: why_it_failed(error, self._load_timeout)}
            except InternalError:
                return {sha256: "The server failed to load it: see its log."}
            return {sha256: ""}

    async def _load_stored(self, name: str, archive: ArchiveInfo) -> None:
        path = await self._catalog.whole_file(name, archive.sha256)
        task = CheckArchive(
            path=str(path),
            name=name,
            requirements=archive.requirements,
            python=archive.python,
            packages=dict(archive.packages),
        )
        try:
            await self._runner.run_isolated(task, self._load_timeout)
        except (JobTimeoutError, WorkerDiedError):
            # Perhaps because of what else went on: nobody hears of it before it happens twice.
            await self._runner.run_isolated(task, self._load_timeout)

    @asynccontextmanager
    async def _turn_of(self, archive: OpenedArchive | None) -> AsyncIterator[None]:
        """Measure the archive as it came, then wait for the turn to check it."""
        if archive is not None:
            await asyncio.to_thread(archive.measure)
        async with self._turn:
            yield

    async def _create_alias(self, request: DeployRequest) -> Endpoint:
        if not request.given.get("target"):
            raise RefusedError(
                f"'{request.name}' can't be an alias of nothing.", "'target' names its endpoint."
            )
        metadata = _metadata(await self._read_schema(request))
        return await self._catalog.change(
            lambda store: store.create(
                request.name, metadata, archive=None, pure=bool(request.pure)
            )
        )

    async def _create_model(
        self, request: DeployRequest, archive: OpenedArchive | None, version: int = 1
    ) -> DeployResult:
        checked = await self._check_and_store(request, archive)
        metadata = _metadata(checked.request)
        model = await self._catalog.change(
            lambda store: store.create(
                request.name,
                metadata,
                checked.archive,
                version,
                request.author,
                pure=bool(request.pure),
            )
        )
        return DeployResult(model, checked.remarks)

    async def _check_and_store(
        self, request: DeployRequest, archive: OpenedArchive | None
    ) -> _Checked:
        if archive is None:
            raise MissingArchiveError
        try:
            found = await self._check(request, str(archive.path))
        except SENDERS_FAULT as error:
            refusal = NotLoadableError(request.name, why_it_failed(error, self._load_timeout))
            raise RefusedError(refusal.message, refusal.info) from None
        request = await _with_schema(request, found)
        archive.check_name()
        await self._catalog.run(lambda store: self._put(store, archive), "archive")
        info = ArchiveInfo(
            sha256=archive.stored.sha256,
            size=archive.stored.size,
            python=request.python,
            packages=request.packages,
            requirements=request.requirements,
            origin=request.origin,
        )
        return _Checked(request, info, found["remarks"])

    async def _read_schema(self, request: DeployRequest) -> DeployRequest:
        """Read a schema that is a text, where there is no archive to check."""
        if not request.schema_text:
            return request
        try:
            async with self._turn:
                found = await self._check(request, "")
        except SENDERS_FAULT as error:
            why = why_it_failed(error, self._load_timeout)
            raise InvalidInputError("'schema' can't be read.", why) from None
        return await _with_schema(request, found)

    def _put(self, store: "Store", archive: OpenedArchive) -> None:
        store.put_archive(archive, self._catalog.environment)
        process_memory.trim()

    async def _check(self, request: DeployRequest, path: str) -> dict[str, Any]:
        """Have a worker load an archive and read a schema that is a text, which can take as much
        time and memory as whoever wrote it wants; see `CheckArchive`."""
        task = CheckArchive(
            path=path,
            name=request.name,
            requirements=request.requirements,
            python=request.python,
            packages=dict(request.packages),
        )
        body = [dumps(request.schema_text)] if request.schema_text else []
        try:
            checked = await self._runner.run_isolated(task, self._load_timeout, body)
        except WorkerDiedError as error:
            if error.how != ENDED:
                raise
            # Nobody knows why: the fork server died with it, and another takes its place.
            checked = await self._runner.run_isolated(task, self._load_timeout, body)
        found: dict[str, Any] = loads(checked)
        return found


async def _with_schema(request: DeployRequest, found: dict[str, Any]) -> DeployRequest:
    if not found["schema"]:
        return request
    return await asyncio.to_thread(request.with_schema, found["schema"])


def _metadata(request: DeployRequest) -> EndpointMetadata:
    return EndpointMetadata(request.type, **request.given)
