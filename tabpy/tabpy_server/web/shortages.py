"""Says in the log when disk or memory run short: what else is found, has a line of its own there.

One web process of a machine does it.
"""

import asyncio
import contextlib
import logging

from tabpy.tabpy_server.functions.file_lock import locked
from tabpy.tabpy_server.settings import Settings
from tabpy.tabpy_server.web import findings
from tabpy.tabpy_server.web.findings import Finding

logger = logging.getLogger(__name__)

LOOK_INTERVAL = 60.0  # seconds
LOCK_INTERVAL = 1.0  # seconds between looks at whether the web process that does it is gone


class Shortages:
    """What was short at the last look."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._last: dict[str, Finding] = {}

    def look(self) -> None:
        """Log what is short since the last look, and what isn't any more. Reads files."""
        found = {each.key: each for each in findings.shortages(self._settings)}
        for key in found.keys() - self._last.keys():
            logger.warning(found[key].text)
        for key in self._last.keys() - found.keys():
            logger.info("No longer: %s", self._last[key].what)
        self._last = found


async def keep_watch(settings: Settings) -> None:
    """Look again and again, if no other web process does; never ends."""
    shortages = Shortages(settings)
    with contextlib.suppress(OSError):  # no folder to agree in, or it's full: the page still tells
        async with locked(settings.state_path / "watch.lock", LOCK_INTERVAL):
            while True:
                await asyncio.to_thread(shortages.look)
                await asyncio.sleep(LOOK_INTERVAL)
