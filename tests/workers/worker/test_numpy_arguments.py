"""A script gets numpy's arrays if it asks for them, or if the server is set so."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tabpy.tabpy_server.errors import InvalidInputError
from tabpy.tabpy_server.workers.worker import numpy_arguments, script
from tests.workers.worker.loading import WebProcess

KIND = "return [str(getattr(each, 'dtype', type(each).__name__)) for each in (_arg1, _arg2)]"
ASKS = "# tabpy: arguments=numpy\n"


def evaluate(folder: Path, text: str, *columns: Any, as_numpy: bool = False) -> Any:
    data = {f"_arg{number}": each for number, each in enumerate(columns, 1)}
    body = json.dumps({"script": text, "data": data}).encode()
    models = WebProcess(folder).worker()
    return json.loads(script.evaluate(body, models, form=script.Form(as_numpy=as_numpy)))


@pytest.mark.parametrize(
    ("lines", "as_numpy", "is_array"),
    [
        ("", False, False),
        ("", True, True),
        (ASKS, False, True),
        ("\n  # Doubles.\n\n  #tabpy:arguments = numpy \n", False, True),
        ("# tabpy: arguments=list\n", True, False),
        ("x = 1\n" + ASKS, False, False),  # not at the top
        ("# tabpy is here\n", False, False),
    ],
    ids=["no line", "the setting", "a line", "among others", "lists", "too late", "no such line"],
)
def test_the_line_counts_and_else_the_setting(
    lines: str, as_numpy: bool, is_array: bool, tmp_path: Path
) -> None:
    pytest.importorskip("numpy")
    found = evaluate(tmp_path, lines + KIND, [1.5], [2], as_numpy=as_numpy)
    assert found == (["float64", "int64"] if is_array else ["list", "list"])


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ([1, 2], "int64"),
        ([1, 2.5], "float64"),
        ([1, None], "float64"),
        ([None, None], "float64"),
        ([], "float64"),
        ([True, False], "bool"),
        ([True, None], "list"),
        ([True, 1], "list"),
        (["1", "2"], "list"),
        ([1.5, "2", None], "list"),
        ([2**70], "list"),
        ([[1], [2]], "list"),
        (7, "int"),
    ],
    ids=str,
)
def test_numbers_become_arrays_and_nothing_else(column: Any, kind: str) -> None:
    pytest.importorskip("numpy")
    [found] = numpy_arguments.columns([column])
    assert str(getattr(found, "dtype", type(found).__name__)) == kind


def test_null_becomes_nan_and_nan_becomes_null(tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    assert evaluate(tmp_path, ASKS + "return _arg1 * 2", [1, None, 2.5]) == [2.0, None, 5.0]


def test_a_word_that_it_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"arguments=pandas\.") as raised:
        evaluate(tmp_path, "# tabpy: arguments=pandas\nreturn 1", [1])
    assert raised.value.info == "It can be list or numpy."


def test_without_numpy_it_is_said_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(InvalidInputError, match="numpy is not installed") as raised:
        evaluate(tmp_path, ASKS + "return 1", [1])
    assert "pip install numpy" in raised.value.info
