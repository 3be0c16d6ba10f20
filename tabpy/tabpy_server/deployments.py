"""Deploying: from something a client sent, or a file of the checkout, to a version that serves.

An archive is first loaded in a script worker that is thrown away, so one that can't be loaded,
crashes or never ends leaves what serves now as it is, and its author hears why.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tabpy.tabpy_server import machine
from tabpy.tabpy_server.catalog import Catalog
from tabpy.tabpy_server.errors import RequestError
from tabpy.tabpy_server.jsons import json_type, loads
from tabpy.tabpy_server.moving_in import schema_in
from tabpy.tabpy_server.store.endpoint import ALIAS, MODEL, Code, Description, Endpoint, exists
from tabpy.tabpy_server.workers.jobs import Job
from tabpy.tabpy_server.workers.pool import Pool
from tabpy.tabpy_tools.names import check_endpoint_name

if TYPE_CHECKING:
    from tabpy.tabpy_server.store.store import Store

LOAD_TIMEOUT = 30.0  # seconds that loading an archive may take
DEPTH = 100  # levels that a schema may have
FIELDS: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    "description": (str, "a string"),
    "docstring": (str, "a string"),
    "methods": (list, "an array"),
    "dependencies": (list, "an array"),
    "target": (str, "a string"),
    "schema": ((dict, list, str), "an object"),
    "is_public": (bool, "a boolean"),
}


@dataclass(frozen=True)
class Deployment:
    """A request to deploy: a name, the fields of `Description` that were given, and what is known
    of the code."""

    name: str
    type: str
    given: Mapping[str, Any]
    python: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    requirements: list[str] = field(default_factory=list)
    origin: str = ""


def parse(metadata: Any, name: str | None = None) -> Deployment:
    """A deployment from a request's JSON. `name` is the one in its path.

    Raises RequestError 400 that names what is wrong.
    """
    if not isinstance(metadata, dict):
        raise RequestError(400, "Metadata is not a JSON object.", 'Expected {"name": ..., ...}.')
    name = name or metadata.get("name")
    _check_name(name, "endpoint's name")
    assert name is not None
    kind = MODEL if metadata.get("type") is None else metadata["type"]
    if kind not in (MODEL, ALIAS):
        raise RequestError(
            400, f"'{str(kind)[:40]}' is no type of endpoint.", "It is 'model' or 'alias'."
        )
    given = {}
    for key, (types, expected) in FIELDS.items():
        value = metadata.get(key)
        if value is None:
            continue
        if not isinstance(value, types):
            raise RequestError(
                400,
                f"'{key}' is of the wrong type.",
                f"Expected {expected}, got {json_type(value)}.",
            )
        given[key] = value
    if isinstance(given.get("schema"), str):  # TabPy's client sends a dict's text
        given["schema"] = schema_in(given["schema"]) or given["schema"]
    for key, value in given.items():
        if not _fits(value, DEPTH):
            raise RequestError(400, f"'{key}' is nested too deep.", f"{DEPTH} levels are allowed.")
    if given.get("target"):
        _check_name(given["target"], "target's name")
    return Deployment(
        name=name,
        type=kind,
        given=given,
        python=_text(metadata, "python"),
        packages=_texts_by_name(metadata, "packages"),
        requirements=_texts(metadata, "requirements"),
        origin=_text(metadata, "origin"),
    )


def _fits(value: Any, levels: int) -> bool:
    """Whether JSON has at most so many levels: with very many, it can't be written again."""
    parts = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(parts, list):
        return True
    return levels > 0 and all(_fits(each, levels - 1) for each in parts)


def _check_name(name: Any, what: str) -> None:
    try:
        check_endpoint_name(name)
    except (TypeError, ValueError) as problem:
        raise RequestError(400, f"The {what} can't be used.", str(problem)) from None


def _text(metadata: Mapping[str, Any], key: str) -> str:
    value = metadata.get(key)
    return value if isinstance(value, str) else ""


def _texts(metadata: Mapping[str, Any], key: str) -> list[str]:
    value = metadata.get(key) or []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise RequestError(400, f"'{key}' is no array of strings.", 'Expected ["...", ...].')
    return value


def _texts_by_name(metadata: Mapping[str, Any], key: str) -> dict[str, str]:
    value = metadata.get(key) or {}
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise RequestError(400, f"'{key}' is no object of strings.", 'Expected {"name": "..."}.')
    return value


def _put(store: "Store", archive: Path) -> tuple[str, int]:
    stored = store.put_archive(archive)
    machine.trim()
    return stored


class Deployed(NamedTuple):
    """What serves now, and what its author should know of it, a line each."""

    endpoint: Endpoint
    remarks: list[str]


class Deployments:
    """Deploys one thing after the other: checking an archive can take much memory."""

    def __init__(self, catalog: Catalog, pool: Pool) -> None:
        self._catalog = catalog
        self._pool = pool
        self._turn = asyncio.Lock()

    async def create(self, deployment: Deployment, archive: Path | None) -> Deployed:
        """A new endpoint. Raises RequestError 400 with the reason it can't be."""
        name, description = deployment.name, Description(deployment.type, **deployment.given)
        if deployment.type == ALIAS:
            if not description.target:
                raise RequestError(
                    400, f"'{name}' can't be an alias of nothing.", "'target' names its endpoint."
                )
            alias = await self._catalog.change(
                lambda store: store.create(name, description, code=None)
            )
            return Deployed(alias, [])
        async with self._turn:
            if name in await self._catalog.endpoints():
                raise exists(name)
            code, remarks = await self._code(deployment, archive)
            model = await self._catalog.change(lambda store: store.create(name, description, code))
            return Deployed(model, remarks)

    async def take_over(self, deployment: Deployment, archive: Path, version: int) -> Endpoint:
        """A new endpoint that starts with a version from elsewhere. Raises RequestError 400."""
        async with self._turn:
            code, _ = await self._code(deployment, archive)
            description = Description(deployment.type, **deployment.given)
            return await self._catalog.change(
                lambda store: store.create(deployment.name, description, code, version)
            )

    async def replace(self, deployment: Deployment, archive: Path | None) -> Deployed:
        """A new version. Raises RequestError 404, or 400 with the reason it can't be."""
        async with self._turn:
            code, remarks = await self._code(deployment, archive)
            model = await self._catalog.change(
                lambda store: store.replace(deployment.name, deployment.given, code)
            )
            return Deployed(model, remarks)

    async def change(self, deployment: Deployment) -> Endpoint:
        """Only what was given. Raises RequestError 404, or 400 for an impossible target."""
        return await self._catalog.change(
            lambda store: store.change(deployment.name, deployment.given)
        )

    async def _code(self, deployment: Deployment, archive: Path | None) -> tuple[Code, list[str]]:
        """Check an archive and store it, not yet in use by any endpoint; with remarks."""
        if archive is None:
            raise RequestError(
                400,
                "There is no archive.",
                "Send one as the part 'archive' of a multipart request, or name it with src_path.",
            )
        remarks = await self._check(deployment, archive)
        sha256, size = await self._catalog.read(lambda store: _put(store, archive), "archive")
        code = Code(
            sha256=sha256,
            size=size,
            python=deployment.python,
            packages=deployment.packages,
            requirements=deployment.requirements,
            origin=deployment.origin,
        )
        return code, remarks

    async def _check(self, deployment: Deployment, archive: Path) -> list[str]:
        what = {
            "path": str(archive),
            "name": deployment.name,
            "requirements": deployment.requirements,
            "python": deployment.python,
            "packages": dict(deployment.packages),
        }
        try:
            frame = await self._pool.run_apart(
                Job({"do": "check", "archive": what}, [], LOAD_TIMEOUT)
            )
        except RequestError as problem:
            if problem.message.startswith("Function "):
                raise RequestError(400, problem.message, problem.info) from None
            raise RequestError(
                400,
                f"Function '{deployment.name}' can't be loaded.",
                f"{problem.message} {problem.info}",
            ) from None
        remarks: list[str] = loads(frame.body)
        return remarks
