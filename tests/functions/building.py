"""What tests of functions put into stores, and who does what workers and pools would."""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Engine, delete

from tabpy.tabpy_server.errors import TabPyError
from tabpy.tabpy_server.functions.announcements import Announcements
from tabpy.tabpy_server.functions.catalog import Catalog
from tabpy.tabpy_server.functions.change_token import ChangeToken
from tabpy.tabpy_server.functions.deployer import Deployer
from tabpy.tabpy_server.functions.isolated import IsolatedRunner
from tabpy.tabpy_server.functions.renewal import Renewal
from tabpy.tabpy_server.functions.store.endpoint import (
    ALIAS,
    ArchiveInfo,
    Endpoint,
    EndpointMetadata,
)
from tabpy.tabpy_server.functions.store.opened_archive import open_archive
from tabpy.tabpy_server.functions.store.schema import endpoints, versions
from tabpy.tabpy_server.functions.store.store import Store
from tabpy.tabpy_server.metrics.counters import Counters
from tabpy.tabpy_server.workers.protocol import Reference, Task

DATA = b"the archive of a model"
ENVIRONMENT = "this Python, these packages"


def sha256(data: bytes = DATA) -> str:
    return hashlib.sha256(data).hexdigest()


def put(store: Store, folder: Path, data: bytes = DATA) -> ArchiveInfo:
    """Store an archive that no version uses yet."""
    file = folder / "to be stored"
    file.write_bytes(data)
    with open_archive(file) as archive:
        archive.measure()
        store.put_archive(archive)
    return ArchiveInfo(*archive.stored, python="3.11.7")


def add_model(store: Store, folder: Path, name: str, data: bytes = DATA, **said: Any) -> Endpoint:
    return store.create(name, EndpointMetadata(**said), put(store, folder, data))


def add_alias(store: Store, name: str, target: str) -> Endpoint:
    return store.create(name, EndpointMetadata(type=ALIAS, target=target), None)


def catalog_of(
    open_store: Callable[[], Store], folder: Path, token: ChangeToken | None = None
) -> Catalog:
    """A catalog whose start is over."""
    catalog = Catalog(open_store, folder, token or ChangeToken(), Counters(), ENVIRONMENT)
    catalog.settled.set()
    return catalog


class FakeRunner:
    """Stands in for the pool: replies the same to each task, or raises."""

    def __init__(self, reply: Any = None) -> None:
        self.reply = {"remarks": [], "schema": None} if reply is None else reply
        self.error: TabPyError | None = None
        self.asked: list[tuple[Task, float, bytes]] = []

    async def run_isolated(self, task: Task, limit: float, /, body: Sequence[bytes] = ()) -> bytes:
        self.asked.append((task, limit, b"".join(body)))
        if self.error is not None:
            raise self.error
        return orjson.dumps(self.reply)


def remove_by_hand(engine: Engine, name: str) -> None:
    """Remove an endpoint whatever points to it, as somebody may do in the database."""
    with engine.begin() as connection:
        connection.execute(delete(versions).where(versions.c.name == name))
        connection.execute(delete(endpoints).where(endpoints.c.name == name))


class FakeRenewer:
    """Stands in for a pool whose workers have called `called`; `renewed` are the versions that they
    loaded since."""

    def __init__(self, called: Mapping[str, Collection[str]] | None = None) -> None:
        self.called = called or {}
        self.renewed: list[Reference] = []

    async def renew(self, reference: Reference, /) -> None:
        self.renewed.append(reference)


def renewal_of(catalog: Catalog, renewer: FakeRenewer | None = None) -> Renewal:
    announcements = Announcements(ChangeToken(), Path(), others=0)
    return Renewal(catalog, renewer or FakeRenewer(), announcements)


def deployer_of(catalog: Catalog, runner: IsolatedRunner) -> Deployer:
    """A deployer beside workers that have called nothing."""
    return Deployer(catalog, runner, renewal_of(catalog))
