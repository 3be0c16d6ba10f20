"""Surroundings of the commands that deploy."""

from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def packages_read_once() -> Iterator[None]:
    """The client looks through all of them for each function, a quarter of a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metadata, "packages_distributions", cache(metadata.packages_distributions))
        yield


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No server and no user, neither in the environment nor in .netrc."""
    for name in ("TABPY_URL", "TABPY_USERNAME", "TABPY_PASSWORD", "TABPY_TOKEN", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
