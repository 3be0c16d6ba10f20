"""Servers for the tests that need one."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.postgres import Postgres
from tests.running import Server

# The same examples in each run; `make fuzz` has others in each, and many more.
hypothesis.settings.register_profile(
    "suite", deadline=None, derandomize=True, database=None, max_examples=100
)
hypothesis.settings.register_profile(
    "long",
    deadline=None,
    max_examples=20_000,
    print_blob=True,
    suppress_health_check=list(hypothesis.HealthCheck),
)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


# Files that take longest go first, then the folders with whole servers: at the end, when there is
# nothing left to hand out, no process has long to go.
LONGEST = ("system/test_crashes.py", "system/test_store.py", "browser/test_accessibility.py")
LONG = ("system", "browser", "attacks", "compat", "elsewhere", "flight", "client", "portable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files stay whole, and in each the order of its tests."""
    items.sort(key=lambda item: rank(item.path.relative_to(Path(__file__).parent)))


def rank(file: Path) -> int:
    if file.as_posix() in LONGEST:
        return LONGEST.index(file.as_posix())
    places = (*LONGEST, *LONG)
    return places.index(file.parts[0]) if file.parts[0] in LONG else len(places)


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start a server that may fail to start; it's killed when the test ends."""
    servers: list[Server] = []

    def launch_one(settings: dict[str, str] | None = None, **options: Any) -> Server:
        folder = tmp_path / f"server{len(servers)}"
        folder.mkdir()
        servers.append(Server(folder, settings, **options))
        return servers[-1]

    yield launch_one
    for server in servers:
        server.kill()


@pytest.fixture
def start(launch: Callable[..., Server]) -> Callable[..., Server]:
    """Start a server with settings of its own; it's killed when the test ends."""

    def start_one(settings: dict[str, str] | None = None, **options: Any) -> Server:
        return launch(settings, **options).wait_until_ready()

    return start_one


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that leave it as they found it."""
    folder = tmp_path_factory.mktemp("server")
    settings = {"TABPY_EVALUATE_TIMEOUT": "10", "TABPY_PRELOAD": "numpy,pandas"}
    running = Server(folder, settings).wait_until_ready()
    yield running
    running.kill()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One Postgres for all tests, each of which makes a database of its own in it."""
    with tempfile.TemporaryDirectory(prefix="tabpy-") as folder:  # pytest's are readable to few
        running = Postgres(Path(folder))
        yield running
        running.stop()
