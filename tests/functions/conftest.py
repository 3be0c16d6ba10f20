"""A store of each test's own, in SQLite: real, and there in milliseconds."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from tabpy.tabpy_server.functions.store.database import open_engine
from tabpy.tabpy_server.functions.store.opened_archive import OpenedArchive, open_archive
from tabpy.tabpy_server.functions.store.store import Store

KEPT = 2  # versions


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Engine]:
    made = open_engine("", tmp_path / "state")
    # No test cuts the power.
    event.listen(made, "connect", lambda raw, _: raw.execute("PRAGMA synchronous = OFF").close())
    yield made
    made.dispose()


@pytest.fixture
def engine(sqlite: Engine) -> Engine:
    return sqlite


@pytest.fixture(params=["SQLite", "Postgres"])
def each_engine(request: pytest.FixtureRequest, sqlite: Engine) -> Iterator[Engine]:
    """For the tests of a module whose `engine` it is."""
    if request.param == "SQLite":
        yield sqlite
        return
    made = open_engine(request.getfixturevalue("postgres").new_database(), Path())
    yield made
    made.dispose()


@pytest.fixture
def store(engine: Engine) -> Store:
    made = Store(engine, KEPT)
    made.migrate()
    return made


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Callable[[bytes], OpenedArchive]]:
    """Write a file that can be stored as an archive, and open it."""
    opened: list[OpenedArchive] = []

    def write(data: bytes) -> OpenedArchive:
        file = tmp_path / f"archive {len(opened)}"
        file.write_bytes(data)
        opened.append(open_archive(file))
        return opened[-1]

    yield write
    for each in opened:
        each.close()
