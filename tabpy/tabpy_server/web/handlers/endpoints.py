"""/endpoints: deployed functions, their versions, and deploying."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, ClassVar

from tabpy.tabpy_server.errors import InvalidInputError, RefusedError, UnknownEndpointError
from tabpy.tabpy_server.functions.catalog import Catalog
from tabpy.tabpy_server.functions.metadata import parse_metadata
from tabpy.tabpy_server.functions.store.endpoint import ALIAS, MODEL, Endpoint
from tabpy.tabpy_server.functions.store.opened_archive import OpenedArchive
from tabpy.tabpy_server.rights import DEPLOY
from tabpy.tabpy_server.web.answers import Reason
from tabpy.tabpy_server.web.handlers.base import BaseHandler
from tabpy.tabpy_server.web.handlers.upload import Sent, UploadHandler
from tabpy.tabpy_server.web.operation import Body, Reply, operation
from tabpy.tabpy_server.web.schemas import (
    CHANGED_METADATA,
    CHOSEN_VERSION,
    DESTINATION,
    ENDPOINT,
    ENDPOINTS,
    JSON,
    MULTIPART,
    NEW_METADATA,
    STATUSES,
    VERSIONS,
    upload,
)
from tabpy.tabpy_server.web.staged_archive import removing_staged, staged_archive

REMARKS_LIMIT = 1_000  # characters of a header
WARNING = {"X-TabPy-Warning": "What the function's author should know"}
VERSION_LIMIT = 1 << 31  # what a column of the store holds


class EndpointsHandler(UploadHandler):
    """All endpoints; makes new ones."""

    route = "/endpoints"
    needed_rights: ClassVar[Mapping[str, str]] = {"POST": DEPLOY}

    @operation("List the deployed functions", Reply(200, "All, by name", ENDPOINTS))
    async def get(self) -> None:
        found = await self.context.catalog.endpoints()
        self.write_json({name: endpoint.info() for name, endpoint in found.items()})

    @operation(
        "Deploy a function",
        Reply(201, "The new endpoint", ENDPOINTS, headers=WARNING),
        body=Body({MULTIPART: upload(NEW_METADATA), JSON: NEW_METADATA}),
    )
    async def post(self) -> None:
        sent = self.sent()
        destination = self.context.upload_destination
        with removing_staged(sent.source, destination):
            request = await asyncio.to_thread(parse_metadata, sent.metadata, author=self.user)
            with _archive(sent, destination) if request.type == MODEL else nullcontext() as archive:
                endpoint, remarks = await self.context.deployer.create(request, archive)
        _write_endpoint(self, endpoint, remarks, 201)


class EndpointHandler(UploadHandler):
    """One endpoint; changes and removes it."""

    route = "/endpoints/{name}"
    needed_rights: ClassVar[Mapping[str, str]] = {"PUT": DEPLOY, "DELETE": DEPLOY}

    @operation("Show a deployed function", Reply(200, "It", ENDPOINT), errors=(404,))
    async def get(self, name: str) -> None:
        self.write_json((await self.context.catalog.endpoint(name)).info())

    def why(self, error: BaseException | None, status: int) -> Reason:
        """To ask for one that isn't there is no failure: so clients learn whether a name is taken,
        before they deploy."""
        if isinstance(error, UnknownEndpointError) and self.request.method in ("GET", "HEAD"):
            return Reason()
        return super().why(error, status)

    @operation(
        "Replace or change a deployed function",
        Reply(200, "The endpoint as it is now", ENDPOINTS, headers=WARNING),
        body=Body({MULTIPART: upload(CHANGED_METADATA), JSON: CHANGED_METADATA}),
        errors=(404,),
    )
    async def put(self, name: str) -> None:
        """Deploy a new version if there is an archive, else change what the body names."""
        sent = self.sent()
        is_new_version = _is_new_version(sent)
        destination = self.context.upload_destination
        with removing_staged(sent.source if is_new_version else None, destination):
            request = await asyncio.to_thread(parse_metadata, sent.metadata, name, self.user)
            found = await self.context.catalog.endpoint(request.name)
            if "type" in sent.metadata and request.type != found.metadata.type:
                raise RefusedError(
                    f"'{found.name}' is of type {found.metadata.type}.",
                    f"Remove it first to make it of type {request.type}.",
                )
            remarks: Sequence[str] = ()
            if is_new_version:
                with _archive(sent, destination) as archive:
                    endpoint, remarks = await self.context.deployer.replace(request, archive)
            else:
                endpoint = await self.context.deployer.change(request)
        _write_endpoint(self, endpoint, remarks)

    @operation("Remove a deployed function", Reply(204, "It is gone"), errors=(404,))
    async def delete(self, name: str) -> None:
        catalog = self.context.catalog
        await catalog.endpoint(name)  # what can't be a name never reaches the database
        await catalog.change(lambda store: store.delete(name))
        self.set_status(204)
        self.finish()


class VersionsHandler(BaseHandler):
    """The versions of an endpoint that can be brought back."""

    route = "/endpoints/{name}/versions"

    @operation("List the versions that are kept", Reply(200, "They", VERSIONS), errors=(404,))
    async def get(self, name: str) -> None:
        await self.context.catalog.endpoint(name)
        found, kept = await self.context.catalog.run(lambda store: store.versions(name))
        self.write_json({"current": found.version, "versions": [each.info() for each in kept]})


class RollbackHandler(UploadHandler):
    """Has an earlier version of an endpoint answer again."""

    route = "/endpoints/{name}/rollback"
    needed_rights: ClassVar[Mapping[str, str]] = {"POST": DEPLOY}

    @operation(
        "Have an earlier version answer again",
        Reply(200, "The endpoint as it is now", ENDPOINTS, headers=WARNING),
        body=Body({JSON: CHOSEN_VERSION}),
        errors=(404,),
    )
    async def post(self, name: str) -> None:
        version = self.sent().metadata.get("version")
        if type(version) is not int or abs(version) >= VERSION_LIMIT:
            raise InvalidInputError(
                "The version to go back to is missing.", 'Expected {"version": 2}, or the like.'
            )
        await self.context.catalog.endpoint(name)
        endpoint = await self.context.catalog.change(lambda store: store.roll_back(name, version))
        _write_endpoint(self, endpoint)


class StatusHandler(BaseHandler):
    """A version is only stored once it has been loaded; since then, what it was made for may have
    changed: see `functions.checkup`."""

    route = "/status"

    @operation(
        "List the deployed functions in short",
        Reply(200, "All, by name", STATUSES, headers=WARNING),
    )
    async def get(self) -> None:
        endpoints = await self.context.catalog.endpoints()
        catalog = self.context.catalog
        if said := "; ".join(filter(None, [catalog.store_problem, self.context.loses_functions])):
            self.set_header("X-TabPy-Warning", _header(said))
        self.write_json(
            {name: _status(endpoint, endpoints, catalog) for name, endpoint in endpoints.items()}
        )


class UploadDestinationHandler(BaseHandler):
    """For TabPy's client on the same machine, which writes archives there itself."""

    route = "/configurations/endpoint_upload_destination"
    needed_rights: ClassVar[Mapping[str, str]] = {"GET": DEPLOY}

    @operation("Say where programs here may put archives", Reply(200, "The folder", DESTINATION))
    def get(self) -> None:
        folder = self.context.upload_destination
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.write_json({"path": str(folder)})


def _is_new_version(sent: Sent) -> bool:
    """Say whether a PUT brings an archive.

    TabPy's clients from 2.12 on name the folder of the last one when they only change words, and
    say so; those before name one for a new version, and say nothing.
    """
    said = sent.metadata.get("should_update_version")
    if said is None and sent.metadata.get("type") != ALIAS:
        return sent.is_upload or sent.source is not None
    return sent.is_upload or bool(said)


def _archive(sent: Sent, destination: Path) -> AbstractContextManager[OpenedArchive | None]:
    """Return the archive that came along, which the request closes, or lies where `src_path` says.
    Raises InvalidInputError and RefusedError."""
    return staged_archive(sent.source, destination) if sent.source else nullcontext(sent.archive)


def _write_endpoint(
    handler: BaseHandler, endpoint: Endpoint, remarks: Sequence[str] = (), status: int = 200
) -> None:
    """Answer with an endpoint. `remarks`: what its author should know, which our client shows as a
    warning."""
    said = [*remarks, *filter(None, [handler.context.loses_functions])]
    if said:
        handler.set_header("X-TabPy-Warning", _header("; ".join(said)[:REMARKS_LIMIT]))
    handler.write_json({endpoint.name: endpoint.info()}, status)


def _header(text: str) -> str:
    """Return a text as a header can carry it: the versions in a remark are what a client sent."""
    return "".join(each if each.isascii() and each.isprintable() else "?" for each in text)


def _status(
    endpoint: Endpoint, endpoints: Mapping[str, Endpoint], catalog: Catalog
) -> dict[str, Any]:
    status, why = _loading(endpoint, endpoints, catalog)
    return {
        "version": endpoint.version,
        "type": endpoint.metadata.type,
        "status": status,
        "last_error": why,
    }


def _loading(
    endpoint: Endpoint, endpoints: Mapping[str, Endpoint], catalog: Catalog
) -> tuple[str, str | None]:
    """Return TabPy's word for whether an endpoint can be loaded, and why it can't."""
    model = endpoint
    if endpoint.metadata.type == ALIAS:
        target = endpoints.get(endpoint.metadata.target or "")
        if target is None:
            return "LoadFailed", f"Its target '{endpoint.metadata.target}' isn't there."
        model = target
    if (why := catalog.broken.get(model.name)) is not None:
        return "LoadFailed", why
    if model.archive is not None and not catalog.is_checked(model.archive):
        return "LoadInProgress", None
    return "LoadSuccessful", None
