"""The commands that the guide has people type on their own machine, Windows above all."""

import json
import os
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from tabpy.tabpy_server.access import password_file, password_hashes
from tests.commands import test_deploy_models as fakes
from tests.commands.test_deploy_models import FakeServer
from tests.elsewhere.conftest import ANN, PLAIN, Run, system
from tests.running import PATIENCE, Server, clean_environment

SHOP = """
from tabpy.tabpy_tools.endpoint import endpoint

@endpoint(name="Price", description="Ten per cent off \u2192 sold")
def price(costs):
    return [cost * 0.9 for cost in costs]
"""


# --- tabpy-user ---


def accepts(file: Path, name: str, password: str) -> bool:
    return password_hashes.verify(password_file.read(file)[name].encoded, name, password)


def test_a_user_is_added_changed_shown_and_deleted(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "tabpypwd.txt"
    added = run("user", "add", "-u", "Ann", piped="not: real\n")
    assert (added.returncode, added.stdout) == (0, ""), added.stderr
    assert accepts(file, "ann", "not: real")
    generated = run("user", "update", "-u", "ann")
    assert accepts(file, "ann", generated.stdout.strip())
    assert run("user", "list").stdout.split()[:2] == ["ann", "argon2id"]
    assert run("user", "delete", "-u", "ann").returncode == 0
    assert password_file.read(file) == {}


@pytest.mark.parametrize("mark", ["\ufeff".encode().decode("cp1252")])
def test_a_mark_that_powershell_pipes_first_is_no_part_of_a_password(
    run: Run, tmp_path: Path, mark: str
) -> None:
    run("user", "add", "-u", "ann", piped=f"{mark}not: real\n")
    assert accepts(tmp_path / "tabpypwd.txt", "ann", "not: real")


def test_a_password_can_have_letters_beyond_ascii(run: Run, tmp_path: Path) -> None:
    run("user", "add", "-u", "ann", "-f", "mine.txt", piped="pässword\n")
    assert accepts(tmp_path / "mine.txt", "ann", "pässword")


@pytest.mark.skipif(sys.platform == "win32", reason="a console can't be typed into from here")
def test_at_a_terminal_the_password_is_asked_for_twice_and_unseen(tmp_path: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tabpy.commands.user", "add", "-u", "ann"],
        cwd=tmp_path,
        env={**clean_environment(), **system()},
        stdin=theirs,
        stderr=subprocess.PIPE,
        start_new_session=True,  # or it asks at the terminal of whoever runs the tests
    )
    os.write(ours, b"not: real\nnot: real\n")
    _, said = process.communicate(timeout=PATIENCE)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 0, said
    assert b"The same again" in said
    assert accepts(tmp_path / "tabpypwd.txt", "ann", "not: real")


def test_a_file_that_was_saved_with_windows_line_ends_keeps_them(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "tabpypwd.txt"
    file.write_bytes(b"# ours\r\n")
    run("user", "add", "-u", "ann", piped="not: real\n")
    assert file.read_bytes().startswith(b"# ours\r\nann $argon2id$")
    assert file.read_bytes().endswith(b"\r\n")


# --- tabpy-check, tabpy-deploy, tabpy-deploy-models ---


@pytest.fixture
def known(server: Server) -> dict[str, str]:
    """Where the server is, and who one is there."""
    return {
        "TABPY_URL": f"http://127.0.0.1:{server.port}",
        "TABPY_USERNAME": ANN,
        "TABPY_PASSWORD": PLAIN,
    }


def test_a_server_is_checked(run: Run, server: Server, known: dict[str, str]) -> None:
    done = run("check", known["TABPY_URL"], "-u", ANN, "--json", **known)
    steps = json.loads(done.stdout)["steps"]
    assert [each for each in steps if each["status"] == "fail"] == []
    assert done.returncode == 0


def test_functions_in_a_file_are_deployed_and_answer(
    run: Run, server: Server, known: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(SHOP, encoding="utf-8")
    done = run("deploy", str(tmp_path / "shop.py"), **known)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "deployed, version" in done.stdout
    assert server.query("Price", [10, 20]).json["response"] == [9, 18]


def test_what_a_console_cannot_show_ends_no_command(
    run: Run, known: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(SHOP.replace('"Price"', '"Preis \u65e5"'), encoding="utf-8")
    done = run("deploy", "shop.py", "--dry-run", **known)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Preis \\u65e5" in done.stdout


def test_the_predeployed_functions_are_put_on_a_server(run: Run) -> None:
    with FakeServer() as fake:
        Thread(target=fake.serve_forever, daemon=True).start()
        known = {"TABPY_USERNAME": fakes.USER, "TABPY_PASSWORD": fakes.PASSWORD}
        done = run("deploy_models", TABPY_URL=fake.url, **known)
        fake.shutdown()
    assert done.returncode == 0, done.stdout + done.stderr
    assert [*fake.endpoints] == fakes.ALL
