"""An exception is taken apart without trust in it, and bounded."""

import math
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tabpy.tabpy_server.workers.worker import failures
from tabpy.tabpy_server.workers.worker.failures import (
    ALL,
    CAUSES,
    FILENAME,
    INNER,
    LINE_LIMIT,
    MEMBERS,
    OUTER,
    TEXT_LIMIT,
    Lines,
    Raised,
    is_installed,
    take_apart,
    text_of,
)

LINES = Lines(lambda name: name == FILENAME, lambda _: "file", lambda _, number: f" line {number}")


def raised_by(code: str) -> BaseException:
    """What a script of this text raises."""
    try:
        exec(compile(code, FILENAME, "exec"), {})
    except BaseException as error:  # noqa: BLE001 - whatever it is
        return error
    raise AssertionError("it raised nothing")


def apart(error: BaseException | str) -> Raised:
    return take_apart(raised_by(error) if isinstance(error, str) else error, LINES)


def chain(raised: Raised | None) -> list[tuple[str, str]]:
    """Texts from the last to the first, each with how it led to the one before."""
    found = []
    relation = ""
    while raised is not None:
        found.append((relation, raised.text))
        relation, raised = raised.relation, raised.cause
    return found


# --- places ---


def places(code: str) -> tuple[list[tuple[int, str]], int, list[tuple[int, str]]]:
    raised = apart(code)
    inner, outer = (
        [(each.line, each.function) for each in found] for found in (raised.inner, raised.outer)
    )
    return inner, raised.left_out, outer


def test_the_authors_own_from_the_failing_one_on() -> None:
    raised = apart("import json\ndef f():\n    json.loads('x')\nf()")
    assert [vars(each) for each in raised.inner] == [
        {"file": "file", "line": 3, "function": "f", "text": "line 3"},
        {"file": "file", "line": 4, "function": "", "text": "line 4"},
    ]
    assert (raised.left_out, raised.outer) == (0, [])


@pytest.mark.parametrize("calls", [1, OUTER, OUTER + 1, OUTER + INNER, OUTER + INNER + 1, 900])
def test_of_a_deep_recursion_both_ends(calls: int) -> None:
    code = f"def f(n):\n    return f(n - 1) if n else 1 / 0\n\nf({calls - 2})"
    inner, left_out, outer = places(code if calls > 1 else "1 / 0")
    assert len(inner) + left_out + len(outer) == calls
    if calls > OUTER + INNER:
        assert (len(inner), len(outer)) == (INNER, OUTER)
        assert left_out > 0
    else:
        assert left_out == 0
    assert (outer or inner)[-1] == (4 if calls > 1 else 1, "")


def test_a_comprehension_is_one_place_with_the_line_around_it() -> None:
    assert places("def f():\n    return [1 / x for x in [0]]\nf()")[0] == [(2, "f"), (3, "")]


def test_what_has_no_name_has_none() -> None:
    assert places("(lambda: 1 / 0)()")[0] == [(1, ""), (1, "")]


def test_a_line_is_cut() -> None:
    lines = Lines(lambda _: True, lambda _: "", lambda *_: "x" * (LINE_LIMIT + 1))
    assert lines.place("", 1, "").text == "x" * LINE_LIMIT + "…"


def test_the_line_of_a_syntax_error() -> None:
    assert places("x = 1\nx ==== 2\n")[0] == [(2, "")]


@pytest.mark.parametrize(
    ("filename", "installed"),
    [
        (math.__spec__.origin, False),
        (failures.__file__, True),
        (pytest.__file__, True),
        (sysconfig.__file__, True),
        ("<frozen importlib._bootstrap>", True),
        ("/home/anna/env/lib/python3.12/site-packages/own.py", True),
        (r"C:\Python\Lib\site-packages\own.py", True),
        (f"{sys.prefix}/src/price.py", False),
        ("/usr/src/app/price.py", False),
        ("<price.py:12>", False),
        (__file__, False),
        ("price.py", False),
        ("pandas/_libs/index.pyx", True),
    ],
    ids=range(13),
)
def test_whose_code_it_is(filename: str, installed: bool) -> None:
    if Path(filename).suffix != ".so":
        assert is_installed(filename) is installed


# --- causes and members ---


def test_causes_and_what_was_being_handled() -> None:
    code = """
def f():
    try:
        raise KeyError("first")
    except KeyError as error:
        raise ValueError("second") from error

try:
    f()
except ValueError:
    raise TypeError("third")
"""
    raised = apart(code)
    assert chain(raised) == [
        ("", "third"),
        ("while handling", "second"),
        ("caused by", "'first'"),
    ]
    assert raised.cause is not None
    assert [each.line for each in raised.cause.inner] == [6, 9]
    assert raised.cause.cause is not None
    assert [each.line for each in raised.cause.cause.inner] == [4]


def test_what_is_suppressed_is_not_told() -> None:
    code = "try:\n    1 / 0\nexcept ArithmeticError:\n    raise ValueError('x') from None"
    assert chain(apart(code)) == [("", "x")]


def test_a_library_that_raises_the_same_again_is_told_once() -> None:
    cause = KeyError("x")
    error = KeyError("x")
    error.__cause__ = cause
    assert chain(apart(error)) == [("", "'x'")]
    cause.__cause__ = TypeError("why")
    assert chain(apart(error)) == [("", "'x'"), ("caused by", "why")]


def test_the_same_again_with_lines_of_its_own_is_told() -> None:
    code = "try:\n    {}['x']\nexcept KeyError as error:\n    raise KeyError('x') from error"
    assert chain(apart(code)) == [("", "'x'"), ("caused by", "'x'")]


def test_causes_in_a_circle_and_without_end() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert chain(apart(first)) == [("", "first"), ("caused by", "second")]
    last = error = ValueError("0")
    for number in range(1, 100):
        error.__context__ = ValueError(str(number))
        error = error.__context__
    assert [text for _, text in chain(apart(last))] == [str(each) for each in range(CAUSES + 1)]


def test_the_members_of_a_group_and_of_those_in_it() -> None:
    inner = ExceptionGroup("inner", [ValueError("deep")])
    raised = apart(BaseExceptionGroup("outer", [raised_by("1 / 0"), inner]))
    division, group = raised.members
    assert (raised.size, division.text, division.inner[0].line) == (2, "division by zero", 1)
    assert (group.size, group.members[0].text) == (1, "deep")


def test_no_more_members_than_anybody_reads() -> None:
    many = [ValueError(str(number)) for number in range(1000)]
    raised = apart(ExceptionGroup("many", many))
    assert raised.size == 1000
    assert [each.text for each in raised.members] == ["0", "1", "2", "3", "4"][:MEMBERS]


def test_no_more_exceptions_than_anybody_reads() -> None:
    def tree(depth: int) -> Exception:
        if depth == 0:
            return ValueError("leaf")
        return ExceptionGroup("group", [tree(depth - 1) for _ in range(MEMBERS)])

    def count(raised: Raised) -> int:
        return 1 + sum(map(count, raised.members))

    assert count(apart(tree(4))) == ALL
    nested: Exception = ValueError("innermost")
    for _ in range(500):
        nested = ExceptionGroup("group", [nested])
    assert count(apart(nested)) == CAUSES + 1


# --- strange ones ---


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


class PartlessError(ExceptionGroup[Exception]):
    __traceback__ = property(lambda _: fail(ValueError()))
    __cause__ = property(lambda _: fail(ValueError()))
    __context__ = property(lambda _: fail(ValueError()))
    exceptions = property(lambda _: fail(ValueError()))


class FiledError(SyntaxError):
    filename = property(lambda _: fail(ValueError()))


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SayError(lambda: fail(ValueError())), "(its text can't be shown: ValueError)"),
        (SayError(lambda: fail(SystemExit())), "(its text can't be shown: SystemExit)"),
        (SayError(lambda: 5), "(its text can't be shown: TypeError)"),
        (NamelessError("x"), "x"),
        (PartlessError("x", [ValueError("y")]), "x (1 sub-exception)"),
        (SyntaxError(), "None"),
        (SyntaxError("x", (FILENAME, "no", None, None)), "x"),  # type: ignore[arg-type]
        (FiledError("x"), "x"),
        (ImportError("x", path=5), "x"),  # type: ignore[arg-type]
    ],
    ids=range(9),
)
def test_the_strangest_exceptions_are_described(error: BaseException, text: str) -> None:
    raised = apart(error)
    assert raised.text == text
    assert raised.name in {"SayError", "NamelessError", "PartlessError", "SyntaxError"} | {
        "FiledError",
        "ImportError",
    }
    assert (raised.inner, raised.cause) == ([], None)


@pytest.mark.parametrize("length", [TEXT_LIMIT, TEXT_LIMIT + 1])
def test_long_texts_are_cut(length: int) -> None:
    cut = "…" if length > TEXT_LIMIT else ""
    assert text_of(ValueError("x" * length)) == f"{'x' * TEXT_LIMIT}{cut}"


def test_where_the_server_keeps_its_packages_is_nobodys_business() -> None:
    assert text_of(raised_by("from json import no")) == "cannot import name 'no' from 'json'"
    error = raised_by("import json, pickle\npickle.loads(b'cjson\\nno\\n.')")
    assert text_of(error).endswith("attribute 'no' on <module 'json'>")
