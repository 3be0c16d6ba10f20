"""Where only the client is installed, the server's commands say in a sentence what is missing."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tabpy.commands import server_packages

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
    assert done.stderr == (
        f"{name}: The server needs packages that aren't here ("
        f"{', '.join(server_packages.PACKAGES.values())}): run pip install -r requirements.txt.\n"
    )


def test_an_installed_client_is_told_of_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_packages, "PACKAGES", {"nothing_of_that_name": "Nothing"})
    monkeypatch.setattr(server_packages, "checkout", lambda: None)
    assert server_packages.hindrance() == (
        'The server needs packages that aren\'t here (Nothing): run pip install "tabpy[server]".'
    )


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
