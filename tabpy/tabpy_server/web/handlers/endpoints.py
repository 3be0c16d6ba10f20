"""/endpoints: deployed functions, their versions, and deploying."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tabpy.tabpy_server.errors import RequestError
from tabpy.tabpy_server.functions.metadata import parse_metadata
from tabpy.tabpy_server.functions.store.endpoint import ALIAS, Endpoint, unknown
from tabpy.tabpy_server.web.handlers.base import BaseHandler
from tabpy.tabpy_server.web.handlers.upload import UploadHandler

REMARKS_LIMIT = 1_000  # characters of a header
ARCHIVE = "pickle_archive"  # what TabPy's client calls the file in the folder it names


class DeployingHandler(UploadHandler):
    """What creating and replacing an endpoint have in common."""

    async def find(self, name: str) -> Endpoint:
        """Raises RequestError 404."""
        found = (await self.context.catalog.endpoints()).get(name)
        if found is None:
            raise unknown(name)
        return found

    def archive(self, metadata: dict[str, Any]) -> Path | None:
        """The archive that came along, or lies where `src_path` says. Raises RequestError 400."""
        if self.upload is not None:
            return self.upload.finish()
        source = metadata.get("src_path")
        return self._staged(source) if source else None

    def _staged(self, source: Any) -> Path:
        # realpath, since links could lead out of the one folder that clients may name.
        allowed = Path(os.path.realpath(self.context.upload_destination))
        try:
            archive = Path(os.path.realpath(source)) / ARCHIVE
            is_there = archive.is_file()
        except (TypeError, ValueError, OSError):  # no string, not encodable, too long
            raise RequestError(400, "src_path is no path.", "It is the path of a folder.") from None
        if allowed not in archive.parent.parents or archive.is_symlink():
            raise RequestError(
                400,
                "src_path is not inside the upload destination.",
                "GET /configurations/endpoint_upload_destination says where clients on this "
                "machine put archives; others send them along.",
            )
        if not is_there:
            raise RequestError(
                400, "There is no archive at src_path.", f"Expected a file {ARCHIVE} in it."
            )
        return archive

    def clean_up(self, archive: Path | None) -> None:
        """Remove a staged archive: it has been stored."""
        if self.upload is None and archive is not None:
            shutil.rmtree(archive.parent, ignore_errors=True)

    def write_endpoint(
        self, endpoint: Endpoint, remarks: Sequence[str] = (), status: int = 200
    ) -> None:
        """`remarks`: what its author should know, which our client shows as a warning."""
        said = [*remarks, *filter(None, [self.context.loses_functions])]
        if said:
            text = "; ".join(said)[:REMARKS_LIMIT]
            self.set_header("X-TabPy-Warning", text.encode("ascii", "replace").decode())
        self.write_json({endpoint.name: endpoint.info()}, status)


class EndpointsHandler(DeployingHandler):
    route = "/endpoints"

    async def get(self) -> None:
        found = await self.context.catalog.endpoints()
        self.write_json({name: endpoint.info() for name, endpoint in found.items()})

    async def post(self) -> None:
        metadata = self.metadata()
        deployment = parse_metadata(metadata)
        archive = self.archive(metadata) if deployment.type == "model" else None
        endpoint, remarks = await self.context.deployer.create(deployment, archive)
        self.clean_up(archive)
        self.write_endpoint(endpoint, remarks, 201)


class EndpointHandler(DeployingHandler):
    route = "/endpoints/{name}"

    async def get(self, name: str) -> None:
        self.write_json((await self.find(name)).info())

    async def put(self, name: str) -> None:
        """A new version if there is an archive, else only what the body names changes."""
        metadata = self.metadata()
        deployment = parse_metadata(metadata, name)
        found = await self.find(deployment.name)
        if "type" in metadata and deployment.type != found.description.type:
            raise RequestError(
                400,
                f"'{found.name}' is of type {found.description.type}.",
                f"Remove it first to make it of type {deployment.type}.",
            )
        if self.upload is not None or metadata.get("should_update_version"):
            archive = self.archive(metadata)
            endpoint, remarks = await self.context.deployer.replace(deployment, archive)
            self.clean_up(archive)
        else:
            endpoint, remarks = await self.context.deployer.change(deployment), []
        self.write_endpoint(endpoint, remarks)

    async def delete(self, name: str) -> None:
        await self.find(name)  # what can't be a name never reaches the database
        await self.context.catalog.change(lambda store: store.delete(name))
        self.set_status(204)
        self.finish()


class VersionsHandler(DeployingHandler):
    route = "/endpoints/{name}/versions"

    async def get(self, name: str) -> None:
        found = await self.find(name)
        kept = await self.context.catalog.read(lambda store: store.versions(name))
        self.write_json({"current": found.version, "versions": [each.info() for each in kept]})


class RollbackHandler(DeployingHandler):
    route = "/endpoints/{name}/rollback"

    async def post(self, name: str) -> None:
        version = self.metadata().get("version")
        if isinstance(version, bool) or not isinstance(version, int) or abs(version) >= 1 << 31:
            raise RequestError(
                400,
                "The version to go back to is missing.",
                'Expected {"version": 2}, or the like.',
            )
        await self.find(name)
        self.write_endpoint(
            await self.context.catalog.change(lambda store: store.roll_back(name, version))
        )


class StatusHandler(BaseHandler):
    """A version is only stored once it has been loaded, so every model that is there can be."""

    route = "/status"

    async def get(self) -> None:
        endpoints = await self.context.catalog.endpoints()
        if self.context.loses_functions:
            self.set_header("X-TabPy-Warning", self.context.loses_functions)
        self.write_json(
            {name: _status(endpoint, endpoints) for name, endpoint in endpoints.items()}
        )


class UploadDestinationHandler(BaseHandler):
    """For TabPy's client on the same machine, which writes archives there itself."""

    route = "/configurations/endpoint_upload_destination"

    def get(self) -> None:
        folder = self.context.upload_destination
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.write_json({"path": str(folder)})


def _status(endpoint: Endpoint, endpoints: Mapping[str, Endpoint]) -> dict[str, Any]:
    target = endpoint.description.target
    dangling = endpoint.description.type == ALIAS and target not in endpoints
    return {
        "version": endpoint.version,
        "type": endpoint.description.type,
        "status": "LoadFailed" if dangling else "LoadSuccessful",
        "last_error": f"Its target '{target}' isn't there." if dangling else None,
    }
