"""The web process's knowledge of the store: all endpoints in memory, archives as files."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tabpy.tabpy_server import process_memory
from tabpy.tabpy_server.errors import (
    NotLoadableError,
    StoreUnavailableError,
    TabPyError,
    UnknownEndpointError,
    UnknownFunctionError,
)
from tabpy.tabpy_server.functions.archive_files import ArchiveFiles
from tabpy.tabpy_server.functions.change_token import ChangeToken
from tabpy.tabpy_server.functions.store.endpoint import ArchiveInfo, Endpoint
from tabpy.tabpy_server.functions.store_access import StoreAccess
from tabpy.tabpy_server.metrics.counters import Counters
from tabpy.tabpy_server.similar import did_you_mean
from tabpy.tabpy_server.workers.protocol import Reference

if TYPE_CHECKING:
    from tabpy.tabpy_server.functions.store.store import Store

Result = TypeVar("Result")

SETTLE_TIMEOUT = 15.0  # seconds a name may wait for its function to be deployed at the start
RETRY_AFTER = 2.0  # seconds between tries at a database that doesn't answer
LOOK_INTERVAL = 0.25  # seconds between looks for what others may have deployed just now
PATIENCE = 5.0  # seconds that calls wait to hear what has changed, before they go on without
UNREAD, OUTDATED = "", "-"  # no change tokens
DAMAGED = "Its archive is damaged."


class Catalog:
    """Endpoints by name, always those of the latest change that was acknowledged here."""

    def __init__(
        self,
        open_store: Callable[[], "Store"],
        folder: Path,
        change_token: ChangeToken,
        counters: Counters,
        environment: str,
    ) -> None:
        """`open_store` runs on a thread; `folder` keeps archives as files, for script workers.
        `environment`: what whether they can be loaded depends on, see `environment`."""
        self._store = StoreAccess(open_store, counters)
        self._files = ArchiveFiles(folder, self._fetch)
        self._change_token = change_token
        self.environment = environment
        self._seen = UNREAD
        self._endpoints: Mapping[str, Endpoint] = {}
        self._reasons: Mapping[str, str] = {}
        self._broken: Mapping[str, str] = {}
        # Names whose calls are pure, aliases too, as of when the endpoints were last returned.
        self.pure: frozenset[str] = frozenset()
        self._references: dict[str, Reference] = {}  # of the change token that was seen
        self._revision = 0  # of the store, when it was read
        self._looked = -LOOK_INTERVAL  # when that was compared last
        self._loading = asyncio.Lock()
        self._reading: asyncio.Task[None] | None = None  # for calls
        self._is_behind = False  # the store doesn't say what has changed, and calls don't wait
        self._again = 0.0  # when that is tried next
        self.settled = asyncio.Event()  # what deploys by itself at the start has been deployed

    async def open(self) -> None:
        """Wait until the store has been opened and read, for as long as that takes."""
        while True:
            try:
                await self.endpoints()
            except StoreUnavailableError:
                await asyncio.sleep(RETRY_AFTER)
            else:
                return

    async def ask_store(self) -> str:
        """Return why the store can't be used now, "" if it can."""
        return await self._store.ask()

    @property
    def size(self) -> int:
        """How many endpoints are known."""
        return len(self._endpoints)

    @property
    def broken(self) -> Mapping[str, str]:
        """Why models can't be loaded, by name, as of when the endpoints were last returned."""
        return self._broken

    @property
    def store_problem(self) -> str:
        """Why the store can't be used, and what to do, as of its last use here; "" if it can."""
        return self._store.problem

    def is_checked(self, archive: ArchiveInfo) -> bool:
        """Say whether it is known by then if an archive can be loaded here."""
        return archive.sha256 in self._reasons

    @property
    def change_token(self) -> str:
        """Differs after every change; what was looked up before is to be looked up again."""
        return self._change_token.value()

    async def endpoints(self) -> Mapping[str, Endpoint]:
        """Return all of them. Raises StoreUnavailableError."""
        if not self._is_current:
            async with self._loading:
                if not self._is_current:
                    change_token = self.change_token  # before reading: a change meanwhile counts
                    found = await self._store.run(self._read, "read")
                    self._revision, self._endpoints, self._reasons, self._broken, self.pure = found
                    self._references = {}
                    self._seen = change_token
                    self._is_behind = False
        return self._endpoints

    async def _for_calls(self) -> Mapping[str, Endpoint]:
        """Return all of them; those that were known before, where something has changed and the
        store doesn't say what: calls go on. Raises StoreUnavailableError if none were known."""
        if self._seen == UNREAD:
            return await self.endpoints()
        while not self._is_current:
            if self._reading is None or self._reading.done():
                if self._is_behind and time.monotonic() < self._again:
                    break
                self._reading = asyncio.create_task(self._try_to_read())
            if self._is_behind:
                break
            await asyncio.wait((self._reading,), timeout=PATIENCE)
            self._is_behind = self._is_behind or not self._reading.done()
        return self._endpoints

    async def _latest(self) -> Mapping[str, Endpoint]:
        """Return all of them as the store has them now: another server may have deployed what isn't
        known here, and its word be on the way. Raises StoreUnavailableError."""
        if time.monotonic() > self._looked + LOOK_INTERVAL:
            self._looked = time.monotonic()
            if await self._store.run(lambda store: store.revision(), "read") != self._revision:
                self._seen = OUTDATED
        return await self.endpoints()

    async def _try_to_read(self) -> None:
        try:
            await self.endpoints()
        except TabPyError:
            self._is_behind = True
            self._again = time.monotonic() + RETRY_AFTER

    async def pure_since(self, name: str) -> str | None:
        """Return the change token of the present endpoints if calls of `name` are pure by them,
        else None. Raises StoreUnavailableError."""
        await self._for_calls()
        return self._seen if name in self.pure and self._is_current else None

    async def endpoint(self, name: str) -> Endpoint:
        """Return one. Raises UnknownEndpointError and StoreUnavailableError."""
        endpoints = await self.endpoints()
        if name not in endpoints:
            endpoints = await self._latest()
        found = endpoints.get(name)
        if found is None:
            raise UnknownEndpointError(name, await asyncio.to_thread(_hint, name, endpoints))
        return found

    async def reference(self, name: str, *, damaged: str = "") -> Reference:
        """Return what a worker needs to load the model behind `name`. `damaged`: the SHA-256 of an
        archive whose file a worker found missing or not whole; it is fetched from the store again.

        Raises UnknownFunctionError, StoreUnavailableError, and NotLoadableError for an archive that
        isn't whole in the store.
        """
        await self._for_calls()
        if name in self._references and not damaged:
            return self._references[name]
        found, archive = await self._model(name)
        try:
            path = await self._files.get(archive.sha256, damaged=damaged == archive.sha256)
        except LookupError:
            self._seen = OUTDATED  # another server may have removed it, and its word be on the way
            if (await self.endpoints()).get(found.name) == found:
                raise NotLoadableError(name, DAMAGED) from None
            return await self.reference(name)
        reference = Reference(
            found.name, found.version, archive.sha256, str(path), archive.python, archive.size
        )
        if (await self._for_calls()).get(found.name) is found:  # nothing has changed meanwhile
            self._references[name] = reference
        return reference

    async def whole_file(self, name: str, sha256: str) -> Path:
        """Return the file of a model's archive, fetched again if what lies there isn't whole.
        Raises NotLoadableError for one that isn't whole in the store, or gone from there, and
        StoreUnavailableError."""
        try:
            return await self._files.get(sha256, damaged=True)
        except LookupError:
            raise NotLoadableError(name, DAMAGED) from None

    async def change(self, operation: Callable[["Store"], Result]) -> Result:
        """Run an operation that changes endpoints; once it returns, everybody here knows."""
        result = await self._store.run(operation, "change")
        self._change_token.change()
        return result

    async def run(self, operation: Callable[["Store"], Result], kind: str = "read") -> Result:
        """Run an operation that changes no endpoint; `kind` is for the metrics."""
        return await self._store.run(operation, kind)

    async def remove_unused_files(self) -> None:
        """Remove the files of archives that no endpoint uses. Raises StoreUnavailableError."""
        endpoints = (await self.endpoints()).values()
        await self._files.remove_unused({each.archive.sha256 for each in endpoints if each.archive})

    def _read(
        self, store: "Store"
    ) -> tuple[int, Mapping[str, Endpoint], Mapping[str, str], Mapping[str, str], frozenset[str]]:
        """Return the revision, endpoints by name, why they can't be loaded here, by SHA-256 and by
        name, and the names of pure ones."""
        revision, endpoints, reasons = store.read(self.environment)
        broken = {
            name: reason
            for name, endpoint in endpoints.items()
            if endpoint.archive and (reason := reasons.get(endpoint.archive.sha256))
        }
        pure = frozenset(name for name, each in endpoints.items() if _is_pure(each, endpoints))
        return revision, endpoints, reasons, broken, pure

    @property
    def _is_current(self) -> bool:
        return self._seen == self._change_token.value()

    async def _model(self, name: str) -> tuple[Endpoint, ArchiveInfo]:
        """Return the model that answers for `name`, itself or as an alias, and its archive."""
        endpoints = await self._for_calls()
        if name not in endpoints:
            if not self.settled.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.settled.wait(), SETTLE_TIMEOUT)
            endpoints = await self._latest()  # it may have been deployed meanwhile
        found = endpoints.get(name)
        if found is not None and found.archive is not None:
            return found, found.archive
        if found is not None and found.metadata.target is not None:
            return _target(endpoints, found)
        hint = await asyncio.to_thread(_hint, name, endpoints)
        raise UnknownFunctionError(f"There is no function '{name}' on this server.{hint}")

    async def _fetch(self, sha256: str, into: Path) -> None:
        await self._store.run(lambda store: store.read_archive(sha256, into), "archive")
        process_memory.trim()


def _hint(name: str, endpoints: Mapping[str, Endpoint]) -> str:
    return did_you_mean(name, endpoints) if endpoints else " None is deployed here."


def _is_pure(endpoint: Endpoint, endpoints: Mapping[str, Endpoint]) -> bool:
    """Say whether calls of it are pure: an alias's are its target's."""
    model = endpoints.get(endpoint.metadata.target or "") if not endpoint.archive else endpoint
    return model is not None and model.pure


def _target(endpoints: Mapping[str, Endpoint], alias: Endpoint) -> tuple[Endpoint, ArchiveInfo]:
    target = endpoints.get(alias.metadata.target or "")
    if target is not None and target.archive is not None:
        return target, target.archive
    problem = "isn't there" if target is None else "is an alias itself"
    raise UnknownFunctionError(
        f"'{alias.name}' is an alias of '{alias.metadata.target}', which {problem}."
    )
