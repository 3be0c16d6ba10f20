"""Has workers load a new version of a function before it answers: no call waits for that.

The web process that deploys it does so before the version serves, and so do the others of its
machine, which it tells. Other machines, and all after a rollback, do it as soon as they see that
something has changed.
"""

import asyncio
import contextlib
from collections.abc import Collection, Mapping
from typing import Protocol

from tabpy.tabpy_server.errors import TabPyError
from tabpy.tabpy_server.functions.announcements import Announcements, Coming
from tabpy.tabpy_server.functions.catalog import Catalog
from tabpy.tabpy_server.functions.model_sharing import WORTH_IT
from tabpy.tabpy_server.functions.store.endpoint import ArchiveInfo
from tabpy.tabpy_server.workers.protocol import Reference

LOOK_INTERVAL = 0.05  # seconds
PATIENCE = 2.0  # seconds for workers that are busy: they load it after their jobs, or when called


class Renewer(Protocol):
    """Who has workers (`Pool`)."""

    @property
    def called(self) -> Mapping[str, Collection[str]]:
        """Return the functions that workers have called or loaded, and the SHA-256 of each."""

    async def renew(self, reference: Reference, /) -> None:
        """Have the workers that have called another version of a function load this one, and wait
        until they have. Being cancelled ends only the waiting."""


class Renewal:
    """What serves, or is going to, and the workers of one web process.

    Not for large models, which workers share: see `model_sharing`.
    """

    def __init__(self, catalog: Catalog, renewer: Renewer, announcements: Announcements) -> None:
        self._catalog = catalog
        self._renewer = renewer
        self._announcements = announcements

    async def prepare(self, name: str, archive: ArchiveInfo) -> None:
        """Have workers load a version that is stored but doesn't serve yet."""
        if archive.size < WORTH_IT:
            coming = Coming(name, archive.sha256, archive.python)
            await asyncio.gather(self._load(coming), self._tell(coming))

    async def keep(self) -> None:
        """Have workers load what others are about to make serve, or have; never ends."""
        seen = self._catalog.change_token
        while True:
            await asyncio.sleep(LOOK_INTERVAL)
            with contextlib.suppress(TabPyError, OSError):  # then calls load it
                for key, coming in (await self._announcements.hear()).items():
                    await self._load(coming)
                    await self._announcements.answer(key)
                change_token = self._catalog.change_token
                if change_token != seen:
                    seen = change_token
                    await self.look()

    async def look(self) -> None:
        """Compare what workers have loaded with what serves. Raises TabPyError and OSError."""
        endpoints = await self._catalog.endpoints()
        for name, loaded in self._renewer.called.items():
            endpoint = endpoints.get(name)
            archive = endpoint.archive if endpoint else None
            if archive is None or archive.size >= WORTH_IT or {archive.sha256} == set(loaded):
                continue
            await self._renew(await self._catalog.reference(name))

    async def _tell(self, coming: Coming) -> None:
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(PATIENCE):
                await self._announcements.tell(coming)

    async def _load(self, coming: Coming) -> None:
        if coming.name in self._renewer.called:
            with contextlib.suppress(TabPyError, OSError):  # whoever calls it is told
                path = await self._catalog.whole_file(coming.name, coming.sha256)
                await self._renew(
                    Reference(coming.name, 0, coming.sha256, str(path), coming.python)
                )

    async def _renew(self, reference: Reference) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self._renewer.renew(reference)
