"""Archives that TabPy 2.16.0's client wrote: they load here, and do what they did there."""

import pickle
import sys
from pathlib import Path

import pytest

from tabpy.tabpy_server.errors import NotLoadableError
from tabpy.tabpy_server.workers.worker.unpickling import unpickle
from tabpy.tabpy_tools.custom_query_object import CustomQueryObject
from tabpy.tabpy_tools.query_object import QueryObject

DATA = Path(__file__).parent / "data"


def test_an_old_archive_answers_and_describes_itself() -> None:
    adds = CustomQueryObject.load(str(DATA / "by_reference"))
    assert type(adds) is CustomQueryObject
    assert adds.query(2, 3) == 5
    assert adds.description == "adds"
    assert adds.get_docstring() == "Same as a + b."
    assert adds.get_methods() == [{"method": "query"}]
    assert adds.get_dependencies() == []
    assert adds.schema is None


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="bytecode in an archive is for one Python version"
)
def test_an_old_archive_brings_the_code_and_the_globals_of_its_function() -> None:
    with (DATA / "by_value_python3.11" / "pickle_archive").open("rb") as file:
        scales = pickle.load(file)
    assert scales.query([1, 2], offset=1.0) == [4.0, 7.0]
    assert scales.get_docstring() == "Three times each value, and an offset."


@pytest.mark.skipif(sys.version_info[:2] == (3, 11), reason="this Python can run it")
def test_an_old_archive_of_another_python_is_refused_in_words() -> None:
    refused = pytest.raises(NotLoadableError, match=r"was compiled by Python 3\.11.*this server's")
    with (DATA / "by_value_python3.11" / "pickle_archive").open("rb") as file, refused:
        unpickle(file, "scales", "")


def test_an_old_archive_saved_again_is_the_same(tmp_path: Path) -> None:
    old = QueryObject.load(DATA / "by_reference")
    old.save(tmp_path / "again")
    again = QueryObject.load(tmp_path / "again")
    assert (again.description, again.query(1, 1)) == ("adds", 2)


def test_saving_replaces_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "stray").touch()
    CustomQueryObject(max, "largest").save(str(tmp_path / "model"))
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["pickle_archive"]
    assert CustomQueryObject.load(tmp_path / "model").query([1, 3]) == 3


def test_a_file_in_the_way_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "model").touch()
    CustomQueryObject(max).save(tmp_path / "model")
    assert CustomQueryObject.load(tmp_path / "model").query([1, 3]) == 3


def test_an_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pickle_archive").write_bytes(pickle.dumps([1]))
    with pytest.raises(TypeError, match="holds a list, not a CustomQueryObject"):
        CustomQueryObject.load(tmp_path)


def test_a_function_without_docstring_says_so_in_tabpys_words() -> None:
    assert CustomQueryObject(lambda: 1).get_docstring() == (
        "-- no docstring found in query function --"
    )


def test_the_result_is_left_as_it_is() -> None:
    result = object()
    assert CustomQueryObject(lambda: result).query() is result
