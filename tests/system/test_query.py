"""/query/<name>, and `tabpy.query` in scripts: calling what was deployed."""

import concurrent.futures
import gzip
import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from tests.deploying import archive_of, deploy, lines, redeploy
from tests.running import Reply, Server

Start = Callable[..., Server]


def add(a: Any, b: Any = 1) -> Any:
    return a + b


def echo(*args: Any, **kwargs: Any) -> Any:
    return {"args": args, "kwargs": kwargs}


def divide(a: float, b: float) -> float:
    def inner() -> float:
        return a / b

    return inner()


def run(code: str) -> Any:
    """Python's text: one function for all that a function can do."""
    variables: dict[str, Any] = {}
    exec(code, variables)
    return variables.get("result")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two web processes with a worker each, and some functions."""
    folder = tmp_path_factory.mktemp("query")
    settings = {
        "WEB_CONCURRENCY": "2",
        "TABPY_WORKERS": "1",
        "TABPY_EVALUATE_TIMEOUT": "10",
        "TABPY_PRELOAD": "numpy,pandas",
        "TABPY_MODELS_PATH": str(folder / "none"),
    }
    running = Server(folder, settings).wait_until_ready()
    for function in (add, echo, divide, run):
        assert deploy(running, function.__name__, function).status == 201
    yield running
    running.kill()


@pytest.fixture
def name() -> str:
    return f"name {secrets.token_hex(4)}"


def post(
    server: Server,
    name: str,
    body: bytes | str,
    method: str = "POST",
    *,
    path_end: str = "",
    **headers: str,
) -> Reply:
    return server.request(method, f"/query/{quote(name)}{path_end}", body, headers=headers)


def result(server: Server, code: str) -> Any:
    reply = server.query("run", "result = None\n" + code)
    assert reply.status == 200, reply.body
    return reply.json["response"]


# --- what goes in and what comes out ---


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize(
    ("data", "response"),
    [
        ([3, 4], 7),
        ({"a": 3, "b": 4}, 7),
        ({"b": 4, "a": 3}, 7),
        ([3], 4),
        ([[1, 2], [3]], [1, 2, 3]),
        (["ü\u2028😀", "\0"], "ü\u2028😀\0"),
    ],
)
def test_arguments_by_position_or_by_name(
    server: Server, method: str, data: Any, response: Any
) -> None:
    reply = post(server, "add", json.dumps({"data": data}), method)
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "application/json"
    answer = reply.json
    assert set(answer) == {"response", "version", "model", "uuid"}
    assert (answer["response"], answer["version"], answer["model"]) == (response, 1, "add")
    assert answer["uuid"] != post(server, "add", json.dumps({"data": data})).json["uuid"]


def test_arguments_arrive_as_they_were_sent(server: Server) -> None:
    data: dict[str, Any] = {
        "x": [1, 2.5, None, True, "\ud800", 2**70, {"y": []}],
        "name with space": {},
    }
    answer = post(server, "echo", json.dumps({"data": data})).json["response"]
    assert answer == {"args": [], "kwargs": data}
    assert post(server, "echo", '{"data": []}').json["response"] == {"args": [], "kwargs": {}}
    assert post(server, "echo", '{"data": {}}').json["response"] == {"args": [], "kwargs": {}}


def test_a_compressed_request(server: Server) -> None:
    body = gzip.compress(b'{"data": [3, 4]}')
    assert post(server, "add", body, **{"Content-Encoding": "gzip"}).json["response"] == 7


@pytest.mark.parametrize(
    ("code", "response"),
    [
        ("result = [float('nan'), float('inf'), -float('inf'), 1.5]", [None, None, None, 1.5]),
        ("import numpy as np; result = np.array([1.5, np.nan])", [1.5, None]),
        ("import numpy as np; result = np.float32(1.5)", 1.5),
        ("import numpy as np; result = np.arange(4).reshape(2, 2)", [[0, 1], [2, 3]]),
        ("import numpy as np; result = {'a': np.int64(3)}", {"a": 3}),
        ("import numpy as np; result = np.array(['a', 'b'])", ["a", "b"]),
        ("import pandas as pd; result = pd.Series([1, None])", [1.0, None]),
        ("import pandas as pd; result = pd.DataFrame({'a': [1, 2]})", {"a": [1, 2]}),
        ("import datetime; result = datetime.date(2026, 2, 3)", "2026-02-03"),
        ("result = (each for each in 'ab')", ["a", "b"]),
        ("result = 2 ** 70", 2**70),
        ("result = None", None),
    ],
)
def test_whatever_is_returned_becomes_json(server: Server, code: str, response: Any) -> None:
    reply = server.query("run", code)
    assert b"NaN" not in reply.body
    assert b"Infinity" not in reply.body
    assert reply.json["response"] == response


def test_what_a_function_captured_goes_along(server: Server, name: str) -> None:
    weights = np.array([1.0, 2.0, 3.0])
    assert deploy(server, name, lambda x: weights * x + weights.mean()).status == 201
    assert server.query(name, 2).json["response"] == [4.0, 6.0, 8.0]


# --- what is refused ---


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        (b'{"data": "\xff"}', "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("{}", 'a key called "data"'),
        ('{"data": null}', "got null"),
        ('{"data": "x"}', "got a string"),
        ('{"data": 5}', "got a number"),
        ('{"dates": [1]}', 'a key called "data"'),
        ("[1, 2]", "got an array"),
        ('"x"', "got a string"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_body_without_data_is_refused(
    server: Server, method: str, body: str | bytes, words: str
) -> None:
    status, message, info = post(server, "add", body, method).error
    assert status == 400
    assert words in f"{message} {info}"


@pytest.mark.parametrize("name", ["nosuch", "no such", "Add", "add ", "%", "\0", "ü", "x" * 5000])
def test_a_name_that_is_not_there_is_404(server: Server, name: str) -> None:
    status, message, info = server.query(name, 1).error
    assert (status, message) == (404, "UnknownURI")
    assert name in info


@pytest.mark.parametrize("user", [None, "nobody"])
def test_nobody_calls_without_a_password(server: Server, user: str | None) -> None:
    assert server.query("add", 1, user=user).status == 401
    assert server.query("nosuch", 1, user=user).status == 401


def test_a_failing_function_tells_class_text_and_line(server: Server) -> None:
    status, message, info = server.query("divide", 1, 0).error
    assert (status, message) == (500, "Error querying function 'divide'")
    first, *places = info.split("\n")
    assert first == "ZeroDivisionError : division by zero"
    start = divide.__code__.co_firstlineno
    assert [each.partition(": ")[0] for each in places] == [
        f"test_query.py, line {start + 2}, in inner",
        f"called from test_query.py, line {start + 4}, in divide",
    ]


def test_to_debug_a_function_sends_what_it_prints(server: Server) -> None:
    def debug(code: str) -> Reply:
        return post(server, "run", json.dumps({"data": [code]}), path_end="?debug=true")

    reply = debug("print('one')\nresult = 2")
    assert (reply.json["response"], reply.json["printed"]) == (2, "one\n")
    reply = debug("print('two')\n1 / 0")
    assert (reply.status, reply.json["printed"]) == (500, "two\n")
    told = reply.json["info"]["error"]
    assert told.startswith("ZeroDivisionError : division by zero\n<string>, line 2")
    assert reply.json["trace"].startswith("Traceback (most recent call last):\n")
    assert reply.json["trace"].endswith("line 2\nZeroDivisionError: division by zero")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "TypeError : add() missing 1 required positional argument: 'a'"),
        ([1, 2, 3], "TypeError : add() takes from 1 to 2 positional arguments but 3 were given"),
        ({"a": 1, "c": 2}, "TypeError : add() got an unexpected keyword argument 'c'"),
        (["x", 1], "TypeError : can only concatenate str"),
    ],
)
def test_arguments_that_do_not_fit_are_the_functions_to_refuse(
    server: Server, data: Any, words: str
) -> None:
    status, message, info = post(server, "add", json.dumps({"data": data})).error
    assert (status, message) == (500, "Error querying function 'add'")
    assert info.startswith(words)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys; sys.exit(3)", "SystemExit : 3"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt : "),
        ("raise ValueError('\\ud800 \\0 %s')", "ValueError : \ud800 \0 %s"),
        ("import nosuch", "ModuleNotFoundError : No module named 'nosuch'"),
        ("result = object()", "object, which has no form in JSON"),
        ("import os; os._exit(3)", "ended with exit code 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        ("def f(): return f()\nf()", "RecursionError : "),
    ],
)
def test_whatever_a_function_does_the_next_one_answers(
    server: Server, code: str, words: str
) -> None:
    status, _, info = server.query("run", code).error
    assert status == 500
    assert words in info
    for ours in ("Traceback", "site-packages", "tabpy/", str(server.folder)):
        assert ours not in info
    assert [server.query("add", 1).json["response"] for _ in range(4)] == [2] * 4


def test_a_function_that_takes_too_long_is_stopped(start: Start) -> None:
    # differences 11
    settings = {"WEB_CONCURRENCY": "1", "TABPY_WORKERS": "1", "TABPY_QUERY_TIMEOUT": "1"}
    server = start(settings)
    deploy(server, "run", run)
    status, message, info = server.query("run", "while True: pass").error
    assert status == 408
    assert "1.0 s" in message
    assert "stopped" in info
    assert server.query("run", "result = 1").json["response"] == 1


def test_a_function_may_take_longer_than_a_script(start: Start) -> None:
    # differences 11
    settings = {"WEB_CONCURRENCY": "1", "TABPY_WORKERS": "1", "TABPY_EVALUATE_TIMEOUT": "0.3"}
    server = start(settings)
    deploy(server, "run", run)
    assert server.query("run", "import time\ntime.sleep(0.6)\nresult = 1").json["response"] == 1
    assert server.evaluate("import time\ntime.sleep(0.6)\nreturn 1").status == 408


def test_a_function_leaves_nothing_for_the_next_caller(server: Server) -> None:
    result(server, "import builtins, os\nbuiltins.left = 1\nos.environ['LEFT'] = '1'")
    look = "import builtins, os\nresult = [hasattr(builtins, 'left'), 'LEFT' in os.environ]"
    assert [result(server, look) for _ in range(4)] == [[False, False]] * 4


# --- Etag ---


def test_an_answer_that_the_client_has_already_is_not_sent_again(server: Server, name: str) -> None:
    deploy(server, name, add)
    body = '{"data": [3, 4]}'
    first = post(server, name, body)
    tag = first.headers["Etag"]
    for sent in (tag, f'"other", {tag}', f"W/{tag}"):
        again = post(server, name, body, **{"If-None-Match": sent})
        assert (again.status, again.body, again.headers["Etag"]) == (304, b"", tag)
    assert post(server, name, body, **{"If-None-Match": '"other"'}).status == 200
    assert post(server, name, '{"data": [3, 5]}', **{"If-None-Match": tag}).status == 200
    redeploy(server, name, add)  # the same answer of another version
    reply = post(server, name, body, **{"If-None-Match": tag})
    assert (reply.status, reply.json["version"]) == (200, 2)
    assert reply.headers["Etag"] != tag


# --- changes ---


def test_every_web_process_calls_what_was_deployed_last(server: Server, name: str) -> None:
    def answers() -> list[Any]:
        body = '{"data": [3, 4]}'
        replies = [line.request("POST", f"/query/{quote(name)}", body) for line in everybody]
        return [each.json["response"] if each.status == 200 else each.status for each in replies]

    with lines(server) as everybody:
        assert answers() == [404, 404]
        for version in range(1, 4):
            if version == 1:
                deploy(server, name, lambda a, b: a + b)
            else:
                redeploy(server, name, lambda a, b, version=version: (a + b) * version)
            assert answers() == [7 * version] * 2
        server.client().rollback(name, 1)
        assert answers() == [7, 7]
        server.client().remove(name)
        assert answers() == [404, 404]
        deploy(server, name, lambda a, b: a - b)
        assert answers() == [-1, -1]


def test_a_function_is_loaded_once_a_worker(server: Server, name: str) -> None:
    note = server.notes / "loaded"

    class Noted:
        def __init__(self) -> None:
            self.note = str(note)

        def __call__(self) -> int:
            import os

            return os.getpid()

        def __setstate__(self, state: dict[str, str]) -> None:
            import os

            self.__dict__.update(state)
            with open(self.note, "a") as file:  # noqa: PTH123 - runs in a worker
                file.write(f"{os.getpid()}\n")

    assert deploy(server, name, Noted()).status == 201
    [checked] = note.read_text().split()
    workers = {str(server.query(name).json["response"]) for _ in range(40)}
    for _ in range(5):
        script = f"return tabpy.query('{name}')['response']"
        assert str(server.evaluate(script).json) in workers
    assert sorted(note.read_text().split()) == sorted({checked, *workers})
    redeploy(server, name, Noted())
    server.query(name)
    assert len(note.read_text().split()) >= len(workers) + 2  # the check, at least


def test_a_function_that_cannot_be_loaded_any_more_is_an_error_of_the_server(
    server: Server, name: str
) -> None:
    needed = server.notes / "needed"
    needed.touch()

    class Needy:
        def __init__(self) -> None:
            self.needed = str(needed)

        def __call__(self) -> int:
            return 1

        def __setstate__(self, state: dict[str, str]) -> None:
            with open(state["needed"]):  # noqa: PTH123 - runs in a worker
                self.__dict__.update(state)

    assert deploy(server, name, Needy()).status == 201
    needed.unlink()
    status, message, info = server.query(name).error
    assert (status, message) == (500, f"Function '{name}' can't be loaded.")
    assert "FileNotFoundError" in info
    needed.touch()
    assert server.query(name).json["response"] == 1


# --- tabpy.query in scripts ---


def test_scripts_call_functions(server: Server) -> None:
    answer = server.evaluate("return tabpy.query('add', _arg1, _arg2)", [1, 2], [3]).json
    assert set(answer) == {"response", "version", "model", "uuid"}
    assert (answer["response"], answer["version"], answer["model"]) == ([1, 2, 3], 1, "add")
    assert server.evaluate("return tabpy.query('add', a=1, b=_arg1)['response']", 2).json == 3


def test_scripts_get_lists_where_a_function_returns_arrays(server: Server) -> None:
    code = "import numpy as np\nresult = {'a': np.array([1, 2]), 'b': np.int32(3)}"
    script = "return repr(tabpy.query('run', _arg1)['response'])"
    assert server.evaluate(script, code).json == "{'a': [1, 2], 'b': 3}"


def test_a_function_that_sorts_its_argument_leaves_the_scripts_rows_alone(
    server: Server, name: str
) -> None:
    def sort(values: list[float]) -> list[float]:
        values.sort()
        return values

    assert deploy(server, name, sort).status == 201
    script = (
        f"ordered = tabpy.query('{name}', _arg1)['response']\n"
        "return [mine - other for mine, other in zip(_arg1, ordered)]"
    )
    assert server.evaluate(script, [3, 1, 2]).json == [2, -1, -1]


def test_a_script_that_changes_an_answer_changes_it_for_nobody_else(
    server: Server, name: str
) -> None:
    table = [1, 2]
    assert deploy(server, name, lambda: table).status == 201
    script = f"answer = tabpy.query('{name}')['response']\nanswer.append(9)\nreturn answer"
    for _ in range(3):
        assert server.evaluate(script).json == [1, 2, 9]
        assert server.query(name).json["response"] == [1, 2]


def test_two_names_of_one_function_are_two_functions(start: Start) -> None:
    server = start({"WEB_CONCURRENCY": "1", "TABPY_WORKERS": "1"})
    calls: list[int] = []

    def count() -> int:
        calls.append(1)
        return len(calls)

    archive = archive_of(count)
    for name in ("one", "two"):
        assert deploy(server, name, archive).status == 201
    answers = [server.query(name).json["response"] for name in ("one", "one", "two", "one")]
    assert answers == [1, 2, 1, 3]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("tabpy.query('divide', 1, 0)", "division by zero"),
        ("tabpy.query('divide')", "missing 2 required positional arguments"),
        ("tabpy.query('nosuch', 1)", "There is no function 'nosuch' on this server."),
        ("tabpy.query('\\ud800')", "There is no function '\ud800' on this server."),
        ("tabpy.query('run', 'import sys; sys.exit(3)')", "SystemExit : 3"),
    ],
)
def test_a_failing_call_in_a_script_tells_the_cause(server: Server, call: str, words: str) -> None:
    status, message, info = server.evaluate(f"x = 1\nreturn {call}").error
    assert (status, message) == (500, "Error processing script")
    assert info.startswith("FunctionError : ")
    assert words in info
    assert f"line 2: return {call}" in info
    script = f"try:\n    {call}\nexcept Exception as error:\n    return str(error)"
    assert words in server.evaluate(script).json


def test_scripts_call_functions_from_threads(server: Server) -> None:
    names = [f"threads {number}" for number in range(8)]
    for number, name in enumerate(names):
        assert deploy(server, name, lambda x, number=number: x * number).status == 201
    script = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(8) as threads:\n"
        "    calls = threads.map(lambda name: tabpy.query(name, 3)['response'], _arg1 * 20)\n"
        "    return list(calls)"
    )
    assert server.evaluate(script, names).json == [3 * number for number in range(8)] * 20


def test_threads_that_a_script_leaves_behind_are_not_in_the_way_of_its_reply(
    server: Server,
) -> None:
    script = (
        "import threading, time\n"
        "def ask():\n"
        "    number = 0\n"
        "    while number := number + 1:\n"
        "        try:\n"
        "            tabpy.query(f'nosuch{number}')\n"
        "        except Exception:\n"
        "            pass\n"
        "for _ in range(4):\n"
        "    threading.Thread(target=ask, daemon=True).start()\n"
        "time.sleep(0.02)\n"
        "return 'x' * 1_000_000"
    )
    for _ in range(8):
        reply = server.evaluate(script)
        assert (reply.status, len(reply.json)) == (200, 1_000_000)
        assert server.query("add", 1).json["response"] == 2


def test_scripts_call_what_was_deployed_last(server: Server, name: str) -> None:
    script = "return tabpy.query(_arg1, 1)['response']"
    deploy(server, name, lambda x: x + 1)
    assert [server.evaluate(script, name).json for _ in range(6)] == [2] * 6
    redeploy(server, name, lambda x: x + 2)
    assert [server.evaluate(script, name).json for _ in range(6)] == [3] * 6
    server.client().remove(name)
    for _ in range(6):
        assert "There is no function" in server.evaluate(script, name).error[2]


def test_functions_answer_where_scripts_are_not_allowed(start: Start) -> None:
    server = start({"WEB_CONCURRENCY": "1", "TABPY_EVALUATE_ENABLE": "false"})
    deploy(server, "add", add)
    assert server.evaluate("return 1").status == 404
    assert server.query("add", 3, 4).json["response"] == 7


def test_calls_while_a_function_is_deployed_anew_get_one_of_its_versions(
    server: Server, name: str
) -> None:
    deploy(server, name, lambda x: x)
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        deploying = threads.submit(
            lambda: [
                redeploy(server, name, lambda x, number=number: x + number).status
                for number in range(1, 6)
            ]
        )
        answers = [server.query(name, 0)]
        while not deploying.done():
            answers.append(server.query(name, 0))
        assert deploying.result() == [200] * 5
    assert {each.status for each in answers} == {200}
    values = [(each.json["response"], each.json["version"]) for each in answers]
    assert values == sorted(values)
    assert all(version == value + 1 for value, version in values)
