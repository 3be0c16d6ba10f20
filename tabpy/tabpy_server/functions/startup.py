"""What deploys by itself at the start: TabPy's state folder, and the checkout's `models/`.

One web process of a machine does it while the others wait for the lock, and finds nothing left to
do if one that was killed had done it already.
"""

import asyncio
import contextlib
import mmap
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

from tabpy.tabpy_server.functions.catalog import Catalog
from tabpy.tabpy_server.functions.checkout import deploy_checkout
from tabpy.tabpy_server.functions.deployer import Deployer
from tabpy.tabpy_server.functions.isolated import IsolatedWorkers
from tabpy.tabpy_server.functions.legacy.importer import import_state_folder
from tabpy.tabpy_server.functions.store.opened_archive import remove, unfollowed
from tabpy.tabpy_server.settings import Settings

if sys.platform != "win32":
    import fcntl

LOCK_INTERVAL = 0.05  # seconds between looks at whether another web process is done


class Startup:
    """Deploys once a start. Make it before the web processes are forked."""

    def __init__(self) -> None:
        self._done = mmap.mmap(-1, 1)

    async def run(
        self, catalog: Catalog, deployer: Deployer, workers: IsolatedWorkers, settings: Settings
    ) -> None:
        """Wait until everything that deploys by itself has been deployed, here or elsewhere.

        Whatever happens, the catalog is settled then: names that it doesn't know are unknown.
        """
        try:
            await catalog.open()
            async with _lock(settings.state_path / "boot.lock"):  # older servers' name for it
                if self._done[0] == 0:
                    await import_state_folder(catalog, deployer, settings)
                    await deploy_checkout(catalog, deployer, workers, settings)
                    self._done[0] = 1
        finally:
            catalog.settled.set()


@asynccontextmanager
async def _lock(file: Path) -> AsyncIterator[None]:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _open(file) as held:  # the kernel lets go of it when this process dies
        while sys.platform != "win32":
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(LOCK_INTERVAL)  # not on a thread, which can't be cancelled
        yield


def _open(file: Path) -> BinaryIO:
    """Open a file to lock, in place of whatever else a script may have put there."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(file.lstat().st_mode):
            remove(file)
    return open(file, "ab", opener=unfollowed)
