"""Surroundings of the commands that deploy."""

from pathlib import Path

import pytest


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No server and no user, neither in the environment nor in .netrc."""
    for name in ("TABPY_URL", "TABPY_USERNAME", "TABPY_PASSWORD", "TABPY_TOKEN", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
