"""What deploys by itself at the start: TabPy's state folder, and the checkout's `models/`.

One web process of a machine does it while the others wait for the lock, and finds nothing left to
do if one that was killed had done it already.
"""

import asyncio
import contextlib
import logging
import mmap
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from tabpy.tabpy_server.errors import RequestError, TabPyError
from tabpy.tabpy_server.functions.catalog import FORGET_AFTER
from tabpy.tabpy_server.functions.legacy import state_folder
from tabpy.tabpy_server.functions.metadata import DeployRequest, parse_metadata
from tabpy.tabpy_server.web.context import Context
from tabpy.tabpy_server.workers.protocol import Collect

if sys.platform != "win32":
    import fcntl

logger = logging.getLogger(__name__)

LOCK_EVERY = 0.05  # seconds between looks at whether another web process is done
COLLECT_TIMEOUT = 60.0  # seconds that importing all of `models/` may take


class Boot:
    """Deploys once a start. Make it before the web processes are forked."""

    def __init__(self) -> None:
        self._done = mmap.mmap(-1, 1)

    async def run(self, context: Context) -> None:
        """Until everything that deploys by itself has been deployed, here or elsewhere."""
        await context.catalog.open()
        if context.loses_functions:
            logger.warning(context.loses_functions)
        async with _lock(context.settings.state_path / "boot.lock"):
            if self._done[0] == 0:
                await _move_in(context)
                await _deploy_checkout(context)
                await context.catalog.forget_files()
                _forget_uploads(context.settings.state_path / "incoming")
                self._done[0] = 1
        context.catalog.settled.set()


@asynccontextmanager
async def _lock(file: Path) -> AsyncIterator[None]:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with file.open("w") as held:  # the kernel lets go of it when this process dies
        while sys.platform != "win32":
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(LOCK_EVERY)  # not on a thread, which could not be cancelled
        yield


def _forget_uploads(folder: Path) -> None:
    """Remove what a server that was killed had taken in, if it isn't another one's just now."""
    for file in folder.glob("*") if folder.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):
            if file.stat().st_mtime < time.time() - FORGET_AFTER:
                file.unlink()


async def _move_in(context: Context) -> None:
    """Take over what a state folder of TabPy's has, each function once and for all."""
    settings = context.settings
    if not (settings.state_path / "state.ini").is_file():
        return
    moved = await asyncio.to_thread(
        state_folder.read, settings.state_path, settings.query_object_path
    )
    for problem in moved.problems:
        logger.warning("Not taken over from state.ini: %s", problem)
    known = await context.catalog.read(lambda store: store.origins())
    # Aliases last: their targets have to be there.
    for function in sorted(moved.functions, key=lambda each: each.type == "alias"):
        origin = f"state.ini {function.name} {function.version}"
        if origin in known:
            continue
        deployment = DeployRequest(
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
            origin=origin,
        )
        try:
            if function.archive is None:
                await context.deployer.create(deployment, None)
            else:
                await context.deployer.take_over(deployment, function.archive, function.version)
        except RequestError as refusal:
            logger.warning(
                "Not taken over from state.ini: %s: %s %s",
                function.name,
                refusal.message,
                refusal.info,
            )
            continue
        await _remember(context, origin)
        logger.info("Taken over from state.ini: %s, version %d", function.name, function.version)


async def _deploy_checkout(context: Context) -> None:
    """Deploy what `@endpoint` marks in the modules of `models/`, unless it is there already."""
    folder = context.settings.models_path
    if folder is None or not any(folder.glob("*.py")):
        if "TABPY_MODELS_PATH" in context.settings.explicit:
            logger.info("TABPY_MODELS_PATH is '%s', where there is no module.", folder or "")
        return
    with tempfile.TemporaryDirectory() as archives:
        try:
            body = await context.pool.run_isolated(Collect(str(folder), archives), COLLECT_TIMEOUT)
        except TabPyError as refusal:
            logger.warning("models/ can't be deployed: %s %s", refusal.message, refusal.info)
            return
        collected = orjson.loads(body)
        for problem in collected["problems"]:
            logger.warning("Not deployed: %s", problem)
        known = await context.catalog.read(lambda store: store.origins())
        for metadata in collected["functions"]:
            await _deploy(context, metadata, known)


async def _deploy(context: Context, metadata: dict[str, Any], known: set[str]) -> None:
    deployment = parse_metadata(metadata)
    archive = Path(metadata["archive"])
    exists = deployment.name in await context.catalog.endpoints()
    if exists and deployment.origin in known:
        return
    try:
        if exists:
            endpoint, _ = await context.deployer.replace(deployment, archive)
        else:
            endpoint, _ = await context.deployer.create(deployment, archive)
    except RequestError as refusal:
        logger.warning("Not deployed: %s: %s %s", deployment.name, refusal.message, refusal.info)
        return
    # Only the last one: a text that was there before may come back.
    await _remember(context, deployment.origin, deployment.origin.rpartition(" ")[0])
    logger.info("Deployed from models/: %s, version %d", endpoint.name, endpoint.version)


async def _remember(context: Context, origin: str, instead_of: str | None = None) -> None:
    await context.catalog.read(lambda store: store.remember(origin, instead_of))
