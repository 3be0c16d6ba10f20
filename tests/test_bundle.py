"""The files that make this a bundle for Heroku: what it wants at the root, and no secret."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tabpy.tabpy_server.package_files import LOCAL_USERS, USERS

ROOT = Path(__file__).parents[1]
APP: dict[str, Any] = json.loads((ROOT / "app.json").read_text(encoding="utf-8"))
# What starts or sets the server, in this repository or a copy of it.
SETS_IT_UP = ("Procfile", "app.json", "Dockerfile", "contrib/*", "tabpy/**/*.conf", "Makefile")
# PASSWORD=word, "PASSWORD": "word"; but not $PASSWORD, <password> or a setting without a value.
LITERAL = re.compile(r"(?i)^[^#;\n]*password\"?[ \t]*[=:][ \t]*\"?\w.*$", re.MULTILINE)
HASH = re.compile(r"\$argon2\w+\$v=\d+\$[\w,=]+\$[\w+/]{11,}\$[\w+/]{16,}")


def test_app_json_has_what_heroku_reads() -> None:
    assert set(APP) <= {
        *("name", "description", "keywords", "website", "repository", "logo", "success_url"),
        *("env", "formation", "addons", "buildpacks", "stack", "scripts", "environments"),
    }
    assert 0 < len(APP["name"]) <= 30
    assert APP["success_url"] == "/"
    assert set(APP["formation"]) == {"web"}
    assert APP["formation"]["web"]["quantity"] == 1


@pytest.mark.parametrize("name", APP["env"])
def test_each_variable_is_described_and_has_a_value_or_a_generator(name: str) -> None:
    variable = APP["env"][name]
    assert variable["description"]
    assert variable.get("required", True) is True
    assert ("value" in variable) != ("generator" in variable)
    assert isinstance(variable.get("value", ""), str)
    assert variable.get("generator", "secret") == "secret"


def test_the_password_is_generated_for_each_app() -> None:
    assert APP["env"]["TABPY_PASSWORD"]["generator"] == "secret"
    assert [name for name in APP["env"] if "PASSWORD" in name] == ["TABPY_PASSWORD"]


def test_the_bundle_has_no_user_of_its_own() -> None:
    lines = (ROOT / "tabpypwd.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.strip() and not line.startswith("#")] == []


@pytest.mark.parametrize("pattern", SETS_IT_UP)
def test_no_password_stands_in_what_sets_the_server_up(pattern: str) -> None:
    files = [file for file in ROOT.glob(pattern) if file.is_file()]
    assert files
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert LITERAL.findall(text) == []
        assert HASH.findall(text) == []


def test_the_container_has_the_command_that_adds_users(tmp_path: Path) -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    [makes_it] = re.findall(r"^RUN (printf .*)>/usr/local/bin/tabpy-user", text, re.MULTILINE)
    command = tmp_path / "tabpy-user"
    subprocess.run(["sh", "-c", f"{makes_it}>{command}"], check=True)
    done = subprocess.run(
        ["sh", str(command), "list", "-f", str(tmp_path / "none.txt")],
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == f"tabpy-user: {tmp_path / 'none.txt'}: No such file or directory.\n"


def test_git_ignores_the_users_of_one_machine() -> None:
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert LOCAL_USERS in ignored
    assert USERS not in ignored


def test_there_is_one_list_of_requirements_and_no_environment() -> None:
    lists = ("requirements.txt", "Pipfile.lock", "poetry.lock", "uv.lock")
    assert [name for name in lists if (ROOT / name).exists()] == ["requirements.txt"]
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    assert ".venv/" in ignored
    assert not (ROOT / "venv").exists()


def test_every_requirement_is_pinned() -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if line and not line.startswith("#")]
    assert [line for line in wanted if not re.fullmatch(r"[\w.\-]+(\[\w+\])?==[\w.]+", line)] == []


def test_both_files_name_the_same_python() -> None:
    runtime = (ROOT / "runtime.txt").read_text(encoding="utf-8").strip()
    version = (ROOT / ".python-version").read_text(encoding="utf-8").strip()
    assert runtime == f"python-{version}"
    assert re.fullmatch(r"3\.\d+", version)
