"""POST /evaluate, as Tableau and Prep call it, and what a script may and may not do."""

import concurrent.futures
import gzip
import http.client
import json
import secrets
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psutil
import pytest

from tabpy.tabpy_server.workers.worker import missing_packages
from tests.running import PASSWORD, USER, Reply, Server, basic, is_dead, until

DATABASE_PASSWORD = secrets.token_hex(8)


@pytest.fixture(scope="module")
def lone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose only worker gets one request after the other."""
    settings = {
        "WEB_CONCURRENCY": "1",
        "TABPY_WORKERS": "1",
        "TABPY_EVALUATE_TIMEOUT": "3",
        "TABPY_LOG_LEVEL": "DEBUG",
        "TABPY_USERNAME": "second",
        "TABPY_PASSWORD": PASSWORD,
        "TABPY_DATABASE_URL": f"postgres://somebody:{DATABASE_PASSWORD}@db.invalid/data",
        "TABPY_SCRIPT_ENV": "EIA_*",
        "EIA_API_KEY": "made up",
    }
    running = Server(tmp_path_factory.mktemp("lone"), settings).wait_until_ready()
    yield running
    running.kill()


def post(server: Server, request: Mapping[str, Any], **headers: str) -> Reply:
    return server.request("POST", "/evaluate", json.dumps(request), headers=headers)


def failure(reply: Reply) -> list[str]:
    """The lines that tell a script's author what went wrong."""
    status, message, info = reply.error
    assert (status, message) == (500, "Error processing script")
    lines: list[str] = info.split("\n")
    return lines


# --- what Tableau sends ---


def test_testing_a_connection(server: Server) -> None:
    info = server.request("GET", "/info").json
    assert set(info) == {
        "description", "creation_time", "state_path", "server_version", "name", "versions",
    }  # fmt: skip
    assert info["creation_time"] == "0"
    assert info["versions"]["v1"]["features"] == {
        "authentication": {"required": True, "methods": {"basic-auth": {}}},
        "evaluate_enabled": True,
        "gzip_enabled": True,
        "arrow_enabled": False,
    }
    assert str(server.folder) not in json.dumps(info)
    probe = post(server, {"script": "return int(1)", "data": {"_arg1": [4]}})
    assert (probe.status, probe.body) == (200, b"1")
    assert probe.headers["Content-Type"] == "application/json"


def test_a_script_sees_its_tableau_user_and_writes_to_the_log(lone: Server) -> None:
    # differences 17
    script = (
        "tabpy.logger.warning('for %s', tabpy.headers['TabPy-User'])\n"
        "return [*tabpy.headers.values()]"
    )
    sent = {"TabPy-User": "anna", "TabPy-Client": "Tableau", "X-Request-Id": "of-anna"}
    assert lone.evaluate(script, headers=sent).json == ["anna", "Tableau"]
    (line,) = lone.log_lines("msg=logged", "request_id=of-anna")
    assert "level=warning" in line
    assert 'text="for anna"' in line


def test_what_a_script_logs_before_it_fails_is_in_the_log(lone: Server) -> None:
    # differences 17
    lone.evaluate("tabpy.logger.error('about to')\n1 / 0", headers={"X-Request-Id": "failing"})
    assert lone.log_lines("level=error", "msg=logged", "request_id=failing")


def test_scripts_see_the_variables_that_a_setting_names(lone: Server) -> None:
    # differences 3
    script = "import os\nreturn [os.environ.get(each) for each in _arg1]"
    assert lone.evaluate(script, ["EIA_API_KEY", "TABPY_PORT"]).json == ["made up", None]


@pytest.mark.parametrize(
    "value",
    [
        [1.5, -2.0, 1e300],
        [1, 2, 9_007_199_254_740_993],
        2**70,
        [True, False],
        ["a", "ä€ 🔑", 'q"\\', "\u2028"],
        [None, 1.5],
        [],
        3,
        "text",
        None,
        {"a": [1, 2], "b": ["x", None]},
    ],
)
def test_values_reach_the_script_and_come_back_as_they_are(server: Server, value: Any) -> None:
    assert server.evaluate("return _arg1", value).json == value


def test_arguments_have_python_types(server: Server) -> None:
    script = "return [type(each).__name__ for each in _arg1] + [_arg2, _arg3]"
    reply = server.evaluate(script, [1, 1.0, True, "x", None], 7, "scalar")
    assert reply.json == ["int", "float", "bool", "str", "NoneType", 7, "scalar"]


def test_numbers_that_are_none_become_null(server: Server) -> None:
    script = "return [float('nan'), float('inf'), -float('inf'), 1.0, [float('nan')]]"
    reply = server.evaluate(script)
    assert reply.body == b"[null,null,null,1.0,[null]]"


@pytest.mark.parametrize("token", ["NaN", "Infinity"])
def test_bare_tokens_in_data_are_read(server: Server, token: str) -> None:
    body = f'{{"script": "return [str(x) for x in _arg1]", "data": {{"_arg1": [{token}]}}}}'
    reply = server.request("POST", "/evaluate", body)
    assert reply.json == [{"NaN": "nan", "Infinity": "inf"}[token]]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("np.float64(1.5)", 1.5),
        ("np.int64(7)", 7),
        ("np.bool_(True)", True),
        ("np.str_('x')", "x"),
        ("np.array([1.5, np.nan, np.inf])", [1.5, None, None]),
        ("np.arange(6).reshape(2, 3)[:, 1]", [1, 4]),
        ("np.array(['a', 'b'])", ["a", "b"]),
        ("np.array(['a', None], dtype=object)", ["a", None]),
        ("[np.float32(0.5), np.nan]", [0.5, None]),
        ("np.array(['2024-02-29', 'NaT'], 'M8[D]')", ["2024-02-29T00:00:00", None]),
        ("pd.Series([1.5, None])", [1.5, None]),
        ("pd.Series([1, None], dtype='Int64')", [1, None]),
        ("pd.Series(['a', None, 'a'], dtype='category')", ["a", None, "a"]),
        ("pd.Series(pd.to_datetime(['2024-02-29', None]))", ["2024-02-29T00:00:00", None]),
        ("pd.Index([3, 4])", [3, 4]),
        ("pd.NA", None),
        ("pd.NaT", None),
        ("pd.Timestamp('2024-02-29 12:30')", "2024-02-29T12:30:00"),
        ("pd.DataFrame({'a': [1, 2], 'b': ['x', None]})", {"a": [1, 2], "b": ["x", None]}),
        ("pd.DataFrame()", {}),
        ("pd.DataFrame({'a': [1]}).to_dict(orient='list')", {"a": [1]}),
        ("(each * 2 for each in [1, 2])", [2, 4]),
        ("map(str, [1, 2])", ["1", "2"]),
        ("{1: 'a'}.values()", ["a"]),
        ("(1, 2)", [1, 2]),
        ("datetime.date(2024, 2, 29)", "2024-02-29"),
        ("datetime.datetime(2024, 2, 29, 12)", "2024-02-29T12:00:00"),
        ("decimal.Decimal('1.5')", 1.5),
    ],
)
def test_what_libraries_return_becomes_plain_json(
    server: Server, expression: str, expected: Any
) -> None:
    imports = "import datetime, decimal, numpy as np, pandas as pd"
    assert server.evaluate(f"{imports}\nreturn {expression}").json == expected


@pytest.mark.parametrize("expression", ["object()", "len", "1j", "[lambda: 0]"])
def test_what_has_no_form_in_json_is_named(server: Server, expression: str) -> None:
    lines = failure(server.evaluate(f"return {expression}"))
    assert lines[0].startswith("TypeError : The script returned a")
    assert "return numbers, strings" in lines[0]


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/x-www-form-urlencoded", "text/plain", "x"]
)
def test_the_content_type_makes_no_difference(server: Server, content_type: str) -> None:
    request = {"script": "return _arg1", "data": {"_arg1": ["a=1&b=2"]}}
    assert post(server, request, **{"Content-Type": content_type}).json == ["a=1&b=2"]


def test_a_gzipped_request(server: Server) -> None:
    body = gzip.compress(json.dumps({"script": "return _arg1", "data": {"_arg1": [1]}}).encode())
    reply = server.request("POST", "/evaluate", body, headers={"Content-Encoding": "gzip"})
    assert reply.json == [1]


@pytest.mark.parametrize(
    "request_",
    [
        {"script": "return 1"},
        {"script": "return 1", "data": {}},
        {"script": "return 1", "data": None},
    ],
)
def test_data_may_be_absent(server: Server, request_: dict[str, Any]) -> None:
    assert post(server, request_).json == 1


@pytest.mark.parametrize("script", ["# nothing yet", "# one\n\n# two\n", "pass", "x = 1", "return"])
def test_a_script_that_returns_nothing_gives_null(server: Server, script: str) -> None:
    assert server.evaluate(script).body == b"null"


def test_bursts_of_identical_requests_are_all_answered(server: Server) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        replies = threads.map(lambda number: server.evaluate("return _arg1", [number]), range(40))
        assert [reply.json for reply in replies] == [[number] for number in range(40)]


def test_a_large_request_comes_back_whole(server: Server) -> None:
    column = [float(number) for number in range(200_000)]
    assert server.evaluate("return _arg1", column).json == column


# --- Prep and table extensions ---

PREP_WRAPPER = """
execution_result = {function}(pd.DataFrame(_arg1))
return execution_result.to_dict(orient='list') if isinstance(execution_result, pd.DataFrame) \
else execution_result
"""


def test_preps_wrapper_leaves_the_text_of_strings_alone(server: Server) -> None:
    file = (
        "import pandas as pd\n"
        'TEXT = """first\n'
        "  second, indented by two\n"
        "\tthird, by a tab\n"
        'fourth\u2028same line\x0c of Python"""\n'
        "def helper(frame):\n"
        "    '''Of several\n"
        "lines.'''\n"
        "    return frame.assign(text=TEXT)\n"
        "def step(frame):\n"
        "    # a comment\n"
        "    return helper(frame)\n"
    )
    reply = server.evaluate(file + PREP_WRAPPER.format(function="step"), {"a": [1, 2]})
    text = (
        "first\n  second, indented by two\n\tthird, by a tab\nfourth\u2028same line\x0c of Python"
    )
    assert reply.json == {"a": [1, 2], "text": [text, text]}


def test_a_table_extension_gets_a_dictionary_of_columns(server: Server) -> None:
    script = "import pandas as pd\nframe = pd.DataFrame(_arg1)\nreturn frame[frame.a > 1]"
    reply = server.evaluate(script, {"a": [1, 2, 3], "b": ["x", None, "z"]})
    assert reply.json == {"a": [2, 3], "b": [None, "z"]}


def test_a_table_extension_without_input_gets_no_argument(server: Server) -> None:
    script = "import pandas as pd\nreturn pd.DataFrame({'made': [1, 2]})"
    assert post(server, {"script": script, "data": {}}).json == {"made": [1, 2]}


@pytest.mark.parametrize(
    "script",
    [
        "  x = _arg1\n  return x",
        "\treturn _arg1",
        "    # first a comment\n    return _arg1\n",
        "\r\n  x = _arg1\r\n  return x\r\n",
        "from __future__ import annotations\nx: Undefined = _arg1\nreturn x",
        "def f():\n  nonlocal_ = _arg1\n  return nonlocal_\nreturn f()",
        "return [x for x in [_arg1] if x == _arg1][0]",
        "async def f(): return _arg1\nimport asyncio\nreturn asyncio.run(f())",
        "global shared\nshared = _arg1\ndef f(): return shared\nreturn f()",
        "return _arg1;",
        "class A:\n    value = _arg1\nreturn A.value",
    ],
)
def test_scripts_as_people_write_them(server: Server, script: str) -> None:
    assert server.evaluate(script, "right").json == "right"


# --- what the author of a failing script is told ---


@pytest.mark.parametrize(
    ("script", "lines"),
    [
        ("x = 1\nreturn x / 0", ["ZeroDivisionError : division by zero", "line 2: return x / 0"]),
        (
            "# \u2028 one line\nreturn undefined",
            ["NameError : name 'undefined' is not defined", "line 2: return undefined"],
        ),
        (
            "  a = 1\n  return a + ''",
            [
                "TypeError : unsupported operand type(s) for +: 'int' and 'str'",
                "line 2: return a + ''",
            ],
        ),
        (
            "def inner(x):\n    return 1 / x\n\ndef outer(x):\n    return inner(x)\n\n"
            "return outer(_arg1[0])",
            [
                "ZeroDivisionError : division by zero",
                "line 2, in inner: return 1 / x",
                "called from line 5, in outer: return inner(x)",
                "called from line 7: return outer(_arg1[0])",
            ],
        ),
        (
            "import json\nreturn json.loads('x')",
            [
                "JSONDecodeError : Expecting value: line 1 column 1 (char 0)",
                "line 2: return json.loads('x')",
            ],
        ),
        (
            "return (1 / each for each in [1, 0])",
            [
                "ZeroDivisionError : division by zero",
                "line 1: return (1 / each for each in [1, 0])",
            ],
        ),
        ("class Own(Exception): pass\nraise Own(1)", ["Own : 1", "line 2: raise Own(1)"]),
        ("import sys\nsys.exit()", ["SystemExit : ", "line 2: sys.exit()"]),
        ("import sys\nsys.exit('bye')", ["SystemExit : bye", "line 2: sys.exit('bye')"]),
        ("quit()", ["SystemExit : None", "line 1: quit()"]),
        ("raise KeyboardInterrupt", ["KeyboardInterrupt : ", "line 1: raise KeyboardInterrupt"]),
        ("x = 1\nx = (\n", ["SyntaxError : '(' was never closed", "line 2: x = ("]),
        ("x = 1\n\nx ==== 2", ["SyntaxError : invalid syntax", "line 3: x ==== 2"]),
        ("  x = 1\n  x ==== 2", ["SyntaxError : invalid syntax", "line 2: x ==== 2"]),
        (
            "if True:\nreturn 1",
            [
                "IndentationError : expected an indented block after 'if' statement on line 1",
                "line 2: return 1",
            ],
        ),
        ("x = 1\nbreak", ["SyntaxError : 'break' outside loop", "line 2: break"]),
        (
            "import no",
            [
                "ModuleNotFoundError : No module named 'no'",
                f"It isn't installed here. {missing_packages.cure('no')}",
                "line 1: import no",
            ],
        ),
        (
            "from json import nosuch",
            [
                "ImportError : cannot import name 'nosuch' from 'json'",
                "line 1: from json import nosuch",
            ],
        ),
    ],
)  # fmt: skip
def test_class_text_and_line_of_what_failed(server: Server, script: str, lines: list[str]) -> None:
    assert failure(server.evaluate(script, [0])) == lines


@pytest.mark.parametrize(
    "script",
    [
        "import numpy as np\nreturn np.array([1, 2]) + np.array([1, 2, 3])",
        "import pandas as pd\nreturn pd.DataFrame({'a': [1]})['b']",
        "import pandas as pd\nreturn pd.read_csv(_arg1)",
        "from pandas import nosuch",
        "import json\nreturn json.dumps(object())",
        "import nosuch",
        "return object()",
        "return (undefined for _ in range(2))",
        "class Bad(Exception):\n    def __str__(self): raise ValueError\nraise Bad",
        "def f(): return f()\nreturn f()",
        "x = (",
        "raise ExceptionGroup('several', [ValueError('one'), KeyError('two')])",
        "try:\n    1 / 0\nexcept ZeroDivisionError as cause:\n    raise ValueError('x') from cause",
        "import warnings\nwarnings.warn('x')\nimport os\nos._exit(3)",
    ],
)
def test_no_error_shows_a_file_of_the_server(server: Server, script: str) -> None:
    info = "\n".join(failure(server.evaluate(script, "no such file")))
    for place in ("site-packages", "tabpy/", "/lib", "python3", "Traceback", str(server.folder)):
        assert place not in info


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("import os\nos._exit(3)", "ended with exit code 3"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        ("import ctypes\nctypes.string_at(1)", "SIGSEGV"),
        (
            "import os\nfor fd in range(3, 100):\n    try: os.close(fd)\n    except OSError: pass",
            "",
        ),
    ],
)
def test_a_script_that_takes_its_process_with_it_costs_only_itself(
    lone: Server, script: str, reason: str
) -> None:
    assert reason in failure(lone.evaluate(script))[0]
    assert lone.evaluate("return 1").json == 1


DEEP = """
import sys
sys.setrecursionlimit(10**9)
class Deep:
    def __repr__(self): return repr([self])
return repr(Deep())
"""


def test_recursion_without_end_costs_only_itself(lone: Server) -> None:
    info = failure(lone.evaluate("def f(n): return f(n + 1) + 1\nreturn f(0)"))
    assert info[0].startswith("RecursionError : ")
    assert len(info) < 15
    assert lone.evaluate(DEEP).status in (500, 408)
    assert lone.evaluate("return 1").json == 1


def test_printing_without_end_fills_neither_memory_nor_log(lone: Server) -> None:
    before = len(lone.log)
    script = "for _ in range(200): print('x' * 100_000)\nreturn 'done'"
    assert lone.evaluate(script).json == "done"
    assert len(lone.log) - before < 100_000
    assert lone.evaluate("while True: print('x' * 100_000)").status == 408


def test_raw_writes_to_standard_streams_reach_nobody(lone: Server) -> None:
    mark = secrets.token_hex(8)
    script = f"import os\nfor fd in (1, 2): os.write(fd, b'{mark}')\nreturn os.read(0, 10).decode()"
    assert lone.evaluate(script).json == ""
    assert mark not in lone.log


# --- one request after another ---

BUILTIN = "return len([1])"


@pytest.mark.parametrize(
    ("leave", "look"),
    [
        ("global left\nleft = 1", "return 'left' in globals()"),
        ("global _arg7\n_arg7 = 1", "return '_arg7' in globals()"),
        ("tabpy.left = 1", "return hasattr(tabpy, 'left')"),
        ("__builtins__['len'] = lambda _: 7", BUILTIN),
        ("import builtins\nbuiltins.len = lambda _: 7", BUILTIN),
        ("import builtins\nbuiltins.left = 1", "return 'left' in dir(__import__('builtins'))"),
        ("import os\nos.chdir('/')", "import os\nreturn os.getcwd()"),
        ("import os\nos.environ['LEFT'] = 'x'", "import os\nreturn dict(os.environ)"),
        ("import os\nos.environ.clear()", "import os\nreturn dict(os.environ)"),
        ("import sys\nsys.path.insert(0, '/left')", "import sys\nreturn sys.path"),
        ("import sys\nsys.path = []", "import sys\nreturn sys.path"),
        ("import sys\nsys.stdout = None", "import sys\nprint('x')\nreturn repr(sys.stdout)[:20]"),
        ("import sys\nsys.setrecursionlimit(90)", "import sys\nreturn sys.getrecursionlimit()"),
        (
            "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_DFL)\nsignal.alarm(1)",
            "import signal\nreturn signal.getitimer(signal.ITIMER_REAL)",
        ),
        (
            "import signal\nsignal.setitimer(signal.ITIMER_PROF, 60)",
            "import signal\nreturn signal.getitimer(signal.ITIMER_PROF)",
        ),
        (
            "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_DFL)",
            "import signal\nreturn signal.getsignal(signal.SIGTERM).name",
        ),
        ("import os\nos.umask(0o77)", "import os\nreturn os.umask(0)"),
        (
            "import os, time\nos.environ['TZ'] = 'XYZ-9'\ntime.tzset()",
            "import time\nreturn [time.tzname, time.localtime(0).tm_hour]",
        ),
        (
            "import decimal\ndecimal.getcontext().prec = 3",
            "import decimal\nreturn decimal.getcontext().prec",
        ),
        (
            "import warnings\nwarnings.simplefilter('error')",
            "import warnings\nreturn [repr(each) for each in warnings.filters]",
        ),
        (
            "import numpy as np\nnp.seterr(all='raise')\nnp.set_printoptions(precision=1)",
            "import numpy as np\nreturn [np.geterr(), repr(np.array([1.23]))]",
        ),
        (
            "import pandas as pd\npd.set_option('display.max_rows', 3)",
            "import pandas as pd\nreturn pd.get_option('display.max_rows')",
        ),
        (
            "import threading, time\n"
            "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
            "import threading\nreturn threading.active_count()",
        ),
        (
            "import subprocess\nsubprocess.Popen(['sleep', '60'])",
            "import pathlib\nreturn pathlib.Path('/proc/thread-self/children').read_text()",
        ),
    ],
)
def test_a_script_finds_nothing_that_another_has_left(lone: Server, leave: str, look: str) -> None:
    before = lone.evaluate(look).json
    assert lone.evaluate(leave).status == 200
    assert lone.evaluate(look).json == before


DRAW = "import random, numpy\nreturn [random.random(), numpy.random.rand()]"
SEED = "import random, numpy\nrandom.seed(1)\nnumpy.random.seed(1)\n"


def test_random_numbers_do_not_repeat_in_new_workers(server: Server) -> None:
    draws: list[float] = []
    for _ in range(2 * len(server.workers())):
        draws += server.evaluate(DRAW).json
        server.evaluate("import os\nos._exit(3)")
    assert len(set(draws)) == len(draws)


def test_random_numbers_do_not_follow_the_seed_of_another_script(lone: Server) -> None:
    rest = "return [random.random() for _ in range(9)] + numpy.random.rand(9).tolist()"
    sequence = lone.evaluate(SEED + rest).json
    assert lone.evaluate(SEED + "return 1").json == 1
    assert not set(lone.evaluate(DRAW).json) & set(sequence)
    assert lone.evaluate(SEED + rest).json == sequence


def test_a_server_whose_folder_is_removed_goes_on(start: Callable[..., Server]) -> None:
    begin = (
        "import os, sys\nos.mkdir('gone')\nos.chdir('gone')\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'tabpy'])"
    )
    settings = {"WEB_CONCURRENCY": "1", "TABPY_WORKERS": "1"}
    server = start(settings, command=[sys.executable, "-c", begin])
    worker = server.evaluate("import os\nreturn os.getpid()").json
    (server.folder / "gone").rmdir()
    for _ in range(3):
        assert server.evaluate("return 1").json == 1
    workers = [server.evaluate("import os\nreturn os.getpid()").json for _ in range(3)]
    assert worker not in workers  # what it can't have back, a fresh one doesn't miss
    assert len(set(workers)) == 1


def test_arguments_of_one_request_are_not_the_next_ones(lone: Server) -> None:
    assert lone.evaluate("_arg1.append(_arg2)\nreturn _arg1", [1], 2).json == [1, 2]
    assert failure(lone.evaluate("return _arg1"))[0].startswith("NameError : name '_arg1'")


# --- secrets ---


def secrets_of(server: Server) -> list[bytes]:
    """What no script may find: passwords, their hashes, and what a request carries."""
    hashed = (server.folder / "pwd.txt").read_text().split()[1]
    header = basic(USER, PASSWORD).removeprefix("Basic ")
    return [each.encode() for each in (PASSWORD, hashed, header, DATABASE_PASSWORD)]


@pytest.mark.parametrize(
    "script",
    [
        "import os\nreturn dict(os.environ)",
        "import pathlib\nreturn pathlib.Path('/proc/self/environ').read_text()",
        "import os\nreturn [open(f'/proc/{os.getppid()}/environ').read()]",
        "import os\nreturn [os.readlink(f'/proc/self/fd/{fd}') for fd in range(3)]",
    ],
    ids=["os.environ", "own /proc", "parent's /proc", "descriptors"],
)
def test_no_secret_is_in_a_scripts_environment(lone: Server, script: str) -> None:
    reply = lone.evaluate(script)
    assert reply.status == 200
    assert not [secret for secret in secrets_of(lone) if secret in reply.body]


DUMP_MEMORY = r"""
import re
with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory, \
        open(_arg1, "wb") as dump:
    for line in maps:
        region = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
        if region and "[v" not in line:
            start, end = (int(each, 16) for each in region.groups())
            memory.seek(start)
            try:
                dump.write(memory.read(end - start))
            except OSError:
                pass
"""


def test_no_secret_is_anywhere_in_a_workers_memory(lone: Server) -> None:
    dump = lone.notes / "memory"
    mark = secrets.token_hex(8)
    assert lone.evaluate(f"global mark\nmark = '{mark}'\n" + DUMP_MEMORY, str(dump)).status == 200
    memory = dump.read_bytes()
    assert mark.encode() in memory  # what is there is found
    assert not [secret for secret in secrets_of(lone) if secret in memory]


# root may look into any process; without its capabilities (prctl's PR_CAPBSET_DROP) it's like
# anybody else whose server and scripts run under one name.
ORDINARY = """
import ctypes, os, sys
for capability in range(64):
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-m", "tabpy"])
"""


@pytest.mark.parametrize("confinement", ["auto", "off"])
def test_a_script_cannot_look_into_the_servers_processes(
    start: Callable[..., Server], confinement: str
) -> None:
    settings = {"WEB_CONCURRENCY": "1", "TABPY_SCRIPT_CONFINEMENT": confinement}
    server = start(settings, command=[sys.executable, "-c", ORDINARY])
    look = "with open(f'/proc/{_arg1}/{_arg2}', 'rb') as file: pass"
    for file in ("environ", "mem", "maps"):
        for process in (server.psutil, *server.psutil.children()):
            assert failure(server.evaluate(look, process.pid, file))[0].startswith(
                "PermissionError"
            )


# --- clients that leave, and what is printed ---


def test_a_client_that_leaves_stops_its_script(server: Server) -> None:
    note = server.notes / "pid"
    script = (
        "import os, pathlib\n"
        "draft = pathlib.Path(_arg1 + '.draft')\n"
        "draft.write_text(str(os.getpid()))\n"
        "draft.rename(_arg1)\n"
        "while True: pass"
    )
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    body = json.dumps({"script": script, "data": {"_arg1": str(note)}})
    headers = {"Authorization": basic(USER, PASSWORD), "X-Request-Id": "leaves-early"}
    connection.request("POST", "/evaluate", body, headers)
    until(note.exists, "the script runs")
    worker = psutil.Process(int(note.read_text()))
    connection.close()
    until(lambda: is_dead(worker), "its worker is gone", seconds=5)  # the time-out is 10 s
    until(lambda: server.log_lines("leaves-early", "status=499"), "the log says so")


def test_what_a_script_prints_is_in_the_log_at_debug_with_the_requests_id(lone: Server) -> None:
    mark = secrets.token_hex(8)
    script = f"import sys\nprint('{mark}', 1)\nprint('second', file=sys.stderr)\nreturn 1"
    reply = post(lone, {"script": script}, **{"X-Request-Id": f"id-{mark}"})
    assert reply.json == 1
    [line] = lone.log_lines("msg=printed", mark + " 1")
    assert f"request_id=id-{mark}" in line
    assert "second" in line
    assert "level=debug" in line


def test_what_a_failing_script_prints_is_in_the_log_too(lone: Server) -> None:
    mark = secrets.token_hex(8)
    failure(lone.evaluate(f"print('{mark}'.upper())\nreturn 1 / 0"))
    assert lone.log_lines("msg=printed", mark.upper())


def test_to_debug_a_script_sends_what_it_prints(server: Server) -> None:
    body = json.dumps({"script": "print('one')\nreturn _arg1", "data": {"_arg1": [1, 2.5]}})
    reply = server.request("POST", "/evaluate?debug=true", body)
    assert reply.json == {"response": [1, 2.5], "printed": "one\n"}
    body = json.dumps({"script": "print('two')\ndef f():\n    {}['x']\nf()"})
    reply = server.request("POST", "/evaluate?debug=true", body)
    assert (reply.status, reply.json) == (
        500,
        {
            "message": "Error processing script",
            "info": "KeyError : 'x'\nline 3, in f: {}['x']\ncalled from line 4: f()",
            "printed": "two\n",
            "trace": "Traceback (most recent call last):\n"
            '  File "<script>", line 4\n    f()\n'
            "  File \"<script>\", line 3, in f\n    {}['x']\n"
            "KeyError: 'x'",
        },
    )


def test_memory_that_ran_out_has_a_traceback_too(server: Server) -> None:
    body = json.dumps({"script": "x = 1\nraise MemoryError"})
    reply = server.request("POST", "/evaluate?debug=true", body)
    assert "TABPY_SCRIPT_MEMORY_MB" in reply.json["info"]
    assert reply.json["trace"].endswith("line 2\n    raise MemoryError\nMemoryError")


def test_what_a_script_prints_is_nobodys_business_otherwise(server: Server) -> None:
    mark = secrets.token_hex(8)
    assert server.evaluate(f"print('{mark}')\nreturn 1").json == 1
    assert mark not in server.log


@pytest.mark.parametrize(
    "start",
    [
        "child = subprocess.Popen(['sleep', '60'])",
        "child = multiprocessing.get_context('fork').Process(target=time.sleep, args=(60,))\n"
        "child.start()",
    ],
    ids=["a program", "a fork"],
)
def test_what_a_script_starts_ends_when_it_is_terminated(server: Server, start: str) -> None:
    imports = "import multiprocessing, os, signal, subprocess, time\n"
    end = "\nos.kill(child.pid, signal.SIGTERM)\nreturn os.WTERMSIG(os.waitpid(child.pid, 0)[1])"
    assert server.evaluate(imports + start + end).json == signal.SIGTERM
