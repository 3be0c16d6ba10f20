"""Deploys the functions of the checkout's `models/`, as they are at the start."""

import asyncio
import logging
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tabpy.tabpy_server.errors import EndpointExistsError, RefusedError, TabPyError
from tabpy.tabpy_server.functions.catalog import Catalog
from tabpy.tabpy_server.functions.deployer import Deployer
from tabpy.tabpy_server.functions.isolated import IsolatedWorkers, why_it_failed
from tabpy.tabpy_server.functions.metadata import DeployRequest, parse_metadata
from tabpy.tabpy_server.functions.store.endpoint import Endpoint
from tabpy.tabpy_server.functions.store.opened_archive import (
    OpenedArchive,
    copied,
    open_archive,
)
from tabpy.tabpy_server.functions.store.reasons import reason
from tabpy.tabpy_server.json_codec import loads
from tabpy.tabpy_server.settings import Settings
from tabpy.tabpy_server.workers.protocol import Collect

logger = logging.getLogger(__name__)

COLLECT_TIMEOUT = 60.0  # seconds that importing all of `models/` may take


async def deploy_checkout(
    catalog: Catalog, deployer: Deployer, workers: IsolatedWorkers, settings: Settings
) -> list[str]:
    """Deploy what `@endpoint` marks in the modules of `models/`, unless it is there already, made
    with the present Python and packages. What can't be deployed is a line in the log, and costs no
    more than itself.

    Returns these lines."""
    folder = settings.models_path
    if folder is None or not any(folder.glob("*.py")):
        if "TABPY_MODELS_PATH" in settings.explicit:
            logger.info("TABPY_MODELS_PATH is '%s', where there is no module.", folder or "")
        return []
    problems = _Problems()
    with ExitStack() as staged:
        try:
            async with workers.isolated(Collect(models=str(folder)), COLLECT_TIMEOUT) as result:
                collected = loads(result)
                found = collected["functions"]
                archives = await asyncio.to_thread(
                    _stage, found, settings.state_path, staged, problems
                )
        except TabPyError as error:
            why = why_it_failed(error, COLLECT_TIMEOUT)
            logger.warning("models/ can't be deployed: %s", why)
            return [why]
        except OSError as error:
            why = reason(error)
            logger.warning("models/ can't be deployed: %s", why)
            return [why]
        for problem in collected["problems"]:
            problems.note(problem)
        known = await catalog.run(lambda store: store.origins())
        for metadata, archive in archives:
            where = f"models/{metadata['file']}: {metadata['name']}"
            try:
                await _deploy(catalog, deployer, metadata, archive, known)
            except TabPyError as error:
                problems.note(f"{where}: {error.message} {error.info}")
            except Exception:  # noqa: BLE001 - it is logged, and keeps no other from being deployed
                problems.note(where, with_trace=True)
    return problems.lines


class _Problems:
    """What wasn't deployed, as it was logged."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, problem: str, *, with_trace: bool = False) -> None:
        """Log it, with what is being raised if that is an accident of ours."""
        self.lines.append(problem)
        level = logging.ERROR if with_trace else logging.WARNING
        logger.log(level, "Not deployed: %s", problem, exc_info=with_trace)


Collected = tuple[dict[str, Any], OpenedArchive]


def _stage(
    functions: list[dict[str, Any]], state: Path, staged: ExitStack, problems: _Problems
) -> list[Collected]:
    """Copy the archives to where the worker that made them can't change them.

    A module that was imported there can have the worker say anything: not that what others have
    deployed is its own.
    """
    archives = []
    for metadata in functions:
        path = Path(metadata["archive"]).resolve()
        where = f"models/{metadata['file']}: {metadata['name']}"
        if path.is_relative_to(state.resolve()):
            problems.note(f"{where}: The archive can't be used. It isn't its own.")
            continue
        try:
            with open_archive(path) as original:
                copy = staged.enter_context(copied(original, state / "incoming"))
                archives.append((metadata, copy))
        except RefusedError as error:
            problems.note(f"{where}: {error.message} {error.info}")
    return archives


async def _deploy(
    catalog: Catalog,
    deployer: Deployer,
    metadata: dict[str, Any],
    archive: OpenedArchive,
    known: set[str],
) -> None:
    request = parse_metadata(metadata)
    serving = (await catalog.endpoints()).get(request.name)
    if serving is not None and request.origin in known and not _is_stale(serving, request):
        return
    try:
        deploy = deployer.create if serving is None else deployer.replace
        endpoint, _ = await deploy(request, archive)
    except EndpointExistsError:  # another server starts, too
        endpoint, _ = await deployer.replace(request, archive)
    # Only the last one: a text that was there before may come back.
    before = request.origin.rpartition(" ")[0]
    await catalog.run(lambda store: store.remember(request.origin, before))
    logger.info("Deployed from models/: %s, version %d", endpoint.name, endpoint.version)


def _is_stale(serving: Endpoint, request: DeployRequest) -> bool:
    """Say whether what serves is the same text, archived under another Python or with other
    packages than are here now. What came from elsewhere since is left alone."""
    archive = serving.archive
    if archive is None or archive.origin != request.origin:
        return False
    theirs, ours = archive.python.split(".")[:2], request.python.split(".")[:2]
    return theirs != ours or archive.packages != request.packages
