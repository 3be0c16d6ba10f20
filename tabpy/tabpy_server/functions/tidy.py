"""Removes files that nobody uses any more: what is wanted is compared with what is there."""

import asyncio
import contextlib
from pathlib import Path

from tabpy.tabpy_server.errors import StoreUnavailableError
from tabpy.tabpy_server.functions.archive_files import remove_old_files
from tabpy.tabpy_server.functions.catalog import Catalog

TIDY_INTERVAL = 60.0  # seconds; a look is one listing of each folder


async def keep_tidy(catalog: Catalog, incoming: Path) -> None:
    """Remove archives of versions that don't serve and what killed servers had taken in, in the
    folder `incoming`; never ends."""
    await catalog.settled.wait()  # what deploys at the start may be there already
    while True:
        await tidy(catalog, incoming)
        await asyncio.sleep(TIDY_INTERVAL)


async def tidy(catalog: Catalog, incoming: Path) -> None:
    """Look once."""
    with contextlib.suppress(StoreUnavailableError):
        await catalog.remove_unused_files()
    await asyncio.to_thread(remove_old_files, incoming)
