"""Decides which models are worth loading once for all workers of a web process."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Protocol

from tabpy.tabpy_server.errors import TabPyError
from tabpy.tabpy_server.functions.catalog import Catalog
from tabpy.tabpy_server.functions.store.endpoint import Endpoint
from tabpy.tabpy_server.workers.protocol import Reference

CHANGE_CHECK_INTERVAL = 1.0  # seconds, so that several deploys in a row count as one
RETRY_AFTER = 5.0  # seconds
WORTH_IT = 1 << 20  # bytes of an archive; smaller models are quicker loaded than shared


class ModelPreloader(Protocol):
    """Starts workers with models that are loaded already (`Pool`)."""

    def preload_models(self, references: Sequence[Reference]) -> None:
        """Have all workers start with these models, the present ones replaced."""
        ...


async def share_models(catalog: Catalog, preloader: ModelPreloader, model_memory_mb: float) -> None:
    """Have workers share the large models that serve now, as many as fit; never ends."""
    sharing = ModelSharing(catalog, preloader, model_memory_mb)
    while True:
        await asyncio.sleep(CHANGE_CHECK_INTERVAL)
        try:
            await sharing.look()
        except TabPyError:  # no store now, or an archive in it isn't whole
            await asyncio.sleep(RETRY_AFTER)


class ModelSharing:
    """Compares the models that should be shared with those that are."""

    def __init__(self, catalog: Catalog, preloader: ModelPreloader, model_memory_mb: float) -> None:
        self._catalog = catalog
        self._preloader = preloader
        self._room = int(model_memory_mb * (1 << 20))
        self._seen = ""
        self._shared: dict[str, str] = {}

    async def look(self) -> None:
        """Share other models if others serve now. Raises TabPyError, and the next look tries it
        again."""
        seen = self._catalog.change_token
        if seen == self._seen:
            return
        wanted = large_models((await self._catalog.endpoints()).values(), self._room)
        if wanted != self._shared:
            references = [await self._catalog.reference(name) for name in wanted]
            self._preloader.preload_models(references)
            self._shared = wanted
        self._seen = seen


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
        if size <= room:
            chosen[name] = sha256
            room -= size
    return chosen
