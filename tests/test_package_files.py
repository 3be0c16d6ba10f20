"""What lies beside the package: a checkout's own files, or other people's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tabpy.tabpy_server import package_files

ROOT = Path(__file__).parents[1]


def test_the_packages_files_are_there() -> None:
    assert package_files.DEFAULT_CONFIG.is_file()
    assert (package_files.OUR_PAGE / "page.css").is_file()
    assert (package_files.TEMPLATES / "layout.html").is_file()


def test_this_is_a_checkout() -> None:
    assert package_files.checkout() == ROOT


@pytest.mark.parametrize(
    ("files", "is_one"),
    [
        ({"pyproject.toml": '[project]\nname = "tabpy"\n'}, True),
        ({"Procfile": ""}, True),  # a fork's, by another name
        ({"pyproject.toml": '[project]\nname = "tabpyx"\n'}, False),  # left by a careless package
        ({"pyproject.toml": "\xff"}, False),
        ({}, False),
    ],
)
def test_a_checkout_is_known_by_files_that_are_never_installed(
    tmp_path: Path, files: dict[str, str], is_one: bool
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="latin-1")
    assert package_files.is_checkout(tmp_path) is is_one


def test_an_installed_server_takes_nothing_from_other_packages(tmp_path: Path) -> None:
    (tmp_path / "tabpy").symlink_to(ROOT / "tabpy")
    (tmp_path / "models").mkdir()  # some package's
    (tmp_path / "tabpypwd.txt").touch()
    code = (
        "from tabpy.tabpy_server.access.first_user import find_password_file as find;"
        "from tabpy.tabpy_server.loaded_settings import load;"
        "it = load(None, {}).settings; print(it.models_path, find(it))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "None None\n"


def test_the_image_is_a_checkout() -> None:
    assert "COPY pyproject.toml /app/" in (ROOT / "Dockerfile").read_text().splitlines()
    assert "!pyproject.toml" in (ROOT / ".dockerignore").read_text().splitlines()
