"""Deploys the functions of the checkout's `models/`, as they are at the start."""

import logging
import tempfile
from pathlib import Path
from typing import Any

from tabpy.tabpy_server.errors import TabPyError
from tabpy.tabpy_server.functions.catalog import Catalog
from tabpy.tabpy_server.functions.deployer import Deployer
from tabpy.tabpy_server.functions.isolated import IsolatedRunner, why_it_failed
from tabpy.tabpy_server.functions.metadata import parse_metadata
from tabpy.tabpy_server.functions.store.opened_archive import open_archive
from tabpy.tabpy_server.json_codec import loads
from tabpy.tabpy_server.settings import Settings
from tabpy.tabpy_server.workers.protocol import Collect

logger = logging.getLogger(__name__)

COLLECT_TIMEOUT = 60.0  # seconds that importing all of `models/` may take


async def deploy_checkout(
    catalog: Catalog, deployer: Deployer, runner: IsolatedRunner, settings: Settings
) -> None:
    """Deploy what `@endpoint` marks in the modules of `models/`, unless it is there already. What
    can't be deployed is a line in the log, and costs no more than itself."""
    folder = settings.models_path
    if folder is None or not any(folder.glob("*.py")):
        if "TABPY_MODELS_PATH" in settings.explicit:
            logger.info("TABPY_MODELS_PATH is '%s', where there is no module.", folder or "")
        return
    with tempfile.TemporaryDirectory() as archives:
        task = Collect(models=str(folder), archives=archives)
        try:
            collected = loads(await runner.run_isolated(task, COLLECT_TIMEOUT))
        except TabPyError as error:
            why = why_it_failed(error, COLLECT_TIMEOUT)
            logger.warning("models/ can't be deployed: %s", why)
            return
        for problem in collected["problems"]:
            logger.warning("Not deployed: %s", problem)
        known = await catalog.run(lambda store: store.origins())
        for metadata in collected["functions"]:
            await _deploy(catalog, deployer, metadata, Path(archives), known)


async def _deploy(
    catalog: Catalog,
    deployer: Deployer,
    metadata: dict[str, Any],
    archives: Path,
    known: set[str],
) -> None:
    where = f"models/{metadata['file']}: {metadata['name']}"
    try:
        request = parse_metadata(metadata)
        exists = request.name in await catalog.endpoints()
        if exists and request.origin in known:
            return
        deploy = deployer.replace if exists else deployer.create
        # Only the name: a module that was imported there can have the worker say anything.
        with open_archive(archives / Path(metadata["archive"]).name) as archive:
            endpoint, _ = await deploy(request, archive)
        # Only the last one: a text that was there before may come back.
        before = request.origin.rpartition(" ")[0]
        await catalog.run(lambda store: store.remember(request.origin, before))
    except TabPyError as error:
        logger.warning("Not deployed: %s: %s %s", where, error.message, error.info)
    except Exception:
        # One function's accident is no reason to keep the others from being deployed.
        logger.exception("Not deployed: %s", where)
    else:
        logger.info("Deployed from models/: %s, version %d", endpoint.name, endpoint.version)
