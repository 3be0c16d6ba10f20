"""Running a script of Tableau's, and what its author is told when it fails."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tabpy.tabpy_server.errors import InvalidInputError, ScriptFailedError
from tabpy.tabpy_server.workers.worker import results, script
from tests.workers.worker.loading import WebProcess


def double(values: list[float]) -> list[float]:
    return [2 * each for each in values]


@pytest.fixture
def web(tmp_path: Path) -> WebProcess:
    process = WebProcess(tmp_path)
    process.deploy("double", double)
    return process


def evaluate(web: WebProcess, text: str, *columns: Any) -> Any:
    data = {f"_arg{number}": column for number, column in enumerate(columns, 1)}
    body = json.dumps({"script": text, "data": data}).encode()
    return json.loads(script.evaluate(body, web.worker()))


def failure(web: WebProcess, text: str, *columns: Any) -> ScriptFailedError:
    with pytest.raises(ScriptFailedError) as raised:
        evaluate(web, text, *columns)
    return raised.value


def test_a_script_gets_its_columns_and_returns_one(web: WebProcess) -> None:
    assert evaluate(web, "return [a + b for a, b in zip(_arg1, _arg2)]", [1, 2], [3, 4]) == [4, 6]


@pytest.mark.parametrize(
    "text",
    [
        "  x = _arg1\n  return x",
        "\treturn _arg1",
        "    # first a comment\n    return _arg1\n",
        "from __future__ import annotations\nx: Undefined = _arg1\nreturn x",
        "return _arg1;",
    ],
)
def test_scripts_as_people_write_them(web: WebProcess, text: str) -> None:
    assert evaluate(web, text, "right") == "right"


@pytest.mark.parametrize("text", ["# nothing", "pass", "x = 1", "return"])
def test_a_script_that_returns_nothing_gives_null(web: WebProcess, text: str) -> None:
    assert evaluate(web, text) is None


def test_text_in_strings_is_left_alone(web: WebProcess) -> None:
    text = "  x = '''one\n two\n\tthree\u2028'''\n  return x"
    assert evaluate(web, text) == "one\n two\n\tthree\u2028"


@pytest.mark.skipif(sys.version_info[:2] == (3, 12), reason="3.12 has a limit that nobody can set")
@pytest.mark.parametrize(
    "text",
    [
        f"return {' + '.join(['1'] * 1500)}",
        "if _arg1 == 0:\n    return 1"
        + "".join(f"\nelif _arg1 == {number}:\n    return {number}" for number in range(1, 1501)),
        f"x = '1500'\nreturn int(x{'.strip().lower()' * 450})",
    ],
    ids=["terms", "branches", "calls"],
)
def test_generated_calculations_may_be_long(web: WebProcess, text: str) -> None:
    # differences 24
    assert evaluate(web, text, 1500) == 1500
    assert sys.getrecursionlimit() < script.DEEPEST


def test_a_script_calls_functions(web: WebProcess) -> None:
    assert evaluate(web, "return tabpy.query('double', _arg1)['response']", [1, 2]) == [2, 4]


def test_one_scripts_variables_are_not_the_next_ones(web: WebProcess) -> None:
    # differences 16
    evaluate(web, "global left\nleft = 1\n__builtins__['len'] = None")
    assert evaluate(web, "return ['left' in globals(), len([1])]") == [False, 1]


# --- the script's own failures ---


@pytest.mark.parametrize(
    ("text", "info"),
    [
        ("x = 1\nreturn x / 0", "ZeroDivisionError : division by zero\nline 2: return x / 0"),
        ("import sys\nsys.exit(3)", "SystemExit : 3\nline 2: sys.exit(3)"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt : \nline 1: raise KeyboardInterrupt"),
        ("x ==== 2", "SyntaxError : invalid syntax\nline 1: x ==== 2"),
        ("  x = 1\n  x ==== 2", "SyntaxError : invalid syntax\nline 2: x ==== 2"),
        (
            "return (1 / each for each in [0])",
            "ZeroDivisionError : division by zero\nline 1: return (1 / each for each in [0])",
        ),
        (
            "return object()",
            "TypeError : The script returned an object, which has no form in JSON: return numbers, "
            "strings, booleans, None, or lists of them.",
        ),
        (
            "x = []\nx.append(x)\nreturn x",
            "TypeError : The script returned a list that contains itself or is nested too deeply: "
            "return numbers, strings, booleans, None, or lists of them.",
        ),
        (
            "tabpy.query('nosuch')",
            "FunctionError : UnknownURI: There is no function 'nosuch' on this server.\n"
            "line 1: tabpy.query('nosuch')",
        ),
        (
            "return tabpy.query('double', object())",
            "TypeError : tabpy.query was given an object, which has no form in JSON: give it "
            "numbers, strings, booleans, None, or lists of them.\n"
            "line 1: return tabpy.query('double', object())",
        ),
    ],
)
def test_what_a_scripts_author_is_told(web: WebProcess, text: str, info: str) -> None:
    error = failure(web, text)
    assert (error.message, error.info) == ("Error processing script", info)
    assert not error.out_of_memory


@pytest.mark.parametrize(
    ("text", "headline"),
    [
        ("\0", ""),
        ("return '\ud800'", "UnicodeEncodeError : "),
        (f"return {'-' * 100_000}1", ""),
        (f"return {'(' * 1000}", ""),
        ("def f(): return f()\nreturn f()", "RecursionError : "),
    ],
    ids=["null", "surrogate", "long", "deep", "recursion"],
)
def test_what_python_does_not_take_is_the_scripts_failure(
    web: WebProcess, text: str, headline: str
) -> None:
    assert failure(web, text).info.startswith(headline)


@pytest.mark.parametrize("text", ["raise MemoryError", "return 1 << (1 << 62)",
                                  "class Own(MemoryError): pass\nraise Own",
                                  "return (1 << (1 << 62) for _ in [1])"])  # fmt: skip
def test_a_script_that_runs_out_of_memory_says_so(web: WebProcess, text: str) -> None:
    assert failure(web, text).out_of_memory


# --- our own ---


def test_a_mistake_of_ours_in_writing_json_is_not_the_scripts_failure(
    web: WebProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Any) -> bytes:
        raise LookupError("ours")

    monkeypatch.setattr(results, "encode", broken)
    with pytest.raises(LookupError, match="ours"):
        evaluate(web, "return 1")


def test_a_mistake_of_ours_in_compiling_is_not_either(
    web: WebProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise LookupError("ours")

    monkeypatch.setattr(script, "_compile", broken)
    with pytest.raises(LookupError, match="ours"):
        evaluate(web, "return 1")


@pytest.mark.parametrize(
    "text",
    [
        "return tabpy.query('double', [1])",
        "try:\n    tabpy.query('double', [1])\nexcept Exception:\n    return 'caught'",
    ],
)
def test_a_mistake_of_ours_in_a_call_is_not_either(
    web: WebProcess, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    def broken(_: Any) -> Any:
        raise LookupError("ours")

    monkeypatch.setattr(results, "plain", broken)
    with pytest.raises(LookupError, match="ours"):
        evaluate(web, text)


# --- requests that can't be run ---


@pytest.mark.parametrize(
    ("body", "message", "info"),
    [
        ("{", "Request body is not valid JSON.", ""),
        ("[" * 100_000, "Request body is not valid JSON.", ""),
        ("[1]", "Request body is not a JSON object.", "got an array."),
        ("{}", "Script is empty.", 'The request has no text under "script".'),
        ('{"script": " "}', "Script is empty.", 'The request has no text under "script".'),
        ('{"script": 5}', "Script is not a text.", '"script" is a number; it has to be a string.'),
        (
            '{"script": "return 1", "dataPath": "x"}',
            "Arrow is not enabled.",
            'Send the data as "data": this server has no Flight.',
        ),
        (
            '{"script": "return 1", "data": [1]}',
            "Script parameters need to be provided as a dictionary.",
            '"data" is an array; expected {"_arg1": [...], "_arg2": [...]}.',
        ),
        (
            '{"script": "return 1", "data": {"_arg2": [1]}}',
            "Variables names should follow the format _arg1, _arg2, _argN",
            "Expected _arg1; got _arg2.",
        ),
    ],
)
def test_a_body_of_another_form_is_refused(
    web: WebProcess, body: str, message: str, info: str
) -> None:
    with pytest.raises(InvalidInputError) as raised:
        script.evaluate(body.encode(), web.worker())
    assert raised.value.message == message
    assert raised.value.info.endswith(info)
