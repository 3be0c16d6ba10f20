"""What the author of a failed script or function is told."""

import linecache
from collections.abc import Iterator
from typing import Any

import pytest

from tabpy.tabpy_server.workers.worker import refusals
from tabpy.tabpy_server.workers.worker.account import LIMIT, Account, of_function, of_script
from tests.workers.worker.test_failures import raised_by

PRICE = """\
TABLE = {}

def price(name):
    try:
        return TABLE[name]
    except KeyError as error:
        raise ValueError("no price") from error

def prices(names):
    return [price(each) for each in names]
"""
PRICES = "<price.py:3>"


@pytest.fixture
def functions() -> Iterator[dict[str, Any]]:
    """What was made of a text, as deployed functions are: it is known under the name that the code
    has for its file, and lies nowhere."""
    linecache.cache[PRICES] = len(PRICE), None, PRICE.splitlines(keepends=True), PRICES
    found: dict[str, Any] = {}
    exec(compile(PRICE, PRICES, "exec"), found)
    yield found
    del linecache.cache[PRICES]


def told(code: str) -> list[str]:
    return of_script(raised_by(code), code).info.split("\n")


def of_call(function: Any, *arguments: Any) -> Account:
    with pytest.raises(Exception) as raised:  # noqa: PT011 - whatever it is
        function(*arguments)
    return of_function(raised.value.with_traceback(raised.tb.tb_next))  # without this frame


# --- scripts ---


def test_class_text_and_the_lines_that_led_there() -> None:
    code = "def f(x):\n    return 1 / x\n\ndef g():\n    return f(0)\n\ng()"
    assert told(code) == [
        "ZeroDivisionError : division by zero",
        "line 2, in f: return 1 / x",
        "called from line 5, in g: return f(0)",
        "called from line 7: g()",
    ]


def test_lines_are_counted_as_python_does() -> None:
    code = "x = '\u2028\x0c\x85'\r\nx = 1\r1 / 0"
    assert told(code)[1] == "line 3: 1 / 0"


def test_the_line_of_a_syntax_error() -> None:
    assert told("x = 1\nx ==== 2\n") == ["SyntaxError : invalid syntax", "line 2: x ==== 2"]
    error = SyntaxError("x", ("<script>", 99, None, None))
    assert of_script(error, "one").info == "SyntaxError : x\nline 99: "


def test_what_led_to_it_with_lines_of_its_own() -> None:
    code = "try:\n    {}['x']\nexcept KeyError:\n    raise ValueError('no x')"
    assert told(code) == [
        "ValueError : no x",
        "line 4: raise ValueError('no x')",
        "while handling KeyError : 'x'",
        "line 2: {}['x']",
    ]


def test_the_members_of_a_group_with_lines_of_their_own() -> None:
    code = """
found = []
for each in ("a", "b"):
    try:
        int(each)
    except ValueError as error:
        found.append(error)
raise ExceptionGroup("no numbers", [*found, ExceptionGroup("more", [TypeError("c")])])
"""
    assert told(code) == [
        "ExceptionGroup : no numbers (3 sub-exceptions)",
        'line 8: raise ExceptionGroup("no numbers", [*found, ExceptionGroup("more", '
        '[TypeError("c")])])',
        "1 of 3: ValueError : invalid literal for int() with base 10: 'a'",
        "  line 5: int(each)",
        "2 of 3: ValueError : invalid literal for int() with base 10: 'b'",
        "  line 5: int(each)",
        "3 of 3: ExceptionGroup : more (1 sub-exception)",
        "  1 of 1: TypeError : c",
    ]


def test_of_a_deep_recursion_both_ends() -> None:
    lines = told("def f(n):\n    return f(n + 1)\n\nf(0)")
    assert lines[0].startswith("RecursionError : maximum recursion depth exceeded")
    assert lines[1] == "line 2, in f: return f(n + 1)"
    assert set(lines[2:9]) == {"called from line 2, in f: return f(n + 1)"}
    number = int(lines[9].removeprefix("… ").removesuffix(" more"))
    assert 500 < number < 1000
    assert lines[-1] == "called from line 4: f(0)"
    assert len(lines) == 1 + 8 + 1 + 4


def test_however_much_there_is_it_ends() -> None:
    many = ExceptionGroup("x", [ValueError("y" * LIMIT) for _ in range(100)])
    told = of_script(many, "")
    assert len(told.info) == len(told.trace) == LIMIT + 1
    assert told.info.endswith("…")


def test_what_would_allow_it_is_the_second_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "explain", lambda error: f"{error} may be set.")
    assert told("raise OSError('x')")[:2] == ["OSError : x", "x may be set."]


# --- functions ---


def test_a_functions_lines_with_file_and_text(functions: dict[str, Any]) -> None:
    assert of_call(functions["prices"], ["x"]).info.split("\n") == [
        "ValueError : no price",
        'price.py, line 7, in price: raise ValueError("no price") from error',
        "called from price.py, line 10, in prices: return [price(each) for each in names]",
        "caused by KeyError : 'x'",
        "price.py, line 5, in price: return TABLE[name]",
    ]


@pytest.mark.parametrize(
    ("filename", "label"),
    [
        ("<price.py:12>", "price.py"),
        ("<price.py:12 (2)>", "price.py"),
        ("<cell 3:1>", "cell 3"),
        ("<ipython-input-12-0f3a>", "cell 12"),
        ("/tmp/ipykernel_77/1234.py", "a cell"),
        (r"C:\Users\anna\AppData\Local\Temp\ipykernel_77\1234.py", "a cell"),
        (r"C:\Users\anna\price.py", "price.py"),
        ("/home/anna/price.py", "price.py"),
        ("<string>", "<string>"),
        ("/home/anna/", "its file"),
    ],
    ids=range(10),
)
def test_a_file_is_called_by_its_last_name(filename: str, label: str) -> None:
    found: dict[str, Any] = {}
    exec(compile("def f():\n    return 1 / 0", filename, "exec"), found)
    assert of_call(found["f"]).info.split("\n")[1] == f"{label}, line 2, in f"


def test_a_file_of_the_servers_is_not_read_for_a_line() -> None:
    """It happens to have the name of the author's own, which was another one."""
    found: dict[str, Any] = {}
    exec(compile("def f(): 1 / 0", __file__, "exec"), found)
    assert of_call(found["f"]).info.split("\n")[1] == "test_account.py, line 1, in f"


# --- tracebacks ---


def test_a_traceback_has_pythons_form(functions: dict[str, Any]) -> None:
    assert of_call(functions["prices"], ["x"]).trace.split("\n") == [
        "Traceback (most recent call last):",
        '  File "price.py", line 5, in price',
        "    return TABLE[name]",
        "KeyError: 'x'",
        "",
        "The above exception was the direct cause of the following exception:",
        "",
        "Traceback (most recent call last):",
        '  File "price.py", line 10, in prices',
        "    return [price(each) for each in names]",
        '  File "price.py", line 7, in price',
        '    raise ValueError("no price") from error',
        "ValueError: no price",
    ]


def test_a_scripts_traceback_with_a_groups_members() -> None:
    code = "try:\n    1 / 0\nexcept ArithmeticError:\n    raise ExceptionGroup('x', [ValueError()])"
    assert of_script(raised_by(code), code).trace.split("\n") == [
        "Traceback (most recent call last):",
        '  File "<script>", line 2',
        "    1 / 0",
        "ZeroDivisionError: division by zero",
        "",
        "During handling of the above exception, another exception occurred:",
        "",
        "Traceback (most recent call last):",
        '  File "<script>", line 4',
        "    raise ExceptionGroup('x', [ValueError()])",
        "ExceptionGroup: x (1 sub-exception)",
        "  1 of 1:",
        "    ValueError",
    ]


def test_a_deep_traceback_says_what_is_left_out() -> None:
    code = "def f():\n    f()\nf()"
    lines = of_script(raised_by(code), code).trace.split("\n")
    [more] = [line for line in lines if "more" in line]
    assert more.startswith("  … ")
    assert lines[1:3] == ['  File "<script>", line 3', "    f()"]


# --- where it failed, for the log ---


@pytest.mark.parametrize(
    ("code", "at"),
    [
        ("def f(x):\n    return 1 / x\n\nf(0)", (2, "f")),
        ("x = 1\nint('a secret')", (2, "")),
        (
            "class A:\n    def g(self):\n        raise KeyError('line 9, in h: no')\nA().g()",
            (3, "g"),
        ),
        ("raise ValueError('line 5, in a_secret: x')", (1, "")),
    ],
    ids=["in a function", "outside of any", "in a method", "whatever its text says"],
)
def test_a_script_failed_at_a_line_and_in_a_function(code: str, at: tuple[int, str]) -> None:
    assert of_script(raised_by(code), code).at == at


def test_so_did_a_function(functions: dict[str, Any]) -> None:
    assert of_call(functions["prices"], ["x"]).at == (7, "price")


def test_what_failed_in_a_package_alone_did_so_nowhere() -> None:
    assert of_call(int, "a secret").at == (0, "")
