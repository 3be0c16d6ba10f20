"""Functions made of text: the code, in surroundings that are made for it."""

import gc
import inspect
import linecache
import traceback
import types
from collections.abc import Callable
from typing import Any

import pytest

from tabpy.tabpy_tools.function_text import (
    PYTHON,
    FunctionText,
    OtherPythonError,
    as_made,
    bytecode,
    rebuilt,
)

PLAIN = FunctionText(
    text="def price(x):\n    return 1 / x\n",
    line=12,
    column=0,
    place="prices.py",
    name="price",
    qualified_name="price",
    free_variables=(),
    class_name="",
    nested=False,
    imports=(),
    futures=(),
)


def function_of(text: FunctionText, *cells: object, **names: object) -> Callable[..., Any]:
    code = rebuilt(*text)
    return types.FunctionType(code, names, closure=tuple(types.CellType(each) for each in cells))


def test_it_has_the_authors_names_and_lines() -> None:
    code = rebuilt(*PLAIN)
    assert (code.co_name, code.co_firstlineno) == ("price", 12)
    assert code.co_filename.startswith("<prices.py:12")


def test_nothing_runs_to_get_it() -> None:
    text = PLAIN._replace(text="@1/0\ndef price(x: 1/0 = 1/0) -> 1/0:\n    return x")
    assert function_of(text)(3) == 3


def test_a_method_knows_its_class() -> None:
    text = PLAIN._replace(
        text="    def price(self):\n        return self.__rate, super().__init__",
        free_variables=("__class__",),
        class_name="Shop",
        qualified_name="Shop.price",
    )
    code = rebuilt(*text)
    assert code.co_qualname == "Shop.price"
    assert "_Shop__rate" in code.co_names
    assert code.co_freevars == ("__class__",)


def test_a_name_is_free_only_if_it_is_said_to_be() -> None:
    text = PLAIN._replace(
        text="        def price(x):\n            return price, x, rate",
        free_variables=("rate",),
        nested=True,
        qualified_name="outer.<locals>.price",
    )
    price = function_of(text, 0.5, price="global")
    assert price(1) == ("global", 1, 0.5)
    assert price.__qualname__ == "outer.<locals>.price"


def test_what_is_inside_is_named_by_where_it_really_is() -> None:
    text = PLAIN._replace(
        text="def price():\n    class Inner:\n        def f(self): pass\n    return Inner",
        qualified_name="outer.<locals>.price",
        nested=True,
    )
    inner = function_of(text, __builtins__=__builtins__, __name__="m")()
    assert inner.f.__qualname__ == "outer.<locals>.price.<locals>.Inner.f"


def test_an_error_shows_the_authors_line() -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        function_of(PLAIN)(0)
    last = traceback.extract_tb(raised.tb)[-1]
    assert (last.lineno, last.line) == (13, "return 1 / x")


def test_a_lambda_stands_where_it_stood_in_its_line() -> None:
    text = PLAIN._replace(text="lambda x: 1 / x", name="<lambda>", column=4, line=1)
    function = function_of(text)
    assert linecache.getline(function.__code__.co_filename, 1) == "    lambda x: 1 / x\n"
    (place, *_) = [each for each in function.__code__.co_positions() if each[2] is not None][1:]
    assert place == (1, 1, 14, 15)


def test_lines_are_found_as_long_as_the_code_is_there() -> None:
    code = rebuilt(*PLAIN)
    label = code.co_filename
    linecache.checkcache()
    assert linecache.getline(label, 12) == "def price(x):\n"
    assert linecache.getline(label, 11) == "\n"
    assert linecache.getline(label, 99) == ""
    assert inspect.getsource(code) == "def price(x):\n    return 1 / x\n"
    del code
    gc.collect()
    assert linecache.getline(label, 12) == ""


def test_each_code_has_lines_of_its_own_though_places_are_called_alike() -> None:
    one, two = rebuilt(*PLAIN), rebuilt(*PLAIN._replace(text="def price(x):\n    return 2 / x"))
    assert [linecache.getline(code.co_filename, 13) for code in (one, two)] == [
        "    return 1 / x\n",
        "    return 2 / x\n",
    ]


def test_syntax_that_this_python_does_not_have_is_named() -> None:
    with pytest.raises(OtherPythonError) as raised:
        rebuilt(*PLAIN._replace(text="def price(x):\n    return x +* x"))
    assert str(raised.value).startswith(f"'price' uses syntax that Python {PYTHON} doesn't have")
    assert "line 13 of prices.py" in str(raised.value)


def test_other_free_variables_than_the_closure_has_are_refused() -> None:
    with pytest.raises(OtherPythonError, match="has other free variables in Python"):
        rebuilt(*PLAIN._replace(free_variables=("rate",)))


def test_bytecode_is_for_the_python_that_made_it() -> None:
    parts = (0, 0, 0, 0, 1, 3, rebuilt(*PLAIN).co_code)
    with pytest.raises(OtherPythonError, match=r"'f' was compiled by Python 3\.2 and its text"):
        bytecode("3.2", "f", *parts)
    with pytest.raises(OtherPythonError, match=r"'f' was compiled by Python 3\.2"):
        as_made("3.2", "f", print)
    assert as_made(PYTHON, "f", max, 1, 2) == 2
