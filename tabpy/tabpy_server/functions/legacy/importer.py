"""Imports the functions of a state folder of TabPy's, each once and for all."""

import asyncio
import logging
from contextlib import ExitStack
from pathlib import Path

from tabpy.tabpy_server.errors import TabPyError
from tabpy.tabpy_server.functions.catalog import Catalog
from tabpy.tabpy_server.functions.deployer import Deployer
from tabpy.tabpy_server.functions.legacy import state_folder
from tabpy.tabpy_server.functions.legacy.state_folder import LegacyFunction
from tabpy.tabpy_server.functions.metadata import DeployRequest
from tabpy.tabpy_server.functions.store.endpoint import ALIAS
from tabpy.tabpy_server.functions.store.opened_archive import copied, open_operators
from tabpy.tabpy_server.settings import Settings

logger = logging.getLogger(__name__)


async def import_state_folder(catalog: Catalog, deployer: Deployer, settings: Settings) -> None:
    """Deploy what TabPy left in the state folder and what was not imported before, though it may
    have been removed since. What can't be had is a line in the log."""
    folder = settings.tabpy_state_path
    if not (folder / "state.ini").is_file():
        return
    found = await asyncio.to_thread(state_folder.read, folder, settings.query_object_path)
    for problem in found.problems:
        logger.warning("Not taken over from state.ini: %s", problem)
    known = await catalog.run(lambda store: store.origins())
    if folder != settings.state_path and any(
        _origin(each) not in known for each in found.functions
    ):
        logger.info("TabPy left deployed functions in its package, %s.", folder)
    # Aliases last: their targets have to be there.
    for function in sorted(found.functions, key=lambda each: each.type == ALIAS):
        if _origin(function) not in known:
            await _import(catalog, deployer, function, settings.state_path / "incoming")


async def _import(
    catalog: Catalog, deployer: Deployer, function: LegacyFunction, incoming: Path
) -> None:
    request = _request(function)
    try:
        if function.archive is None:
            await deployer.create(request, None)
        else:
            with ExitStack() as staged:
                original = staged.enter_context(open_operators(function.archive))
                archive = await asyncio.to_thread(staged.enter_context, copied(original, incoming))
                await deployer.import_legacy(request, archive, function.version)
        await catalog.run(lambda store: store.remember(request.origin))
    except TabPyError as error:
        logger.warning(
            "Not taken over from state.ini: %s: %s %s", function.name, error.message, error.info
        )
    except Exception:
        # One function's accident is no reason to keep the others from being imported.
        logger.exception("Not taken over from state.ini: %s", function.name)
    else:
        logger.info("Taken over from state.ini: %s, version %d", function.name, function.version)


def _request(function: LegacyFunction) -> DeployRequest:
    return DeployRequest(
        name=function.name,
        type=function.type,
        given={
            "description": function.description,
            "docstring": function.docstring,
            "schema": function.schema,
            "target": function.target,
            "methods": function.methods,
            "dependencies": function.dependencies,
            "is_public": function.is_public,
        },
        origin=_origin(function),
    )


def _origin(function: LegacyFunction) -> str:
    return f"state.ini {function.name} {function.version}"
