"""Functions in somebody's files, whose modules are there only while they are asked for."""

import sys
from pathlib import Path

import pytest

from tabpy.tabpy_tools.endpoint import EndpointMark
from tabpy.tabpy_tools.source_file import SourceFile

MARKED = """
import math
from math import sqrt
from tabpy.tabpy_tools.endpoint import endpoint

@endpoint(name="Price it", is_public=True)
def price(x): return x

again = price

class Shop:
    pass

def also(x): return x

def _not(x): return x

@endpoint
def count(): return 1
"""


def write(folder: Path, name: str, text: str) -> SourceFile:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.py"
    path.write_text(text)
    return SourceFile(path)


@pytest.fixture
def marked(tmp_path: Path) -> SourceFile:
    file = write(tmp_path, "shop_of_mine", MARKED)
    file.load()
    return file


def test_marked_functions_are_found_once_with_their_marks(marked: SourceFile) -> None:
    assert [
        (function.__name__, mark.name, mark.is_public) for function, mark in marked.marked()
    ] == [
        ("price", "Price it", True),
        ("count", "count", False),
    ]


def test_public_functions_are_those_that_are_defined_there(marked: SourceFile) -> None:
    assert [mark.name for _, mark in marked.public()] == ["Price it", "also", "count"]


def test_anything_callable_can_be_named(marked: SourceFile) -> None:
    found = marked.named("also")
    assert found is not None
    assert found[1] == EndpointMark("also")
    priced = marked.named("again")
    assert priced is not None
    assert priced[1].name == "Price it"
    assert marked.named("Shop") is not None
    assert marked.named("math") is None
    assert marked.named("nothing") is None


def test_modules_and_path_are_there_only_while_asked_for(marked: SourceFile) -> None:
    before = list(sys.path)
    assert "shop_of_mine" not in sys.modules
    with marked.present():
        assert sys.modules["shop_of_mine"].price(1) == 1
        assert sys.path != before
    assert "shop_of_mine" not in sys.modules
    assert sys.path == before


def test_files_in_two_folders_have_their_own_helpers(tmp_path: Path) -> None:
    answers = []
    for name in ("a", "b"):
        folder = tmp_path / name
        write(folder, "helper_of_mine", f"ANSWER = {name!r}")
        file = write(
            folder, "shop_of_mine", "import helper_of_mine\ndef f(): return helper_of_mine.ANSWER"
        )
        file.load()
        found = file.named("f")
        assert found is not None
        answers.append(found[0]())
    assert answers == ["a", "b"]


def test_a_file_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    file = write(tmp_path, "broken_of_mine", "1 / 0")
    before = list(sys.path)
    with pytest.raises(ZeroDivisionError):
        file.load()
    assert "broken_of_mine" not in sys.modules
    assert sys.path == before


@pytest.mark.parametrize("name", ["json", "numpy"])
def test_a_file_with_the_name_of_a_module_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImportError, match=f"another module {name!r} already: rename the file"):
        write(tmp_path, name, "").load()
    assert sys.modules[name].__file__ != str(tmp_path / f"{name}.py")
