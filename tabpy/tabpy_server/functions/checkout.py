"""Deploys the functions of the checkout's `models/`, as they are at the start."""

import asyncio
import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tabpy.tabpy_server.errors import TabPyError
from tabpy.tabpy_server.functions.catalog import Catalog
from tabpy.tabpy_server.functions.deployer import Deployer
from tabpy.tabpy_server.functions.isolated import IsolatedWorkers, why_it_failed
from tabpy.tabpy_server.functions.metadata import parse_metadata
from tabpy.tabpy_server.json_codec import loads
from tabpy.tabpy_server.settings import Settings
from tabpy.tabpy_server.workers.protocol import Collect

logger = logging.getLogger(__name__)

COLLECT_TIMEOUT = 60.0  # seconds that importing all of `models/` may take


async def deploy_checkout(
    catalog: Catalog, deployer: Deployer, workers: IsolatedWorkers, settings: Settings
) -> None:
    """Deploy what `@endpoint` marks in the modules of `models/`, unless it is there already. What
    can't be deployed is a line in the log, and costs no more than itself."""
    folder = settings.models_path
    if folder is None or not any(folder.glob("*.py")):
        if "TABPY_MODELS_PATH" in settings.explicit:
            logger.info("TABPY_MODELS_PATH is '%s', where there is no module.", folder or "")
        return
    with tempfile.TemporaryDirectory(dir=_incoming(settings)) as staged:
        try:
            async with workers.isolated(Collect(models=str(folder)), COLLECT_TIMEOUT) as result:
                collected = loads(result)
                await asyncio.to_thread(_stage, collected["functions"], Path(staged))
        except TabPyError as error:
            why = why_it_failed(error, COLLECT_TIMEOUT)
            logger.warning("models/ can't be deployed: %s", why)
            return
        for problem in collected["problems"]:
            logger.warning("Not deployed: %s", problem)
        known = await catalog.run(lambda store: store.origins())
        for metadata in collected["functions"]:
            await _deploy(catalog, deployer, metadata, known)


def _incoming(settings: Settings) -> Path:
    """Return the folder from which workers may load what isn't deployed yet."""
    folder = settings.state_path / "incoming"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _stage(functions: list[dict[str, Any]], folder: Path) -> None:
    """Copy the archives to a folder that the worker which made them can't change."""
    for number, metadata in enumerate(functions):
        target = folder / str(number)
        shutil.copyfile(metadata["archive"], target, follow_symlinks=False)
        metadata["archive"] = str(target)


async def _deploy(
    catalog: Catalog, deployer: Deployer, metadata: dict[str, Any], known: set[str]
) -> None:
    where = f"models/{metadata['file']}: {metadata['name']}"
    try:
        request = parse_metadata(metadata)
        exists = request.name in await catalog.endpoints()
        if exists and request.origin in known:
            return
        deploy = deployer.replace if exists else deployer.create
        endpoint, _ = await deploy(request, Path(metadata["archive"]))
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
