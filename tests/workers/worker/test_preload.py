"""Importing beforehand what scripts are likely to need."""

import sys
from pathlib import Path

import pytest

from tabpy.tabpy_server.workers.worker.preload import preload


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module's file, to be written; its name is `preloadable`."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "preloadable", raising=False)
    return tmp_path / "preloadable.py"


def test_modules_are_imported(module: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module.write_text("")
    preload(["preloadable"])
    assert "preloadable" in sys.modules
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import nosuch", "ModuleNotFoundError: No module named 'nosuch'"),
        ("raise ValueError('a \"b\"')", 'ValueError: a \\"b\\"'),
        ("raise ValueError('one\\ntwo\\x1b')", "ValueError: one\\ntwo\\u001b"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt: "),
        (
            "class Mute(Exception):\n    def __str__(self): raise SystemExit\nraise Mute",
            "Mute: (its text can't be shown: SystemExit)",
        ),
    ],
)
def test_one_that_cannot_be_is_a_log_line_and_the_next_is_imported(
    module: Path, capsys: pytest.CaptureFixture[str], code: str, reason: str
) -> None:
    module.write_text(code)
    preload(["preloadable", "colorsys"])
    assert "colorsys" in sys.modules
    line = f'level=warning msg="TABPY_PRELOAD: preloadable is not there: {reason}"\n'
    assert capsys.readouterr().out == line
