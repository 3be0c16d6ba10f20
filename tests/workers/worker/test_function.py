"""Calling a deployed function, from a request and from a script."""

import asyncio
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tabpy.tabpy_server.errors import FunctionFailedError, InvalidInputError, StoreUnavailableError
from tabpy.tabpy_server.workers.protocol import Reference
from tabpy.tabpy_server.workers.worker import function, results
from tabpy.tabpy_server.workers.worker.function import FunctionError, TabPy
from tests.workers.worker.loading import WebProcess

LOOKUP = [1, 2]


def sort(values: list[float]) -> list[float]:
    values.sort()
    return values


def lookup() -> list[int]:
    return LOOKUP


def echo(*args: Any, **kwargs: Any) -> Any:
    return {"args": args, "kwargs": kwargs}


def types(values: Any) -> list[str]:
    return [type(each).__name__ for each in values]


def divide(a: float, b: float) -> float:
    return a / b


def evaluate(code: str) -> Any:
    return eval(code)


async def ratio(a: float, b: float) -> float:
    await asyncio.sleep(0)
    return a / b


@pytest.fixture
def web(tmp_path: Path) -> WebProcess:
    process = WebProcess(tmp_path)
    for each in (sort, lookup, echo, types, divide, evaluate, ratio):
        process.deploy(each.__name__, each)
    return process


@pytest.fixture
def tabpy(web: WebProcess) -> TabPy:
    """What a script has."""
    return TabPy(web.worker())


def test_an_async_function_answers_with_what_it_returns_in_the_end(
    web: WebProcess, tabpy: TabPy
) -> None:
    assert tabpy.query("ratio", 1, 2)["response"] == 0.5
    assert answer(web, "ratio", [1, 4])["response"] == 0.25


def test_an_async_function_that_fails_is_told_as_any_other(tabpy: TabPy) -> None:
    with pytest.raises(FunctionError, match=r"ZeroDivisionError : .*\n.*, in ratio"):
        tabpy.query("ratio", 1, 0)


# --- values, not objects ---


def test_a_function_that_sorts_leaves_the_scripts_rows_alone(tabpy: TabPy) -> None:
    # differences 1
    rows = [3, 1, 2]
    answer = tabpy.query("sort", rows)["response"]
    assert answer == [1, 2, 3]
    assert rows == [3, 1, 2]
    assert tabpy.query("sort", values=rows)["response"] is not answer
    assert rows == [3, 1, 2]


def test_a_script_that_changes_an_answer_changes_it_for_itself(tabpy: TabPy) -> None:
    # differences 2
    answer = tabpy.query("lookup")["response"]
    answer.append(9)
    assert tabpy.query("lookup")["response"] == [1, 2]


def test_an_argument_given_twice_is_two(tabpy: TabPy) -> None:
    rows = [1]
    first, second = tabpy.query("echo", rows, rows)["response"]["args"]
    first.append(2)
    assert second == [1]


def test_both_see_what_json_can_hold(tabpy: TabPy) -> None:
    answer = tabpy.query("echo", (1, (2,)), {1: None}, range(2), big=2**70)["response"]
    assert answer == {"args": [[1, [2]], {"1": None}, [0, 1]], "kwargs": {"big": 2**70}}
    assert tabpy.query("evaluate", "(1, {2: (3,)})")["response"] == [1, {"2": [3]}]


def test_arrays_and_series_reach_a_function_as_lists(tabpy: TabPy) -> None:
    np, pd = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    given = [np.array([1.5]), pd.Series([1]), np.float64(2), pd.DataFrame({"a": [1]}), None]
    assert tabpy.query("types", given)["response"] == ["list", "list", "float", "dict", "NoneType"]


def test_a_number_that_is_none_stays_a_number(tabpy: TabPy) -> None:
    [argument] = tabpy.query("echo", math.nan)["response"]["args"]
    assert math.isnan(argument)


def test_an_argument_that_cannot_be_json_is_refused_by_its_type(tabpy: TabPy) -> None:
    for arguments in ({"a": object()}, {"a": [1, object()]}):
        with pytest.raises(TypeError) as raised:
            tabpy.query("echo", **arguments)
        assert str(raised.value) == (
            "tabpy.query was given an object, which has no form in JSON: give it numbers, strings, "
            "booleans, None, or lists of them."
        )
    assert tabpy.crash is None


def test_an_answer_that_cannot_be_json_is_refused_as_over_http(
    web: WebProcess, tabpy: TabPy
) -> None:
    with pytest.raises(FunctionFailedError) as over_http:
        function.query(b'{"data": ["object()"]}', web.references["evaluate"], web.worker())
    with pytest.raises(FunctionError) as in_script:
        tabpy.query("evaluate", "object()")
    error = over_http.value
    assert error.info.startswith(
        "TypeError : The function returned an object, which has no form in JSON"
    )
    assert str(in_script.value) == f"{error.message}: {error.info}"


def test_what_is_answered(tabpy: TabPy) -> None:
    answers = [tabpy.query("divide", 1, b=4) for _ in range(2)]
    for answer in answers:
        assert answer.keys() == {"response", "version", "model", "uuid"}
        assert (answer["response"], answer["version"], answer["model"]) == (0.25, 1, "divide")
    assert answers[0]["uuid"] != answers[1]["uuid"]


def test_a_name_may_be_written_as_in_urls(web: WebProcess, tabpy: TabPy) -> None:
    # differences 20
    web.deploy("Sentiment Analysis", divide)
    web.deploy("100%25", divide)
    assert tabpy.query("Sentiment%20Analysis", 1, b=4)["model"] == "Sentiment Analysis"
    assert tabpy.query("100%25", 1, b=4)["model"] == "100%25"
    with pytest.raises(FunctionError, match="There is no function 'No%20such'"):
        tabpy.query("No%20such")


# --- failures ---


def test_a_script_that_expects_tabpys_key_error_catches_ours(tabpy: TabPy) -> None:
    # differences 19
    with pytest.raises(KeyError) as raised:
        tabpy.query("nosuch", 1)
    assert str(raised.value) == "UnknownURI: There is no function 'nosuch' on this server."


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda tabpy: tabpy.query("divide", 1, 0),
            "Error querying function 'divide': ZeroDivisionError : division by zero\n"
            "test_function.py, line ",
        ),
        (
            lambda tabpy: tabpy.query("evaluate", "exit(3)"),
            "Error querying function 'evaluate': SystemExit : 3",
        ),
        (
            lambda tabpy: tabpy.query("nosuch", 1),
            "UnknownURI: There is no function 'nosuch' on this server.",
        ),
        (lambda tabpy: tabpy.query(5), "UnknownURI: There is no function '5' on this server."),
        (lambda tabpy: tabpy.query(["x"]), "UnknownURI: There is no function '['x']' on this "),
    ],
)
def test_a_script_is_told_the_cause(
    tabpy: TabPy, call: Callable[[TabPy], object], text: str
) -> None:
    with pytest.raises(FunctionError) as raised:
        call(tabpy)
    assert str(raised.value).startswith(text)
    assert raised.value.__suppress_context__  # nothing of ours is shown
    assert tabpy.crash is None


def test_a_store_that_does_not_answer_is_the_cause_too(web: WebProcess, tabpy: TabPy) -> None:
    web.refusal = StoreUnavailableError()
    with pytest.raises(FunctionError, match="The store of deployed functions can't be reached"):
        tabpy.query("divide", 1, 2)


def test_a_thread_that_a_script_left_is_told_that_it_is_late(web: WebProcess) -> None:
    models = web.worker()
    models.finish()
    with pytest.raises(FunctionError, match=r"^The script has ended: this is a thread it left\.$"):
        TabPy(models).query("divide", 1, 2)


def test_a_mistake_of_our_own_is_noted_even_if_the_script_catches_it(
    tabpy: TabPy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Any) -> Any:
        raise LookupError("ours")

    monkeypatch.setattr(results, "plain", broken)
    with pytest.raises(LookupError) as raised:
        tabpy.query("divide", 1, 2)
    assert tabpy.crash is raised.value


def test_a_script_that_recurses_too_deep_is_no_mistake_of_ours(tabpy: TabPy) -> None:
    def recurse() -> Any:
        tabpy.query("divide", 1, 2)
        return recurse()

    with pytest.raises((RecursionError, FunctionError)):
        recurse()
    assert tabpy.crash is None


@pytest.mark.parametrize(("code", "out_of_memory"), [("[][0]", False), ("1 << (1 << 62)", True)])
def test_a_function_that_runs_out_of_memory_says_so(
    web: WebProcess, code: str, out_of_memory: bool
) -> None:
    body = json.dumps({"data": [code]}).encode()
    with pytest.raises(FunctionFailedError) as raised:
        function.query(body, web.references["evaluate"], web.worker())
    assert raised.value.out_of_memory is out_of_memory


def column(name: str) -> Any:
    import pandas as pd

    return pd.DataFrame({"a": [1]})[name]


def test_a_failure_in_a_package_shows_the_authors_lines_only(web: WebProcess) -> None:
    pytest.importorskip("pandas")
    web.deploy("column", column)
    with pytest.raises(FunctionFailedError) as raised:
        answer(web, "column", ["b"])
    line = column.__code__.co_firstlineno + 3
    head, *places = raised.value.info.split("\n")
    assert head == "KeyError : 'b'"
    assert [each.partition(": ")[0] for each in places] == [
        f"test_function.py, line {line}, in column"
    ]


# --- requests ---


def answer(web: WebProcess, name: str, data: Any) -> Any:
    reference: Reference = web.references[name]
    encoded, _ = function.query(json.dumps({"data": data}).encode(), reference, web.worker())
    return json.loads(encoded)


def test_arguments_by_position_and_by_name(web: WebProcess) -> None:
    for data in ([1, 4], {"b": 4, "a": 1}):
        assert answer(web, "divide", data)["response"] == 0.25


def test_what_a_request_is_answered(web: WebProcess) -> None:
    answered = answer(web, "evaluate", ["[1.5, float('nan')]"])
    assert answered.pop("uuid")
    assert answered == {"response": [1.5, None], "version": 1, "model": "evaluate"}


def test_the_tag_is_that_of_the_response_alone(web: WebProcess) -> None:
    reference = web.references["divide"]
    models = web.worker()

    def tag(body: bytes, version: int = 1) -> str:
        return function.query(body, replace(reference, version=version), models)[1]

    assert tag(b'{"data": [1, 4]}') == tag(b'{"data": [2, 8]}', 2)
    assert tag(b'{"data": [1, 4]}') != tag(b'{"data": [1, 5]}')


@pytest.mark.parametrize(
    ("body", "message", "info"),
    [
        (b"{", "Request body is not valid JSON.", ""),
        (b"[" * 100_000, "Request body is not valid JSON.", ""),
        (b"[1]", 'Input data must be a dictionary with a key called "data".', "got an array."),
        (b'{"data": 5}', 'Input data must be a dictionary with a key called "data".', "a number."),
        (b'{"date": []}', 'Input data must be a dictionary with a key called "data".', "got null."),
    ],
)
def test_a_body_without_data_is_refused(
    web: WebProcess, body: bytes, message: str, info: str
) -> None:
    with pytest.raises(InvalidInputError) as raised:
        function.query(body, web.references["divide"], web.worker())
    assert raised.value.message == message
    assert raised.value.info.endswith(info)
