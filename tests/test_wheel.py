"""What `pip install` of this repository installs, and what pip gets beside it."""

import re
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes

import pytest

from tabpy.tabpy_server import package_files
from tests.test_dependencies import EXTRAS, PROJECT, ROOT, name_of


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "tabpy", folder / "tabpy", ignore=ignored)
    shutil.copytree(ROOT / "docs", folder / "docs")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", "built"]
    done = subprocess.run(
        [*pip, "."], cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )
    if "setuptools" in done.stderr and done.returncode != 0:
        pytest.skip(f"pip can't get setuptools to build with: {done.stderr.strip()[-300:]}")
    assert done.returncode == 0, done.stderr
    (built,) = (folder / "built").glob("tabpy-*.whl")
    return zipfile.ZipFile(built)


def test_the_wheel_needs_the_clients_packages_and_has_the_rest_in_extras(
    wheel: zipfile.ZipFile,
) -> None:
    (name,) = (each for each in wheel.namelist() if each.endswith(".dist-info/METADATA"))
    described = message_from_bytes(wheel.read(name))
    needed: list[str] = described.get_all("Requires-Dist", [])
    always = {name_of(each) for each in needed if "extra ==" not in each}
    assert always == {name_of(each) for each in PROJECT["dependencies"]}
    for extra in ("server", "science"):
        marked = {name_of(each) for each in needed if re.search(f"extra == .{extra}.", each)}
        assert marked == {name_of(each) for each in EXTRAS[extra]}
    assert described["Requires-Python"] == PROJECT["requires-python"]


def test_the_wheel_has_every_file_of_the_package(wheel: zipfile.ZipFile) -> None:
    there = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tabpy").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    beside = (".dist-info/", ".data/")
    packed = {name for name in wheel.namelist() if not any(each in name for each in beside)}
    assert packed == there


def test_the_wheel_has_the_documents_where_the_page_looks_for_them(
    wheel: zipfile.ZipFile,
) -> None:
    [folder] = {name.partition("/")[0] for name in wheel.namelist() if ".data/" in name}
    packed = {name for name in wheel.namelist() if ".data/" in name and name.endswith(".md")}
    where = f"{folder}/data/{package_files.INSTALLED_DOCUMENTS}"
    assert packed == {f"{where}/{file.name}" for file in (ROOT / "docs").glob("*.md")}
