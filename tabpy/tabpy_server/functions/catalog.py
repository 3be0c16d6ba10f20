"""The web process's knowledge of the store: all endpoints in memory, archives as files.

The store's library takes a third of a second to import and its calls block, so all of that happens
on threads, the first of it while the server already answers scripts.
"""

import asyncio
import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tabpy.tabpy_server import process_memory
from tabpy.tabpy_server.errors import RequestError, StartError
from tabpy.tabpy_server.functions.change_token import ChangeToken
from tabpy.tabpy_server.metrics.counters import Counters
from tabpy.tabpy_server.workers.protocol import Reference

if TYPE_CHECKING:
    from tabpy.tabpy_server.functions.store.endpoint import Endpoint
    from tabpy.tabpy_server.functions.store.store import Store

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

SETTLE_TIMEOUT = 15.0  # seconds a name may wait for its function to be deployed at the start
FORGET_AFTER = 3600.0  # seconds
RETRY_AFTER = 2.0  # seconds between tries at a database that doesn't answer
RETRY = {"Retry-After": "5"}  # what clients are told


class Catalog:
    """Endpoints by name, always those of the latest change that was acknowledged here."""

    def __init__(
        self,
        open_store: Callable[[], "Store"],
        folder: Path,
        change_token: ChangeToken,
        counters: Counters,
    ) -> None:
        """`open_store` runs on a thread; `folder` keeps archives as files, for script workers."""
        self._counters = counters
        self._open_store = open_store
        self._folder = folder
        self._change_token = change_token
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="store")
        self._store: Store | None = None
        self._endpoints: Mapping[str, Endpoint] = {}
        self._references: dict[str, Reference] = {}  # of this change_token
        self._seen = ""
        self._reachable = True
        self._loading = asyncio.Lock()
        self._files: dict[str, asyncio.Lock] = {}
        self.settled = asyncio.Event()  # what deploys by itself at the start has been deployed

    async def open(self) -> None:
        """Until the store has been opened and read; tries again for as long as it takes."""
        while True:
            try:
                await self.endpoints()
            except RequestError:
                await asyncio.sleep(RETRY_AFTER)
            else:
                return

    @property
    def size(self) -> int:
        """How many endpoints are known."""
        return len(self._endpoints)

    @property
    def change_token(self) -> str:
        """Differs after every change; what was looked up before is to be looked up again."""
        return self._change_token.value()

    async def endpoints(self) -> Mapping[str, "Endpoint"]:
        """All of them. Raises RequestError 503 if the store can't be reached."""
        if self._seen != self._change_token.value() or self._store is None:
            async with self._loading:
                change_token = self._change_token.value()
                if self._seen != change_token or self._store is None:
                    self._references = {}
                    _, self._endpoints = await self._run(lambda store: store.load())
                    self._seen = change_token
        return self._endpoints

    async def model(self, name: str) -> "Endpoint":
        """The model that answers for `name`, itself or as an alias. Raises RequestError 404."""
        endpoints = await self.endpoints()
        if name not in endpoints and not self.settled.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.settled.wait(), SETTLE_TIMEOUT)
            endpoints = await self.endpoints()
        found = endpoints.get(name)
        if found is not None and found.code is None and found.description.target is not None:
            target = endpoints.get(found.description.target)
            if target is None or target.code is None:
                problem = "isn't there" if target is None else "is an alias itself"
                raise RequestError(
                    404,
                    "UnknownURI",
                    f"'{name}' is an alias of '{found.description.target}', which {problem}.",
                )
            found = target
        if found is None or found.code is None:
            raise RequestError(404, "UnknownURI", f"There is no function '{name}' on this server.")
        return found

    async def reference(self, name: str, *, damaged: str = "") -> Reference:
        """What a worker needs to load the model behind `name`. Raises RequestError 404 or 503."""
        if self._seen == self._change_token.value() and name in self._references:
            return self._references[name]
        found = await self.model(name)
        assert found.code is not None
        path = await self._file(found.code.sha256)
        reference = Reference(
            found.name, found.version, found.code.sha256, str(path), found.code.python
        )
        if (await self.endpoints()).get(found.name) is found:  # nothing has changed meanwhile
            self._references[name] = reference
        return reference

    async def change(self, operation: Callable[["Store"], Result]) -> Result:
        """Run an operation that changes the store; once it returns, everybody here knows."""
        result = await self._run(operation, "change")
        self._change_token.change()
        return result

    async def read(self, operation: Callable[["Store"], Result], kind: str = "read") -> Result:
        """Run an operation that changes nothing that is looked up; `kind` is for the metrics."""
        return await self._run(operation, kind)

    async def forget_files(self) -> None:
        """Remove the files of archives that no endpoint uses any more, and what a killed server
        left; not young ones, which somebody may be writing or have just deployed."""
        endpoints = await self.endpoints()
        used = {each.code.sha256 for each in endpoints.values() if each.code is not None}
        for file in self._folder.glob("*") if self._folder.is_dir() else ():
            with contextlib.suppress(FileNotFoundError):  # it was being written, under another name
                if file.name not in used and file.stat().st_mtime < time.time() - FORGET_AFTER:
                    file.unlink()

    async def _run(self, operation: Callable[["Store"], Result], kind: str = "read") -> Result:
        loop = asyncio.get_running_loop()
        started = time.monotonic()
        try:
            result = await loop.run_in_executor(self._threads, self._with_store, operation)
        except (RequestError, LookupError):
            raise
        except (StartError, OSError) as problem:  # found out only now: scripts don't wait for it
            raise self._unreachable(str(problem)) from None
        except Exception as problem:
            from sqlalchemy.exc import SQLAlchemyError

            if not isinstance(problem, SQLAlchemyError):
                raise
            # Its text may quote the connection's URL and the data.
            raise self._unreachable(type(problem).__name__) from None
        else:
            if not self._reachable:
                self._reachable = True
                logger.info("The store of deployed functions answers again.")
            return result
        finally:
            self._counters.store.append((kind, time.monotonic() - started))

    def _unreachable(self, why: str) -> RequestError:
        if self._reachable:
            self._reachable = False
            logger.error("The store of deployed functions can't be used: %s", why)
        return RequestError(
            503,
            "The store of deployed functions can't be reached.",
            "Scripts work; deployed functions will again when its database answers.",
            {"Retry-After": "5"},
        )

    def _with_store(self, operation: Callable[["Store"], Result]) -> Result:
        if self._store is None:
            self._store = self._open_store()
        return operation(self._store)

    async def _file(self, sha256: str) -> Path:
        """An archive as a file, fetched from the store if it's not there yet."""
        path = self._folder / sha256
        if not path.exists():
            async with self._files.setdefault(sha256, asyncio.Lock()):
                if not path.exists():
                    await self._run(lambda store: _fetch(store, sha256, path), "archive")
        return path


def _fetch(store: "Store", sha256: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        store.read_archive(sha256, temporary)
        temporary.replace(path)
        process_memory.trim()
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
