"""Deploying: from something a client sent, or a file of the checkout, to a version that serves.

An archive is first loaded in a script worker that is thrown away, so one that can't be loaded,
crashes or never ends leaves what serves now as it is, and its author hears why.
"""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tabpy.tabpy_server import process_memory
from tabpy.tabpy_server.errors import (
    JobTimeoutError,
    NotLoadableError,
    RequestError,
    TabPyError,
    WorkerDiedError,
)
from tabpy.tabpy_server.functions.catalog import Catalog
from tabpy.tabpy_server.functions.metadata import DeployRequest
from tabpy.tabpy_server.functions.store.endpoint import (
    ALIAS,
    ArchiveInfo,
    Endpoint,
    EndpointMetadata,
    exists,
)
from tabpy.tabpy_server.json_codec import loads
from tabpy.tabpy_server.workers.pool.pool import Pool
from tabpy.tabpy_server.workers.protocol import CheckArchive

if TYPE_CHECKING:
    from tabpy.tabpy_server.functions.store.store import Store

LOAD_TIMEOUT = 30.0  # seconds that loading an archive may take


def _put(store: "Store", archive: Path) -> tuple[str, int]:
    stored = store.put_archive(archive)
    process_memory.trim()
    return stored


class DeployResult(NamedTuple):
    """What serves now, and what its author should know of it, a line each."""

    endpoint: Endpoint
    remarks: list[str]


class Deployer:
    """Deploys one thing after the other: checking an archive can take much memory."""

    def __init__(self, catalog: Catalog, pool: Pool) -> None:
        self._catalog = catalog
        self._pool = pool
        self._turn = asyncio.Lock()

    async def create(self, deployment: DeployRequest, archive: Path | None) -> DeployResult:
        """A new endpoint. Raises RequestError 400 with the reason it can't be."""
        name, description = deployment.name, EndpointMetadata(deployment.type, **deployment.given)
        if deployment.type == ALIAS:
            if not description.target:
                raise RequestError(
                    400, f"'{name}' can't be an alias of nothing.", "'target' names its endpoint."
                )
            alias = await self._catalog.change(
                lambda store: store.create(name, description, code=None)
            )
            return DeployResult(alias, [])
        async with self._turn:
            if name in await self._catalog.endpoints():
                raise exists(name)
            code, remarks = await self._code(deployment, archive)
            model = await self._catalog.change(lambda store: store.create(name, description, code))
            return DeployResult(model, remarks)

    async def take_over(self, deployment: DeployRequest, archive: Path, version: int) -> Endpoint:
        """A new endpoint that starts with a version from elsewhere. Raises RequestError 400."""
        async with self._turn:
            code, _ = await self._code(deployment, archive)
            description = EndpointMetadata(deployment.type, **deployment.given)
            return await self._catalog.change(
                lambda store: store.create(deployment.name, description, code, version)
            )

    async def replace(self, deployment: DeployRequest, archive: Path | None) -> DeployResult:
        """A new version. Raises RequestError 404, or 400 with the reason it can't be."""
        async with self._turn:
            code, remarks = await self._code(deployment, archive)
            model = await self._catalog.change(
                lambda store: store.replace(deployment.name, deployment.given, code)
            )
            return DeployResult(model, remarks)

    async def change(self, deployment: DeployRequest) -> Endpoint:
        """Only what was given. Raises RequestError 404, or 400 for an impossible target."""
        return await self._catalog.change(
            lambda store: store.change(deployment.name, deployment.given)
        )

    async def _code(
        self, deployment: DeployRequest, archive: Path | None
    ) -> tuple[ArchiveInfo, list[str]]:
        """Check an archive and store it, not yet in use by any endpoint; with remarks."""
        if archive is None:
            raise RequestError(
                400,
                "There is no archive.",
                "Send one as the part 'archive' of a multipart request, or name it with src_path.",
            )
        remarks = await self._check(deployment, archive)
        sha256, size = await self._catalog.read(lambda store: _put(store, archive), "archive")
        code = ArchiveInfo(
            sha256=sha256,
            size=size,
            python=deployment.python,
            packages=deployment.packages,
            requirements=deployment.requirements,
            origin=deployment.origin,
        )
        return code, remarks

    async def _check(self, deployment: DeployRequest, archive: Path) -> list[str]:
        task = CheckArchive(
            str(archive),
            deployment.name,
            deployment.requirements,
            deployment.python,
            dict(deployment.packages),
        )
        failed = f"Function '{deployment.name}' can't be loaded."
        try:
            remarks: list[str] = loads(await self._pool.run_isolated(task, LOAD_TIMEOUT))
        except JobTimeoutError as error:
            raise RequestError(
                400, failed, f"It took too long. It was stopped after {error.timeout} s."
            ) from None
        except WorkerDiedError as error:
            how = error.how.rstrip(",")
            raise RequestError(400, failed, f"It ended its process. The process {how}.") from None
        except NotLoadableError as error:
            raise RequestError(400, error.message, error.info) from None
        except TabPyError as error:
            raise RequestError(400, failed, f"{error.message} {error.info}") from None
        return remarks
