"""What loading a function depends on has a name, which is another when that has changed."""

import sys
from pathlib import Path

import pytest

from tabpy.tabpy_server.functions.environment import environment


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which this Python finds packages."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "missing")])
    return tmp_path


def test_it_stays_the_same_while_nothing_changes(site: Path) -> None:
    (site / "numpy-2.4.6.dist-info").mkdir()
    before = environment("3.0.0")
    (site / "notes.txt").touch()
    assert environment("3.0.0") == before


def test_another_version_of_a_package_makes_it_another(site: Path) -> None:
    old = site / "numpy-2.4.6.dist-info"
    old.mkdir()
    before = environment("3.0.0")
    old.rename(site / "numpy-2.5.0.dist-info")
    assert environment("3.0.0") != before


def test_so_does_another_python_or_server(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = environment("3.0.0")
    second = environment("3.0.1")
    monkeypatch.setattr("platform.python_version", lambda: "3.99.0")
    assert len({first, second, environment("3.0.0")}) == 3
