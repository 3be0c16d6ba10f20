"""What deploys by itself at the start: TabPy's state folder, and the checkout's `models/`.

One web process of a machine does it while the others wait for the lock, and finds nothing left to
do if one that was killed had done it already.
"""

import mmap

from tabpy.tabpy_server.functions.catalog import Catalog
from tabpy.tabpy_server.functions.checkout import deploy_checkout
from tabpy.tabpy_server.functions.deployer import Deployer
from tabpy.tabpy_server.functions.file_lock import locked
from tabpy.tabpy_server.functions.isolated import IsolatedWorkers
from tabpy.tabpy_server.functions.legacy.importer import import_state_folder
from tabpy.tabpy_server.functions.startup_problems import StartupProblems
from tabpy.tabpy_server.settings import Settings

LOCK_INTERVAL = 0.05  # seconds between looks at whether another web process is done


class Startup:
    """Deploys once a start. Make it before the web processes are forked."""

    def __init__(self) -> None:
        self._done = mmap.mmap(-1, 1)
        self.problems = StartupProblems()

    async def run(
        self, catalog: Catalog, deployer: Deployer, workers: IsolatedWorkers, settings: Settings
    ) -> None:
        """Wait until everything that deploys by itself has been deployed, here or elsewhere.

        Whatever happens, the catalog is settled then: names that it doesn't know are unknown.
        """
        try:
            await catalog.open()
            file = settings.state_path / "boot.lock"  # older servers' name for it
            async with locked(file, LOCK_INTERVAL):
                if self._done[0] == 0:
                    await import_state_folder(catalog, deployer, settings)
                    self.problems.tell(await deploy_checkout(catalog, deployer, workers, settings))
                    self._done[0] = 1
        finally:
            catalog.settled.set()
