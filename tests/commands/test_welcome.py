"""What somebody at a terminal reads when the server starts."""

import sys
from pathlib import Path

import pytest

from tabpy.commands import welcome

URL = "http://localhost:4711/"


def test_it_says_where_to_go_and_who_may_enter() -> None:
    said = welcome.text(URL, ["ann", "bob"], None)
    assert "open      http://localhost:4711/" in said
    assert "user      ann or bob" in said
    assert "password" not in said


def test_it_shows_a_generated_password_and_how_to_add_a_user() -> None:
    said = welcome.text(URL, ["tabpy"], "fake")
    assert "user      tabpy\n    password  fake\n" in said
    assert "add -u NAME -f local-users.txt\n" in said


def test_the_address_of_https_begins_with_it() -> None:
    assert "open      https://localhost:4711/" in welcome.text("https://localhost:4711/", [], None)


def test_it_says_that_everybody_can_enter() -> None:
    assert "no user: everybody can enter" in welcome.text(URL, [], None)


@pytest.mark.parametrize(
    ("folder", "called"),
    [("env/bin", "env/bin/tabpy-user"), ("../elsewhere", "{elsewhere}/tabpy-user")],
)
def test_a_command_off_the_path_is_named_with_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, called: str
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("PATH", "")
    python = (Path.cwd() / folder / "python").resolve()
    python.parent.mkdir(parents=True)
    (python.parent / "tabpy-user").touch(0o700)
    monkeypatch.setattr(sys, "executable", str(python))
    assert welcome.command("tabpy-user") == called.format(elsewhere=tmp_path / "elsewhere")


def test_a_command_that_uv_has_put_on_the_path_is_named_with_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tabpy-user").touch(0o700)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("UV", "/usr/bin/uv")
    assert welcome.command("tabpy-user") == str(tmp_path / "tabpy-user")


def test_a_copy_that_is_not_installed_has_its_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert welcome.command("tabpy-user") == "python -m tabpy.commands.user"


def test_a_command_on_the_path_needs_no_more_than_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tabpy-user").touch(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("UV", raising=False)
    assert welcome.command("tabpy-user") == "tabpy-user"
