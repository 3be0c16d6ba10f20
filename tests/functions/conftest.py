"""A store of each test's own, in SQLite: real, and there in milliseconds."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from tabpy.tabpy_server.functions.store.database import open_engine
from tabpy.tabpy_server.functions.store.store import Store

KEPT = 2  # versions


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = open_engine("", tmp_path / "state")
    # No test cuts the power.
    event.listen(made, "connect", lambda raw, _: raw.execute("PRAGMA synchronous = OFF").close())
    yield made
    made.dispose()


@pytest.fixture
def store(engine: Engine) -> Store:
    made = Store(engine, KEPT)
    made.migrate()
    return made


@pytest.fixture
def archive(tmp_path: Path) -> Callable[[bytes], Path]:
    """Write a file that can be stored as an archive."""

    def write(data: bytes) -> Path:
        file = tmp_path / "archive"
        file.write_bytes(data)
        return file

    return write
