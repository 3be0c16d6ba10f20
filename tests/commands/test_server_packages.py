"""Where only the client is installed, the server's commands say in a sentence what is missing."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tabpy.commands import server_packages
from tests.portable.pythons import find

ROOT = Path(__file__).parents[2]


def test_nothing_is_missing_here() -> None:
    assert server_packages.hindrance() is None


@pytest.mark.parametrize(
    ("command", "name", "code"),
    [
        (["tabpy"], "tabpy", 2),
        (["tabpy.commands.serve"], "tabpy", 2),
        (["tabpy.commands.user", "list"], "tabpy-user", 1),
    ],
)
def test_without_packages_a_command_says_which_and_how_to_get_them(
    command: list[str], name: str, code: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-m", *command],  # -S: without what is installed
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    [line] = done.stderr.splitlines()
    missing = ", ".join(server_packages.PACKAGES.values())
    assert line.startswith(f"{name}: The server needs packages that aren't here ({missing}): ")
    assert "make run" in line or ".venv" in line


def test_where_no_environment_is_yet_the_cure_makes_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_packages, "PACKAGES", {"nothing_of_that_name": "Nothing"})
    monkeypatch.setattr(server_packages, "checkout", lambda: tmp_path)
    assert server_packages.hindrance() == (
        "The server needs packages that aren't here (Nothing): `make run` installs them and starts "
        "the server; without make, in an environment of its own (python3 -m venv .venv), run pip "
        "install -r requirements.txt."
    )


def test_an_environment_that_is_there_is_the_one_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / ".venv" / ("Scripts" if sys.platform == "win32" else "bin")
    programs.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(server_packages, "PACKAGES", {"nothing_of_that_name": "Nothing"})
    monkeypatch.setattr(server_packages, "checkout", lambda: tmp_path)
    assert server_packages.hindrance() == (
        "The server needs packages that aren't here (Nothing): they are in .venv, so start "
        f"{programs.relative_to(tmp_path) / 'tabpy'}."
    )


def test_an_installed_client_is_told_of_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_packages, "PACKAGES", {"nothing_of_that_name": "Nothing"})
    monkeypatch.setattr(server_packages, "checkout", lambda: None)
    assert server_packages.hindrance() == (
        'The server needs packages that aren\'t here (Nothing): run pip install "tabpy[server]".'
    )


@pytest.mark.parametrize(
    "module", ["tabpy", "tabpy.tabpy", "tabpy.commands.user", "tabpy.commands.check"]
)
def test_a_python_that_cannot_read_our_modules_says_so_in_a_line(module: str) -> None:
    old = find("3.8") or find("3.9")
    if old is None:
        pytest.skip("neither Python 3.8 nor 3.9 is here: OTHER_PYTHONS can list one")
    done = subprocess.run(
        [old, "-m", module], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith("tabpy: This is Python 3.")
    assert "the server needs 3.11 or later" in line


def test_an_older_python_is_named_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_packages, "LOWEST_PYTHON", (99, 1))
    this = sys.version.split()[0]
    assert server_packages.hindrance() == (
        f"The server needs Python 99.1 or later; this is {this}."
    )


def test_windows_does_without_gunicorn_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    others = [each for each in server_packages.PACKAGES.values() if each != "gunicorn"]
    assert f"({', '.join(others)})" in str(server_packages.hindrance())
