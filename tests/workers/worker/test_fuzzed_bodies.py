"""Whatever a body is: a worker answers it, or says what is wrong with it.

The examples are found by hypothesis: the same ones in each run, and others in `make fuzz`.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tabpy.tabpy_server.errors import FunctionFailedError, InvalidInputError, ScriptFailedError
from tabpy.tabpy_server.json_codec import dumps
from tabpy.tabpy_server.workers.worker import function, script
from tests.workers.worker.loading import WebProcess

SMALL = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
SENT = st.recursive(
    st.none() | st.booleans() | SMALL | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=20,
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
KEYS = st.sampled_from(["_arg1", "_arg2", "_arg3", "_arg01", "_ARG1", "", "\ud800"])
REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "script": st.just("return 1") | ANYTHING.filter(lambda value: not isinstance(value, str)),
        "data": ANYTHING | st.dictionaries(KEYS, ANYTHING),
        "dataPath": ANYTHING,
    },
)
BODIES = st.binary() | (REQUESTS | ANYTHING).map(lambda value: json.dumps(value).encode())


def same(value: Any) -> Any:
    return value


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> WebProcess:
    process = WebProcess(tmp_path_factory.mktemp("archives"))
    process.deploy("same", same)
    return process


def evaluate(web: WebProcess, body: bytes) -> bytes:
    return script.evaluate(body, web.worker())


def query(web: WebProcess, body: bytes) -> bytes:
    return function.query(body, web.references["same"], web.worker())[0]


@given(body=BODIES)
@example(b"[" * 100_000)
@example(b'{"script": "return 1", "data": {"_arg1": ' + b"[" * 900 + b"]" * 900 + b"}}")
@example(b'{"script": "return 1", "data": {"_arg1": 1, "_arg1": 2}}')
@example(b'{"script": "return 1", "data": {"_arg1": 1e999}}')
@example(b'{"script": "return 1", "data": {"_arg1": ' + b"9" * 5000 + b"}}")
@example(b'{"script": "return 1\xff"}')
@example(b'{"script": "return 1", "data": {"\\ud800": 1}}')
@example(b'{"script": "return \\u0000"}')
@pytest.mark.parametrize("run", [evaluate, query])
def test_no_body_is_an_accident(
    web: WebProcess, run: Callable[[WebProcess, bytes], bytes], body: bytes
) -> None:
    answer: bytes
    try:
        answer = run(web, body)
    except (InvalidInputError, ScriptFailedError, FunctionFailedError) as error:
        answer = dumps({"message": error.message, "info": error.info})
    json.loads(answer)


@given(value=SENT)
def test_what_is_sent_is_what_a_script_gets_and_returns(web: WebProcess, value: Any) -> None:
    body = json.dumps({"script": "return _arg1", "data": {"_arg1": value}}).encode()
    assert json.loads(evaluate(web, body)) == value


@given(value=SENT)
def test_what_is_sent_is_what_a_function_gets_and_returns(web: WebProcess, value: Any) -> None:
    body = json.dumps({"data": [value]}).encode()
    assert json.loads(query(web, body))["response"] == value


def test_of_very_many_wrong_names_the_first_are_named(web: WebProcess) -> None:
    data = {f"x{number}": 1 for number in range(100_000)}
    with pytest.raises(InvalidInputError) as raised:
        evaluate(web, json.dumps({"script": "return 1", "data": data}).encode())
    assert raised.value.info.startswith("Expected _arg1, _arg2, _arg3")
    assert "got x0, x1, x2" in raised.value.info
    assert len(raised.value.info) < 2100
