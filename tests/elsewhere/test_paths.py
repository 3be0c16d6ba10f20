"""Paths of Windows, where they are taken apart: a file may have such a name on Linux, too."""

import os
import pathlib
import types
from pathlib import Path

import pytest

from tabpy.commands.deploy_jobs import files_of
from tabpy.tabpy_server import config_file
from tabpy.tabpy_server.workers.worker.failures import is_installed
from tabpy.tabpy_tools.local_files import named_in

FILE = r"C:\models\price.py"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.skipif(os.name == "nt", reason="there it would lie in another folder")
@pytest.mark.parametrize(("target", "function"), [(FILE, None), (f"{FILE}:price", "price")])
def test_a_target_has_a_drive_and_may_name_a_function(target: str, function: str | None) -> None:
    Path(FILE).touch()
    _, [(file, named)] = files_of(target)
    assert (str(file.path), named) == (FILE, function)


@pytest.mark.skipif(os.name == "nt", reason="there it would lie in another folder")
def test_a_function_that_names_a_file_of_windows_is_found_out() -> None:
    rates = pathlib.PureWindowsPath(r"C:\data\rates.csv")
    Path(str(rates)).touch()

    def function(path: object = rates) -> object:
        return path

    assert isinstance(function, types.FunctionType)
    assert named_in(function) == {str(rates)}


@pytest.mark.parametrize(
    "value", [r"C:\new\tabpy", r"\\server\share\tabpy", r"C:\Users\Jürgen 日\tabpy", r"C:\100%\x"]
)
def test_backslashes_in_the_config_file_are_only_that(folder: Path, value: str) -> None:
    file = folder / "tabpy.conf"
    file.write_text(f"[TabPy]\nTABPY_STATE_PATH = {value}\n", encoding="utf-8")
    assert config_file.read(file, {}) == {"TABPY_STATE_PATH": value}


def test_a_package_is_known_by_its_folder() -> None:
    assert is_installed(r"C:\srv\.venv\Lib\site-packages\pandas\core\frame.py")
    assert not is_installed(FILE)
