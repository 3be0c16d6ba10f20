"""`make` says what is wrong with a Python, before it installs anything or runs the wrong one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parents[1] / "Makefile"

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout with an environment in which everything is installed."""
    shutil.copy(MAKEFILE, tmp_path)
    for name in ("requirements.txt", "pyproject.toml"):
        (tmp_path / name).touch()
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    python(tmp_path / ".venv" / "bin" / "python", (3, 12))
    program(tmp_path / ".venv" / "bin" / "tabpy", "echo the server runs")
    (tmp_path / ".venv" / "installed").touch()
    return tmp_path


def program(file: Path, line: str) -> Path:
    file.write_text(f"#!/bin/sh\n{line}\n")
    file.chmod(0o755)
    return file


def python(file: Path, version: tuple[int, int]) -> Path:
    """This Python, which takes itself for one of that version."""
    shown = f"{version[0]}.{version[1]}.1"
    code = (
        f"import sys; sys.version_info = {(*version, 1)}; sys.version = {shown!r}; "
        "code = sys.argv[1]; del sys.argv[1]; exec(code)"
    )
    return program(file, f'[ "$1" = -c ] && shift\nexec {sys.executable} -c "{code}" "$@"')


def make(folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """The exit code, and all that was printed."""
    clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=folder,
        env=clean | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_what_is_installed_is_run(folder: Path) -> None:
    assert make(folder, "run") == (0, "the server runs\n")


@pytest.mark.parametrize("where", ["argument", "environment"])
def test_another_python_than_the_environments_is_not_ignored(folder: Path, where: str) -> None:
    other = str(python(folder / "other", (3, 14)))
    if where == "argument":
        code, printed = make(folder, "run", f"PYTHON={other}")
    else:
        code, printed = make(folder, "run", PYTHON=other)
    assert code == 2
    assert f".venv has Python 3.12, and {other} is 3.14: make clean, then the same" in printed
    assert "the server runs" not in printed


def test_the_same_python_may_be_named_again(folder: Path) -> None:
    same = python(folder / "same", (3, 12))
    assert make(folder, "run", f"PYTHON={same}") == (0, "the server runs\n")


def test_an_environment_of_a_python_too_old_is_named(folder: Path) -> None:
    python(folder / ".venv" / "bin" / "python", (3, 9))
    code, printed = make(folder, "run")
    assert code == 2
    assert "Python 3.11 or later is needed; .venv/bin/python is 3.9.1. Name another" in printed


def test_an_environment_whose_python_is_gone_is_named(folder: Path) -> None:
    (folder / ".venv" / "bin" / "python").unlink()
    code, printed = make(folder, "run")
    assert code == 2
    assert ".venv/bin/python doesn't run. If it is that of .venv: make clean" in printed


def test_without_an_environment_nothing_is_made_by_a_python_too_old(folder: Path) -> None:
    shutil.rmtree(folder / ".venv")
    old = python(folder / "old", (3, 10))
    code, printed = make(folder, "run", f"PYTHON={old}")
    assert code == 2
    assert f"Python 3.11 or later is needed; {old} is 3.10.1." in printed
    assert not (folder / ".venv").exists()
