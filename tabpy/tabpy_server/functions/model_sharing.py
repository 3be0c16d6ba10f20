"""Decides which models an owner's workers share: large ones that it has called."""

import asyncio
import contextlib
from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from tabpy.tabpy_server.errors import NotLoadableError, TabPyError, UnknownFunctionError
from tabpy.tabpy_server.functions.catalog import Catalog
from tabpy.tabpy_server.functions.store.endpoint import Endpoint
from tabpy.tabpy_server.workers.protocol import Reference

LOOK_INTERVAL = 1.0  # seconds, so that several calls or deploys in a row count as one
RETRY_AFTER = 5.0  # seconds
WORTH_IT = 1 << 20  # bytes of an archive; smaller models are quicker loaded than shared
MOST_MODELS = 100  # on a shelf


class Callers(Protocol):
    """Those whose workers may share models (`workers.pool.shelves`)."""

    @property
    def news(self) -> int:
        """Return what differs when somebody has called a model for the first time."""

    @property
    def called(self) -> Mapping[str | None, Collection[str]]:
        """Return the names of the models that each owner has called."""

    def models(self, owner: str | None, /) -> Mapping[str, str]:
        """Return the names of what an owner's workers share, and the SHA-256 of each."""

    def put(self, owner: str | None, references: list[Reference], /) -> None:
        """Have an owner's workers share these."""

    def forget(self, names: Collection[str], /) -> None:
        """Forget the calls of models that aren't among these any more."""


async def share_models(catalog: Catalog, callers: Callers, model_memory_mb: float) -> None:
    """Have each owner's workers share the large models that it calls, as many as fit; never
    ends."""
    sharing = ModelSharing(catalog, callers, model_memory_mb)
    while True:
        await asyncio.sleep(LOOK_INTERVAL)
        try:
            await sharing.look()
        except TabPyError:  # no store now
            await asyncio.sleep(RETRY_AFTER)


class ModelSharing:
    """Compares the models that should be shared with those that are."""

    def __init__(self, catalog: Catalog, callers: Callers, model_memory_mb: float) -> None:
        self._catalog = catalog
        self._callers = callers
        self._room = int(model_memory_mb * (1 << 20))
        self._seen = ("", 0)

    async def look(self) -> None:
        """Have other models shared if others serve now, or are called. Raises TabPyError, and the
        next look tries it again."""
        seen = (self._catalog.change_token, self._callers.news)
        if seen == self._seen:
            return
        endpoints = await self._catalog.endpoints()
        self._callers.forget(endpoints.keys())
        for owner, names in self._callers.called.items():
            called = [endpoints[name] for name in names if name in endpoints]
            wanted = large_models(called, self._room)
            if wanted != self._callers.models(owner):
                self._callers.put(owner, await self._references(wanted))
        self._seen = seen

    async def _references(self, names: Iterable[str]) -> list[Reference]:
        references = []
        for name in names:
            # One that isn't whole in the store, or was deleted in this moment, keeps out no other.
            with contextlib.suppress(NotLoadableError, UnknownFunctionError):
                references.append(await self._catalog.reference(name))
        return references


def large_models(endpoints: Iterable[Endpoint], room: int) -> dict[str, str]:
    """Return the names of models that are worth it, and the SHA-256 of each: the largest first,
    as many as fit into `room`, which is in bytes."""
    models = [
        (each.archive.size, each.name, each.archive.sha256)
        for each in endpoints
        if each.archive is not None and each.archive.size >= WORTH_IT
    ]
    chosen: dict[str, str] = {}
    for size, name, sha256 in sorted(models, key=lambda model: (-model[0], model[1])):
        if size <= room and len(chosen) < MOST_MODELS:
            chosen[name] = sha256
            room -= size
    return chosen
