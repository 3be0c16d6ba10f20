"""What the author of a failed script or function is told, whatever they raised."""

import functools
from collections.abc import Callable
from typing import Any

import pytest

from tabpy.tabpy_server.workers.worker.failures import (
    CALLS_SHOWN,
    FILENAME,
    TEXT_LIMIT,
    describe,
    describe_function,
)


def raised_by(code: str) -> BaseException:
    """What a script of this text raises."""
    try:
        exec(compile(code, FILENAME, "exec"), {})
    except BaseException as error:  # noqa: BLE001 - whatever it is
        return error
    raise AssertionError("it raised nothing")


def told(code: str) -> list[str]:
    return describe(raised_by(code), code).split("\n")


def test_class_text_and_the_lines_that_led_there() -> None:
    code = "def f(x):\n    return 1 / x\n\ndef g():\n    return f(0)\n\ng()"
    assert told(code) == [
        "ZeroDivisionError : division by zero",
        "line 2, in f: return 1 / x",
        "called from line 5, in g: return f(0)",
        "called from line 7: g()",
    ]


def test_lines_of_the_script_and_not_those_of_packages() -> None:
    assert told("import json\njson.loads('x')") == [
        "JSONDecodeError : Expecting value: line 1 column 1 (char 0)",
        "line 2: json.loads('x')",
    ]


def test_no_more_than_a_few_lines() -> None:
    calls = "".join(f"def f{n}():\n    f{n - 1}()\n" for n in range(1, 20))
    lines = told(f"def f0():\n    1 / 0\n{calls}f19()")
    assert lines[1] == "line 2, in f0: 1 / 0"
    assert len(lines) == 1 + 1 + CALLS_SHOWN


def test_the_line_of_a_syntax_error() -> None:
    assert told("x = 1\nx ==== 2\n") == ["SyntaxError : invalid syntax", "line 2: x ==== 2"]


def test_lines_are_counted_as_python_does() -> None:
    code = "x = '\u2028\x0c\x85'\r\nx = 1\r1 / 0"
    assert told(code)[1] == "line 3: 1 / 0"


@pytest.mark.parametrize("length", [TEXT_LIMIT, TEXT_LIMIT + 1])
def test_long_texts_are_cut(length: int) -> None:
    headline = told(f"raise ValueError('x' * {length})")[0]
    assert headline == f"ValueError : {'x' * TEXT_LIMIT}{'…' * (length > TEXT_LIMIT)}"


def test_where_the_server_keeps_its_packages_is_nobodys_business() -> None:
    assert told("from json import no")[0] == "ImportError : cannot import name 'no' from 'json'"


def test_a_functions_own_lines_by_their_numbers() -> None:
    def divide(by: float) -> float:
        def inner() -> float:
            return 1 / by

        return inner()

    try:
        functools.reduce(lambda _, each: divide(each), [0, 0], 1.0)
    except ZeroDivisionError as error:
        lines = describe_function(error).split("\n")
    first = divide.__code__.co_firstlineno
    assert lines[:3] == [
        "ZeroDivisionError : division by zero",
        f"line {first + 2}, in inner",
        f"line {first + 4}, in divide",
    ]


class SayError(Exception):
    """Its text is what a function returns."""

    def __init__(self, text: Callable[[], Any]) -> None:
        self._text = text

    def __str__(self) -> Any:
        return self._text()


def fail(error: BaseException) -> Any:
    raise error


class Shy(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise ValueError


class NamelessError(Exception, metaclass=Shy):
    pass


class TracelessError(Exception):
    __traceback__ = property(lambda _: fail(ValueError()))


class FiledError(SyntaxError):
    filename = property(lambda _: fail(ValueError()))


@pytest.mark.parametrize(
    ("error", "described"),
    [
        (SayError(lambda: fail(ValueError())), "SayError : (its text can't be shown: ValueError)"),
        (SayError(lambda: fail(SystemExit())), "SayError : (its text can't be shown: SystemExit)"),
        (SayError(lambda: 5), "SayError : (its text can't be shown: TypeError)"),
        (NamelessError("x"), "NamelessError : x"),
        (TracelessError("x"), "TracelessError : x"),
        (SyntaxError(), "SyntaxError : None"),
        (SyntaxError("x", (FILENAME, None, None, None)), "SyntaxError : x\nline 1: one"),
        (SyntaxError("x", (FILENAME, 99, None, None)), "SyntaxError : x\nline 99: "),
        (SyntaxError("x", (FILENAME, "no", None, None)), "SyntaxError : x"),  # type: ignore[arg-type]
        (FiledError("x"), "FiledError : x"),
        (ImportError("x", path=5), "ImportError : x"),  # type: ignore[arg-type]
        (ExceptionGroup("x", [ValueError("y")]), "ExceptionGroup : x (1 sub-exception)"),
    ],
)  # fmt: skip
def test_the_strangest_exceptions_are_described(error: BaseException, described: str) -> None:
    assert describe(error, "one\ntwo") == described
    assert describe_function(error) == described.partition("\n")[0]
