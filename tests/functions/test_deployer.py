"""A function serves once a worker has loaded it; else its author hears why, and nothing changes."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tabpy.tabpy_server.errors import (
    DrainingError,
    EndpointExistsError,
    InternalError,
    InvalidInputError,
    JobTimeoutError,
    MissingArchiveError,
    NotLoadableError,
    RefusedError,
    TabPyError,
    UnknownEndpointError,
    WorkerDiedError,
)
from tabpy.tabpy_server.functions.deployer import LOAD_TIMEOUT, Deployer
from tabpy.tabpy_server.functions.metadata import DeployRequest
from tabpy.tabpy_server.functions.store.endpoint import ArchiveInfo, EndpointMetadata
from tabpy.tabpy_server.functions.store.opened_archive import OpenedArchive
from tabpy.tabpy_server.functions.store.store import Store
from tabpy.tabpy_server.workers.pool.hired import ENDED
from tabpy.tabpy_server.workers.protocol import CheckArchive, Task
from tests.functions.building import FakeRunner, catalog_of, deployer_of, sha256

Write = Callable[[bytes], OpenedArchive]


@pytest.fixture
def runner() -> FakeRunner:
    return FakeRunner()


@pytest.fixture
def deployer(store: Store, runner: FakeRunner, tmp_path: Path) -> Deployer:
    return deployer_of(catalog_of(lambda: store, tmp_path / "archives"), runner)


def request(name: str = "f", kind: str = "model", **given: Any) -> DeployRequest:
    return DeployRequest(name, kind, given, "3.11.7", {"numpy": "2"}, ["numpy>=2"], "origin")


def test_a_new_model_is_checked_and_stored(
    deployer: Deployer, runner: FakeRunner, store: Store, archive: Write
) -> None:
    runner.reply["remarks"] = ["numpy is 1 on the server and 2 where it was made"]
    file = archive(b"data")
    made = asyncio.run(deployer.create(request(description="d"), file))
    assert made.remarks == runner.reply["remarks"]
    assert made.endpoint.metadata == EndpointMetadata(description="d")
    assert made.endpoint.archive == ArchiveInfo(
        sha256(b"data"), 4, "3.11.7", {"numpy": "2"}, ["numpy>=2"], "origin"
    )
    assert store.load() == {"f": made.endpoint}
    task = CheckArchive(str(file.path), "f", ["numpy>=2"], "3.11.7", {"numpy": "2"})
    assert runner.asked == [(task, LOAD_TIMEOUT, b"")]


def test_a_new_version_changes_what_is_given(
    deployer: Deployer, store: Store, archive: Write
) -> None:
    async def deploy_twice() -> None:
        await deployer.create(request(description="old", docstring="kept"), archive(b"1"))
        await deployer.replace(request(description="new"), archive(b"2"))

    asyncio.run(deploy_twice())
    (found,) = store.load().values()
    assert (found.version, found.metadata.description) == (2, "new")
    assert (found.metadata.docstring, found.archive and found.archive.size) == ("kept", 1)


def test_a_function_from_elsewhere_keeps_its_version(deployer: Deployer, archive: Write) -> None:
    assert asyncio.run(deployer.import_legacy(request(), archive(b"1"), 7)).version == 7


FAILURES = [
    (NotLoadableError("f", "It needs x."), "It needs x."),
    (JobTimeoutError(30.0, 0.0, 30.0), "It took too long. It was stopped after 300.0 s."),
    (
        WorkerDiedError("ended with exit code 3"),
        "It ended its process. The process ended with exit code 3.",
    ),
    (
        WorkerDiedError("was stopped, as it took more than 9 MB (TABPY_SCRIPT_MEMORY_MB),"),
        "It ended its process. The process was stopped, as it took more than 9 MB "
        "(TABPY_SCRIPT_MEMORY_MB).",
    ),
    (
        InvalidInputError("'x y' is no requirement.", "Write them as pip does."),
        "'x y' is no requirement. Write them as pip does.",
    ),
]


@pytest.mark.parametrize("way", ["create", "replace", "import_legacy"])
def test_what_cannot_be_loaded_is_refused_with_the_reason(
    deployer: Deployer, runner: FakeRunner, store: Store, archive: Write, way: str
) -> None:
    if way == "replace":
        asyncio.run(deployer.create(request(), archive(b"1")))
    before = store.load()
    ways: dict[str, Callable[[], Any]] = {
        "create": lambda: deployer.create(request(), archive(b"2")),
        "replace": lambda: deployer.replace(request(), archive(b"2")),
        "import_legacy": lambda: deployer.import_legacy(request(), archive(b"2"), 1),
    }
    for runner.error, info in FAILURES:
        with pytest.raises(RefusedError) as raised:
            asyncio.run(ways[way]())
        assert raised.value.message == "Function 'f' can't be loaded."
        assert raised.value.info == info
    assert store.load() == before


@pytest.mark.parametrize("error", [InternalError(), DrainingError()])
def test_what_is_this_servers_fault_is_not_the_functions(
    deployer: Deployer, runner: FakeRunner, archive: Write, error: TabPyError
) -> None:
    runner.error = error
    with pytest.raises(type(error)):
        asyncio.run(deployer.create(request(), archive(b"1")))


class ForkServerDies(FakeRunner):
    """So many times, with all of its workers: then there is no reason."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self._times = times

    async def run_isolated(self, task: Task, limit: float, /, body: Sequence[bytes] = ()) -> bytes:
        self.error = WorkerDiedError(ENDED) if len(self.asked) < self._times else None
        return await super().run_isolated(task, limit, body)


def test_what_died_with_the_fork_server_is_checked_once_more(
    store: Store, tmp_path: Path, archive: Write
) -> None:
    catalog = catalog_of(lambda: store, tmp_path / "archives")
    once, twice = ForkServerDies(1), ForkServerDies(2)
    made = asyncio.run(deployer_of(catalog, once).create(request("once"), archive(b"1")))
    assert made.endpoint.version == 1
    with pytest.raises(RefusedError):
        asyncio.run(deployer_of(catalog, twice).create(request("twice"), archive(b"2")))
    assert [len(each.asked) for each in (once, twice)] == [2, 2]


def test_a_name_that_is_taken_is_refused_before_anything_is_loaded(
    deployer: Deployer, runner: FakeRunner, archive: Write
) -> None:
    async def deploy_twice() -> None:
        await deployer.create(request(), archive(b"1"))
        with pytest.raises(EndpointExistsError):
            await deployer.create(request(), None)

    asyncio.run(deploy_twice())
    assert len(runner.asked) == 1


def test_a_model_needs_an_archive(deployer: Deployer) -> None:
    for way in (deployer.create, deployer.replace):
        with pytest.raises(MissingArchiveError):
            asyncio.run(way(request(), None))


def test_a_new_version_of_nothing(deployer: Deployer, archive: Write) -> None:
    with pytest.raises(UnknownEndpointError):
        asyncio.run(deployer.replace(request(), archive(b"1")))


def test_an_alias_needs_a_target_and_no_worker(
    deployer: Deployer, runner: FakeRunner, archive: Write
) -> None:
    async def deploy_both() -> None:
        await deployer.create(request(), archive(b"1"))
        made = await deployer.create(request("a", "alias", target="f"), None)
        assert made.endpoint.metadata == EndpointMetadata("alias", target="f")
        for target in ({}, {"target": ""}):
            with pytest.raises(RefusedError, match="'b' can't be an alias of nothing"):
                await deployer.create(request("b", "alias", **target), None)

    asyncio.run(deploy_both())
    assert len(runner.asked) == 1


# --- a schema that is a text ---

SCHEMA = {"type": "object"}
TEXT = "{'type': 'object'}"


@pytest.mark.parametrize("found", [SCHEMA, None, {}])
def test_the_worker_that_loads_an_archive_reads_its_schema(
    deployer: Deployer, runner: FakeRunner, archive: Write, found: Any
) -> None:
    runner.reply["schema"] = found
    made = asyncio.run(deployer.create(request(schema=TEXT), archive(b"1")))
    assert made.endpoint.metadata.schema == (found or TEXT)
    (asked,) = runner.asked
    assert asked[2] == f'"{TEXT}"'.encode()
    newer = asyncio.run(deployer.replace(request(schema=TEXT), archive(b"2")))
    assert newer.endpoint.metadata.schema == (found or TEXT)


def test_without_an_archive_another_worker_does(
    deployer: Deployer, runner: FakeRunner, archive: Write
) -> None:
    async def deploy() -> None:
        await deployer.create(request(), archive(b"1"))
        runner.reply["schema"] = SCHEMA
        made = await deployer.create(request("a", "alias", target="f", schema=TEXT), None)
        assert made.endpoint.metadata.schema == SCHEMA
        changed = await deployer.change(request(schema=TEXT))
        assert (changed.version, changed.metadata.schema) == (1, SCHEMA)
        await deployer.change(request(schema={"an": "object"}))

    asyncio.run(deploy())
    assert [task.path for task, _, _ in runner.asked[1:] if isinstance(task, CheckArchive)] == [
        "",
        "",
    ]


def test_a_schema_that_costs_too_much_is_refused(
    deployer: Deployer, runner: FakeRunner, store: Store, archive: Write
) -> None:
    asyncio.run(deployer.create(request(), archive(b"1")))
    before = store.load()
    runner.error = WorkerDiedError("was stopped, as it took more than 9 MB,")
    with pytest.raises(InvalidInputError) as raised:
        asyncio.run(deployer.change(request(schema=TEXT)))
    assert str(raised.value) == (
        "'schema' can't be read. It ended its process. The process was stopped, as it took more "
        "than 9 MB."
    )
    assert store.load() == before


def test_what_is_in_a_text_may_not_be_nested_too_deep_either(
    deployer: Deployer, runner: FakeRunner, store: Store, archive: Write
) -> None:
    value: Any = {}
    for _ in range(150):
        value = {"a": value}
    runner.reply["schema"] = value
    for way in (
        deployer.create(request(schema=TEXT), archive(b"1")),
        deployer.change(request(schema=TEXT)),
    ):
        with pytest.raises(InvalidInputError) as raised:
            asyncio.run(way)
        assert str(raised.value) == "'schema' is nested too deep. 100 levels are allowed."
    assert store.load() == {}


# --- turns ---


class CountingRunner(FakeRunner):
    """Notes how many tasks run at the same time."""

    running = 0
    most = 0

    async def run_isolated(self, task: Task, limit: float, /, body: Sequence[bytes] = ()) -> bytes:
        self.running += 1
        self.most = max(self.most, self.running)
        for _ in range(5):
            await asyncio.sleep(0)
        self.running -= 1
        return await super().run_isolated(task, limit, body)


def test_one_thing_is_checked_after_the_other(store: Store, tmp_path: Path, archive: Write) -> None:
    async def deploy_many() -> int:
        runner = CountingRunner()
        deployer = deployer_of(catalog_of(lambda: store, tmp_path / "archives"), runner)
        await asyncio.gather(
            *(deployer.create(request(f"f{number}"), archive(b"1")) for number in range(3)),
            *(
                deployer.import_legacy(request(f"g{number}"), archive(b"1"), 1)
                for number in range(3)
            ),
        )
        await asyncio.gather(
            *(deployer.replace(request(f"f{number}"), archive(b"1")) for number in range(3)),
            *(deployer.change(request(f"g{number}", schema="text")) for number in range(3)),
        )
        assert len(runner.asked) == 12
        return runner.most

    assert asyncio.run(deploy_many()) == 1
