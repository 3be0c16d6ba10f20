"""Finds out which stored functions can't be loaded here any more, before somebody calls them.

Each is loaded in a worker that is thrown away, as when it was deployed: one at a time, and once for
each archive and environment, since what was found is stored. So a server that starts again as it
was tries only those that couldn't be loaded before.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from tabpy.tabpy_server.errors import TabPyError
from tabpy.tabpy_server.functions.catalog import Catalog
from tabpy.tabpy_server.functions.deployer import Deployer
from tabpy.tabpy_server.functions.file_lock import locked
from tabpy.tabpy_server.functions.store.endpoint import ArchiveInfo

logger = logging.getLogger(__name__)

LOCK_INTERVAL = 1.0  # seconds between looks at whether the web process that checks is gone
LOOK_INTERVAL = 1.0  # seconds between looks at whether something else serves
STORE_INTERVAL = 1.0  # seconds between storing what was found
RETRY_AFTER = 5.0  # seconds
QUIET_INTERVAL, QUIET_LOOKS = 0.05, 20  # seconds between looks for no job that runs; looks
AGAIN_AFTER = 10.0  # seconds between two checks of a function because of calls


class Traffic(Protocol):
    """Who runs jobs (`Pool`)."""

    @property
    def waiting(self) -> int:
        """Jobs without a worker."""

    @property
    def running(self) -> int:
        """Jobs on a worker."""


class Checkup:
    """Checks what serves, in one web process of a machine, and what calls cast doubt on, in each.

    Whatever is found is a line in the log.
    """

    def __init__(self, catalog: Catalog, deployer: Deployer, traffic: Traffic) -> None:
        self._catalog = catalog
        self._deployer = deployer
        self._traffic = traffic
        self._doubtful: set[str] | None = None  # SHA-256 of what couldn't be loaded before
        self._found: dict[str, str] = {}  # what isn't stored yet, by SHA-256
        self._stored_at = 0.0
        self._checked_again: dict[str, float] = {}  # when, because of calls
        self._checking: dict[str, asyncio.Task[None]] = {}

    async def keep(self, folder: Path) -> None:
        """Check what serves whenever that has changed, if no other web process does; never ends.
        `folder` is where they agree on who does."""
        await self._catalog.settled.wait()  # what is deployed at the start needs no check then
        async with locked(folder / "check.lock", LOCK_INTERVAL):
            seen = ""
            while True:
                if seen != (change_token := self._catalog.change_token):
                    try:
                        await self.look()
                        seen = change_token
                    except (TabPyError, OSError):  # no store, or no room to read from it
                        await asyncio.sleep(RETRY_AFTER)
                    except Exception:
                        logger.exception("Checking the stored functions failed.")
                        seen = change_token
                await asyncio.sleep(LOOK_INTERVAL)

    async def look(self) -> None:
        """Check what serves and hasn't been checked here; the first time also what couldn't be
        loaded before: it may have been because of something that is no part of the environment.

        Raises TabPyError and OSError; the next look goes on then.
        """
        models = [
            (name, each.archive)
            for name, each in (await self._catalog.endpoints()).items()
            if each.archive is not None
        ]
        if self._doubtful is None:
            self._doubtful = {each.sha256 for name, each in models if name in self._catalog.broken}
        checked = broken = 0
        for name, archive in models:
            await self._catalog.endpoints()  # another server may have checked it meanwhile
            if self._is_known(archive):
                continue
            await self._quiet_moment()
            found = await self._deployer.check_stored(name)
            self._doubtful.discard(archive.sha256)
            checked += len(found)
            broken += sum(map(bool, found.values()))
            await self._take(found)
        await self._store()
        if checked:
            logger.info("Stored functions checked: %d; can't be loaded: %d", checked, broken)

    def saw(self, name: str, *, loads: bool) -> None:
        """Take note that a call has shown whether a function can be loaded. If the last check says
        otherwise, it is checked again: no script's word is taken for it."""
        if loads == (name not in self._catalog.broken) or name in self._checking:
            return
        last = self._checked_again.get(name, -AGAIN_AFTER)
        wait = max(0.0, last + AGAIN_AFTER - time.monotonic())
        task = asyncio.get_running_loop().create_task(self._check_again(name, wait))
        self._checking[name] = task
        task.add_done_callback(lambda _: self._checking.pop(name))

    async def _check_again(self, name: str, wait: float) -> None:
        try:
            await asyncio.sleep(wait)
            self._checked_again[name] = time.monotonic()
            found = await self._deployer.check_stored(name)
            if any(found.values()) != (name in self._catalog.broken):
                await self._take(found)
                await self._store()
        except (TabPyError, OSError) as error:
            logger.warning("Function '%s' can't be checked again: %s", name, error)

    def _is_known(self, archive: ArchiveInfo) -> bool:
        if self._doubtful and archive.sha256 in self._doubtful:
            return False
        return archive.sha256 in self._found or self._catalog.is_checked(archive)

    async def _quiet_moment(self) -> None:
        """Wait until nobody's job runs here, but not for long: who is always busy wants to know,
        too."""
        for _ in range(QUIET_LOOKS):
            if not (self._traffic.running or self._traffic.waiting):
                return
            await asyncio.sleep(QUIET_INTERVAL)

    async def _take(self, found: Mapping[str, str]) -> None:
        """Take note of why archives can't be loaded, "" for those that can, by SHA-256."""
        for name, endpoint in (await self._catalog.endpoints()).items():
            reason = found.get(endpoint.archive.sha256) if endpoint.archive else None
            if reason:
                logger.warning("Function '%s' can't be loaded: %s", name, reason)
            elif reason is not None and name in self._catalog.broken:
                logger.info("Function '%s' can be loaded again.", name)
        self._found.update(found)
        if time.monotonic() > self._stored_at + STORE_INTERVAL:
            await self._store()

    async def _store(self) -> None:
        if not self._found:
            return
        found, environment = dict(self._found), self._catalog.environment
        await self._catalog.change(lambda store: store.record_checks(environment, found))
        self._stored_at = time.monotonic()
        for sha256, reason in found.items():
            if self._found.get(sha256) == reason:
                del self._found[sha256]
