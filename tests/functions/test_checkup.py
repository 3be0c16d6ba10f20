"""What can't be loaded here any more is known before somebody calls it, and looked for once."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest
from sqlalchemy import text

from tabpy.tabpy_server.errors import (
    DrainingError,
    InternalError,
    NotLoadableError,
    StoreUnavailableError,
    TabPyError,
    WorkerDiedError,
)
from tabpy.tabpy_server.functions import checkup as checking
from tabpy.tabpy_server.functions.catalog import Catalog
from tabpy.tabpy_server.functions.checkup import Checkup
from tabpy.tabpy_server.functions.metadata import DeployRequest
from tabpy.tabpy_server.functions.store.opened_archive import open_archive
from tabpy.tabpy_server.functions.store.store import Store
from tabpy.tabpy_server.workers.protocol import CheckArchive, Task
from tests.functions.building import (
    ENVIRONMENT,
    add_alias,
    add_model,
    catalog_of,
    deployer_of,
    put,
    sha256,
)
from tests.running import PATIENCE


class Workers:
    """Stand in for the pool: load whatever `wrong` has no error for, by name."""

    def __init__(self) -> None:
        self.wrong: dict[str, list[TabPyError]] = {}  # one for each try, the last for all others
        self.loaded: list[str] = []
        self.running = self.waiting = 0

    async def run_isolated(self, task: Task, _: float, /, body: Sequence[bytes] = ()) -> bytes:
        assert isinstance(task, CheckArchive)
        self.loaded.append(task.name)
        await asyncio.to_thread(Path(task.path).read_bytes)
        if errors := self.wrong.get(task.name):
            raise errors.pop(0) if len(errors) > 1 else errors[0]
        return orjson.dumps({"remarks": [], "schema": None})

    def break_(self, name: str, *errors: TabPyError) -> None:
        self.wrong[name] = [*errors] or [NotLoadableError(name, "It needs x.")]


class Server:
    """A web process, as far as it takes part; `restart` for another one."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.folder = folder
        self.workers = Workers()
        self.restart()

    def restart(self) -> None:
        self.catalog = catalog_of(lambda: self.store, self.folder / "archives")
        self.checkup = self.another(self.catalog)

    def another(self, catalog: Catalog) -> Checkup:
        return Checkup(catalog, deployer_of(catalog, self.workers), self.workers)

    def look(self) -> Mapping[str, str]:
        """What is broken after a look, by name; and nothing that was tried is tried again."""

        async def look() -> Mapping[str, str]:
            await self.checkup.look()
            await self.catalog.endpoints()
            return self.catalog.broken

        return asyncio.run(look())

    def known(self) -> dict[str, str]:
        """What the store knows, by SHA-256."""
        return self.store.checks(ENVIRONMENT)


@pytest.fixture
def server(store: Store, tmp_path: Path) -> Server:
    return Server(store, tmp_path)


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110 - threads work on it
            await asyncio.sleep(0.005)


def lines(caplog: pytest.LogCaptureFixture, level: str = "WARNING") -> list[str]:
    return [each.message for each in caplog.records if each.levelname == level]


# --- what is looked at ---


def test_what_cannot_be_loaded_is_named_once_with_the_reason(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for name in ("f", "g", "h"):
        add_model(server.store, tmp_path, name, name.encode())
    add_alias(server.store, "a", "g")
    server.workers.break_("g")
    assert server.look() == {"g": "It needs x."}
    assert server.look() == {"g": "It needs x."}
    assert sorted(server.workers.loaded) == ["f", "g", "h"]
    assert lines(caplog) == ["Function 'g' can't be loaded: It needs x."]
    assert lines(caplog, "INFO") == ["Stored functions checked: 3; can't be loaded: 1"]


def test_two_names_of_one_archive_are_tried_once_and_named_twice(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("f", "g"):
        add_model(server.store, tmp_path, name)
        server.workers.break_(name)
    assert server.look().keys() == {"f", "g"}
    assert len(server.workers.loaded) == 1
    assert len(lines(caplog)) == 2


def test_a_server_that_starts_as_it_was_tries_only_what_could_not_be_loaded(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for name in ("f", "g"):
        add_model(server.store, tmp_path, name, name.encode())
    server.workers.break_("g")
    server.look()
    server.restart()
    server.workers.wrong.clear()
    server.workers.loaded.clear()
    caplog.clear()
    assert server.look() == {}
    assert server.workers.loaded == ["g"]
    assert lines(caplog, "INFO")[0] == "Function 'g' can be loaded again."
    server.restart()
    assert server.look() == {}
    assert server.workers.loaded == ["g"]


def test_another_environment_has_all_tried_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_model(server.store, tmp_path, "f")
    server.look()
    server.restart()
    monkeypatch.setattr(server.catalog, "environment", "another Python")
    server.workers.break_("f")
    assert server.look() == {"f": "It needs x."}
    assert server.known() == {sha256(): ""}


def test_what_a_deployment_has_loaded_is_known(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "sent"
    file.write_bytes(b"sent")

    async def deploy() -> None:
        with open_archive(file) as archive:
            deployer = deployer_of(server.catalog, server.workers)
            await deployer.create(DeployRequest("f", "model", {}), archive)

    asyncio.run(deploy())
    assert server.known() == {sha256(b"sent"): ""}
    server.workers.loaded.clear()
    assert server.look() == {}
    assert server.workers.loaded == []


def test_a_version_that_is_brought_back_is_checked(server: Server, tmp_path: Path) -> None:
    add_model(server.store, tmp_path, "f", b"1")
    server.store.replace("f", {}, put(server.store, tmp_path, b"2"))
    assert server.look() == {}
    server.workers.break_("f")
    asyncio.run(server.catalog.change(lambda store: store.roll_back("f", 1)))
    assert server.look() == {"f": "It needs x."}
    asyncio.run(server.catalog.change(lambda store: store.roll_back("f", 2)))
    assert server.look() == {}


# --- accidents ---


def test_a_worker_that_dies_once_has_had_bad_luck(server: Server, tmp_path: Path) -> None:
    add_model(server.store, tmp_path, "f")
    server.workers.break_("f", WorkerDiedError("was killed"), NotLoadableError("f", "It needs x."))
    assert server.look() == {"f": "It needs x."}
    server.restart()
    server.workers.break_("f", WorkerDiedError("was killed"))
    assert server.look()["f"].startswith("It ended its process.")


def test_what_our_own_code_fails_at_keeps_no_other_from_being_checked(
    server: Server, tmp_path: Path
) -> None:
    for name in ("f", "g"):
        add_model(server.store, tmp_path, name, name.encode())
    server.workers.break_("f", InternalError())
    assert server.look() == {"f": "The server failed to load it: see its log."}
    assert server.workers.loaded == ["f", "g"]


def test_a_damaged_copy_on_the_disk_is_fetched_again_and_no_reason(
    server: Server, tmp_path: Path
) -> None:
    add_model(server.store, tmp_path, "f", b"whole")
    copy = server.folder / "archives" / sha256(b"whole")
    copy.parent.mkdir()
    copy.write_bytes(b"h")
    assert server.look() == {}
    assert copy.read_bytes() == b"whole"


def test_what_is_not_whole_in_the_store_is_damaged(server: Server, tmp_path: Path) -> None:
    add_model(server.store, tmp_path, "f")
    with server.store._engine.begin() as connection:
        connection.execute(text("DELETE FROM tabpy_archive_parts"))
    assert server.look() == {"f": "Its archive is damaged."}


@pytest.mark.parametrize("error", [DrainingError(), StoreUnavailableError()])
def test_what_is_nobodys_fault_is_tried_again(
    server: Server, tmp_path: Path, error: TabPyError
) -> None:
    for name in ("f", "g"):
        add_model(server.store, tmp_path, name, name.encode())
    server.workers.break_("g", error)
    with pytest.raises(type(error)):
        server.look()
    server.workers.wrong.clear()
    assert server.look() == {}
    assert server.workers.loaded == ["f", "g", "g"]


# --- beside everything else ---


def test_it_waits_for_others_jobs_but_not_for_ever(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "QUIET_INTERVAL", 0.001)
    monkeypatch.setattr(checking, "QUIET_LOOKS", 5)
    looks: list[int] = []

    class Busy(SimpleNamespace):
        @property
        def running(self) -> int:
            looks.append(len(server.workers.loaded))
            return 1

    add_model(server.store, tmp_path, "f")
    server.checkup._traffic = Busy(waiting=0)
    assert server.look() == {}
    assert (looks, server.workers.loaded) == ([0] * 5, ["f"])


def test_one_web_process_checks_and_another_goes_on_when_it_has_died(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "LOCK_INTERVAL", 0.001)
    monkeypatch.setattr(checking, "LOOK_INTERVAL", 0.001)
    add_model(server.store, tmp_path, "f", b"f")

    async def run() -> None:
        one = asyncio.create_task(server.checkup.keep(tmp_path))
        await eventually(lambda: known(1))
        other_catalog = catalog_of(lambda: server.store, server.folder / "archives")
        other = asyncio.create_task(server.another(other_catalog).keep(tmp_path))
        add_model(server.store, tmp_path, "g", b"g")
        server.catalog._change_token.change()
        await eventually(lambda: known(2))
        one.cancel()
        add_model(server.store, tmp_path, "h", b"h")
        other_catalog._change_token.change()
        await eventually(lambda: known(3))
        other.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(one, other)

    async def known(number: int) -> bool:
        return len(server.known()) == number

    asyncio.run(run())
    assert server.workers.loaded == ["f", "g", "h"]


# --- what calls show ---


@pytest.mark.parametrize("was_broken", [True, False])
def test_a_call_that_shows_something_else_has_it_checked_again(
    server: Server, tmp_path: Path, was_broken: bool
) -> None:
    add_model(server.store, tmp_path, "f")
    if was_broken:
        server.workers.break_("f")
    assert bool(server.look()) is was_broken

    async def call() -> None:
        await server.catalog.endpoints()
        for _ in range(3):
            server.checkup.saw("f", loads=was_broken)
        await eventually(changed)

    async def changed() -> bool:
        await server.catalog.endpoints()
        return ("f" in server.catalog.broken) is not was_broken

    server.workers.wrong.clear()
    if not was_broken:
        server.workers.break_("f")
    asyncio.run(call())
    assert server.workers.loaded == ["f", "f"]


def test_a_call_alone_proves_nothing(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    add_model(server.store, tmp_path, "f")
    server.workers.break_("f")
    server.look()

    async def call() -> None:
        await server.catalog.endpoints()
        server.checkup.saw("f", loads=True)
        await asyncio.gather(*server.checkup._checking.values())
        await server.catalog.endpoints()

    asyncio.run(call())
    assert server.workers.loaded == ["f", "f"]
    assert server.catalog.broken.keys() == {"f"}
    assert lines(caplog) == ["Function 'f' can't be loaded: It needs x."], "said once"


def test_calls_have_it_checked_again_only_now_and_then(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_model(server.store, tmp_path, "f")
    server.workers.break_("f")
    server.look()
    waits: list[float] = []

    async def note(_: str, wait: float) -> None:
        waits.append(wait)

    async def call() -> None:
        await server.catalog.endpoints()
        server.checkup.saw("f", loads=True)
        await asyncio.gather(*server.checkup._checking.values())
        monkeypatch.setattr(server.checkup, "_check_again", note)
        server.checkup.saw("f", loads=True)
        await asyncio.gather(*server.checkup._checking.values())

    asyncio.run(call())
    assert server.workers.loaded == ["f", "f"], "the first time at once"
    assert waits == [pytest.approx(checking.AGAIN_AFTER, abs=5.0)]


def test_what_was_broken_before_is_tried_once_after_a_start(server: Server, tmp_path: Path) -> None:
    add_model(server.store, tmp_path, "f")
    server.workers.break_("f")
    server.look()
    server.restart()
    for _ in range(3):
        assert server.look().keys() == {"f"}
    assert server.workers.loaded == ["f", "f"]


def test_a_call_that_shows_what_is_known_costs_nothing(server: Server, tmp_path: Path) -> None:
    add_model(server.store, tmp_path, "f")
    server.look()
    server.checkup.saw("f", loads=True)  # outside any loop: a task couldn't be made
    assert server.workers.loaded == ["f"]
