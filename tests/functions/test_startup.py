"""What deploys by itself at the start: once, each function alone, and names wait no longer."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from tabpy.tabpy_server import package_files
from tabpy.tabpy_server.errors import (
    JobTimeoutError,
    NotLoadableError,
    StoreUnavailableError,
    TabPyError,
    WorkerDiedError,
)
from tabpy.tabpy_server.functions.catalog import Catalog
from tabpy.tabpy_server.functions.legacy import importer
from tabpy.tabpy_server.functions.startup import Startup
from tabpy.tabpy_server.functions.store.store import Store
from tabpy.tabpy_server.settings import Settings
from tabpy.tabpy_server.workers.protocol import CheckArchive, Collect, Task
from tests.functions.building import add_model, catalog_of, deployer_of, put
from tests.functions.swapping import Swap, swaps

TABPYS_STATE = Path(__file__).parents[1] / "compat" / "data" / "state"


class Workers:
    """Stand in for the pool: collect `functions`, and load whatever isn't in `unloadable`."""

    def __init__(self) -> None:
        self.functions: list[dict[str, Any]] = []
        self.problems: list[str] = []
        self.unloadable: set[str] = set()
        self.swaps: dict[str, Swap] = {}  # what the check of a function does to its archive
        self.error: TabPyError | None = None
        self.collected: list[str] = []

    async def run_isolated(self, task: Task, _: float, /, body: Sequence[bytes] = ()) -> bytes:
        assert isinstance(task, CheckArchive)
        if task.name in self.unloadable:
            raise NotLoadableError(task.name, "It needs x.")
        if task.name in self.swaps:
            self.swaps[task.name](Path(task.path))
        return orjson.dumps({"remarks": [], "schema": None})

    @asynccontextmanager
    async def isolated(self, task: Task, _: float, /) -> AsyncIterator[bytes]:
        assert isinstance(task, Collect)
        self.collected.append(task.models)
        if self.error is not None:
            raise self.error
        with tempfile.TemporaryDirectory() as own:
            functions = []
            for position, function in enumerate(self.functions):
                archive = write(Path(own, str(position)), f"archive of {function['name']}")
                functions.append({"archive": str(archive), "file": "mine.py", **function})
            yield orjson.dumps({"functions": functions, "problems": self.problems})


def write(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


class Server:
    """The parts of a web process that a start needs."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.workers = Workers()
        models = folder / "models"
        models.mkdir()
        (models / "mine.py").touch()
        self.settings = Settings(state_path=folder / "state", models_path=models)
        self.startup = Startup()
        self.catalog = self.new_catalog()

    def new_catalog(self) -> Catalog:
        self.catalog = catalog_of(lambda: self.store, self.settings.state_path / "archives")
        self.catalog.settled.clear()
        return self.catalog

    async def start(self, catalog: Catalog | None = None) -> None:
        catalog = catalog or self.catalog
        deployer = deployer_of(catalog, self.workers)
        await self.startup.run(catalog, deployer, self.workers, self.settings)

    def restart(self) -> dict[str, int]:
        """Start as if for the first time; the versions that serve."""
        self.startup = Startup()
        self.new_catalog()
        asyncio.run(self.start())
        assert self.catalog.settled.is_set()
        return {name: each.version for name, each in self.store.load().items()}


@pytest.fixture
def server(store: Store, tmp_path: Path) -> Server:
    return Server(store, tmp_path)


def marked(name: str, text: str = "1", **metadata: Any) -> dict[str, Any]:
    """What a worker tells of a function in a module of that text."""
    return {"name": name, "origin": f"models/mine.py: {name}: {text}", **metadata}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.message for each in caplog.records if each.levelname != "INFO"]


# --- the checkout's functions ---


def test_each_text_of_a_function_is_deployed_once(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    versions = []
    for text in ("1", "1", "2", "2", "1"):
        server.workers.functions = [marked("f", text, description="d")]
        versions.append(server.restart()["f"])
    assert versions == [1, 1, 2, 2, 3]
    assert server.store.load()["f"].metadata.description == "d"
    assert [each.message for each in caplog.records] == [
        f"Deployed from models/: f, version {number}" for number in (1, 2, 3)
    ]


MADE: dict[str, Any] = {"python": "3.11.7", "packages": {"numpy": "2.4.6"}}


@pytest.mark.parametrize(
    ("made", "version"),
    [
        pytest.param({"python": "3.11.9"}, 1, id="bug fixes"),
        pytest.param({"python": "3.13.0"}, 2, id="Python"),
        pytest.param({"packages": {"numpy": "2.5.0"}}, 2, id="package"),
    ],
)
def test_a_function_is_deployed_anew_for_another_python_or_package(
    server: Server, made: dict[str, Any], version: int
) -> None:
    server.workers.functions = [marked("f", **MADE)]
    assert server.restart() == {"f": 1}
    server.workers.functions = [marked("f", **{**MADE, **made})]
    assert server.restart() == {"f": version}
    assert server.restart() == {"f": version}


def test_but_not_in_the_place_of_what_came_since(server: Server, tmp_path: Path) -> None:
    server.workers.functions = [marked("f", **MADE)]
    server.restart()
    server.store.replace("f", {}, put(server.store, tmp_path, b"a client's"))
    server.workers.functions = [marked("f", **{**MADE, "python": "3.13.0"})]
    assert server.restart() == {"f": 2}


def test_a_function_that_was_removed_comes_back(server: Server) -> None:
    server.workers.functions = [marked("f")]
    server.restart()
    server.store.delete("f")
    assert server.restart() == {"f": 1}


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        (
            marked("g", description=5),
            "g: 'description' is of the wrong type. Expected a string, got a number.",
        ),
        (marked("g", schema=5), "g: 'schema' is of the wrong type. Expected an object, got"),
        (marked("g", requirements=[1]), "g: 'requirements' is no array of strings."),
        (marked("a/b"), "a/b: The endpoint's name can't be used."),
        (marked("unloadable"), "unloadable: Function 'unloadable' can't be loaded. It needs x."),
    ],
)
def test_a_wrong_function_is_named_with_its_file_and_costs_no_other(
    server: Server, caplog: pytest.LogCaptureFixture, wrong: Mapping[str, Any], line: str
) -> None:
    server.workers.unloadable = {"unloadable"}
    server.workers.functions = [marked("first"), dict(wrong), marked("last")]
    assert server.restart() == {"first": 1, "last": 1}
    (said,) = warnings(caplog)
    assert said.startswith(f"Not deployed: models/mine.py: {line}")
    assert server.startup.problems.lines() == [said.removeprefix("Not deployed: ")]


def test_an_accident_with_one_function_costs_no_other_and_has_its_traceback(
    server: Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = Store.create

    def fail_for_one(store: Store, name: str, *rest: Any, **more: Any) -> Any:
        if name == "g":
            raise ZeroDivisionError
        return create(store, name, *rest, **more)

    monkeypatch.setattr(Store, "create", fail_for_one)
    server.workers.functions = [marked(name) for name in ("f", "g", "h")]
    assert server.restart() == {"f": 1, "h": 1}
    (record,) = (each for each in caplog.records if each.levelname == "ERROR")
    assert record.message == "Not deployed: models/mine.py: g"
    assert record.exc_info is not None
    assert server.startup.problems.lines() == ["models/mine.py: g"]


def test_what_a_worker_could_not_have_is_a_line_each(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.workers.problems = ["models/broken.py: SyntaxError: invalid syntax"]
    server.workers.functions = [marked("f")]
    assert server.restart() == {"f": 1}
    assert warnings(caplog) == ["Not deployed: models/broken.py: SyntaxError: invalid syntax"]
    assert server.startup.problems.lines() == server.workers.problems
    server.workers.problems = []
    server.restart()
    assert server.startup.problems.lines() == []


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            WorkerDiedError("ended with exit code 1"),
            "It ended its process. The process ended with exit code 1.",
        ),
        (JobTimeoutError(60.0, 0, 60.0), "It took too long. It was stopped after 60.0 s."),
    ],
)
def test_modules_that_end_their_process(
    server: Server, caplog: pytest.LogCaptureFixture, error: TabPyError, line: str
) -> None:
    server.workers.error = error
    assert server.restart() == {}
    assert warnings(caplog) == [f"models/ can't be deployed: {line}"]


def test_no_module_is_nothing_to_collect(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert server.settings.models_path is not None
    (server.settings.models_path / "mine.py").unlink()
    server.restart()
    assert (server.workers.collected, caplog.records) == ([], [])
    server.settings = Settings(
        state_path=server.settings.state_path,
        models_path=server.settings.models_path,
        explicit=frozenset({"TABPY_MODELS_PATH"}),
    )
    server.restart()
    (record,) = caplog.records
    assert record.message.endswith("models', where there is no module.")


def test_a_worker_has_no_say_in_which_files_are_archives(
    server: Server, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    others = tmp_path / "state" / "archives"
    others.mkdir(parents=True)
    (others / "secret").write_bytes(b"secret")
    elsewhere = marked("g", archive=str(others / "secret"))
    server.workers.functions = [marked("first"), elsewhere, marked("last")]
    assert server.restart() == {"first": 1, "last": 1}
    (said,) = warnings(caplog)
    assert said.startswith("Not deployed: models/mine.py: g: The archive can't be used.")


@swaps
def test_what_a_module_leaves_in_place_of_its_archive_is_refused(
    server: Server, caplog: pytest.LogCaptureFixture, swap: Swap
) -> None:
    server.workers.functions = [marked("first"), marked("swapped"), marked("last")]
    server.workers.swaps["swapped"] = swap
    assert server.restart() == {"first": 1, "last": 1}
    (said,) = warnings(caplog)
    assert said.startswith("Not deployed: models/mine.py: swapped: The archive ")


# --- TabPy's functions ---


def test_a_state_folder_is_imported_once_and_what_was_removed_stays_so(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    shutil.copytree(TABPYS_STATE, server.settings.state_path, dirs_exist_ok=True)
    server.workers.unloadable = {"mangled"}
    imported = server.restart()
    assert imported["versioned"] == 3
    assert server.store.load()["plus"].metadata.target == "Adds"
    assert "mangled" not in imported
    lines = [each for each in warnings(caplog) if "mangled" in each]
    assert lines == [
        "Not taken over from state.ini: mangled: Function 'mangled' can't be loaded. It needs x."
    ]
    assert "Taken over from state.ini: versioned, version 3" in caplog.messages

    removed = {"plus", "Adds"}
    for name in ("plus", "Adds"):
        server.store.delete(name)
    caplog.clear()
    assert server.restart() == {key: imported[key] for key in imported.keys() - removed}
    assert not any("Taken over" in each for each in caplog.messages)
    server.workers.unloadable = set()
    assert "mangled" in server.restart(), "what wasn't imported is tried again"


def test_an_accident_with_one_function_of_tabpys_costs_no_other(
    server: Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(TABPYS_STATE, server.settings.state_path, dirs_exist_ok=True)
    wanted = importer._request

    def fail_for_one(function: Any) -> Any:
        request = wanted(function)
        return request if function.name != "versioned" else None

    monkeypatch.setattr(importer, "_request", fail_for_one)
    server.workers.functions = [marked("f")]
    found = server.restart()
    assert {"Adds", "plus", "f"} <= found.keys()
    assert "versioned" not in found
    assert "Not taken over from state.ini: versioned" in caplog.messages


# --- the start as a whole ---


def test_one_web_process_deploys_and_the_others_wait_for_it(server: Server) -> None:
    server.workers.functions = [marked("f")]

    async def start() -> None:
        catalogs = [server.new_catalog() for _ in range(3)]
        await asyncio.gather(*(server.start(each) for each in catalogs))
        assert all(each.settled.is_set() for each in catalogs)

    asyncio.run(start())
    assert len(server.workers.collected) == 1
    assert server.store.load()["f"].version == 1


@swaps
def test_whatever_lies_in_the_locks_place_keeps_nobody_waiting(server: Server, swap: Swap) -> None:
    server.workers.functions = [marked("f")]
    server.restart()
    swap(server.settings.state_path / "boot.lock")
    server.store.delete("f")
    assert server.restart() == {"f": 1}


def accident(*_: Any) -> Any:
    raise ZeroDivisionError


def away(*_: Any) -> Any:
    raise StoreUnavailableError


@pytest.mark.parametrize("problem", [accident, away])
def test_names_wait_no_longer_whatever_happens(
    server: Server, monkeypatch: pytest.MonkeyPatch, problem: Callable[..., Any]
) -> None:
    monkeypatch.setattr(Store, "origins", problem)
    with pytest.raises((ZeroDivisionError, StoreUnavailableError)):
        asyncio.run(server.start())
    assert server.catalog.settled.is_set()


def test_after_an_accident_the_next_web_process_tries_it_again(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.workers.functions = [marked("f")]
    with monkeypatch.context() as patch:
        patch.setattr(Store, "origins", accident)
        with pytest.raises(ZeroDivisionError):
            asyncio.run(server.start())
    asyncio.run(server.start(server.new_catalog()))
    assert server.store.load().keys() == {"f"}


def test_what_is_there_serves_while_others_are_deployed(server: Server, tmp_path: Path) -> None:
    add_model(server.store, tmp_path, "old")
    assert asyncio.run(server.catalog.reference("old")).version == 1
    assert not server.catalog.settled.is_set()


# --- installed over TabPy ---


def test_what_tabpy_left_in_its_package_is_taken_over(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # differences 6
    package = tmp_path / "tabpy_server"
    shutil.copytree(TABPYS_STATE, package)
    monkeypatch.setattr(package_files, "PACKAGE", package)
    caplog.set_level("INFO")
    serves = server.restart()
    assert serves
    assert f"TabPy left deployed functions in its package, {package}." in caplog.messages
    caplog.clear()
    assert server.restart() == serves
    assert not any("its package" in each for each in caplog.messages)


def test_a_state_folder_that_somebody_named_is_the_only_one(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # differences 6
    package = tmp_path / "tabpy_server"
    shutil.copytree(TABPYS_STATE, package)
    monkeypatch.setattr(package_files, "PACKAGE", package)
    server.settings = replace(server.settings, explicit=frozenset({"TABPY_STATE_PATH"}))
    assert server.restart() == {}
