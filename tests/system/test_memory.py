"""What a script may take: memory, and time where a router or a restart doesn't wait."""

import concurrent.futures
import http.client
import json
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from tests.deploying import deploy, server_with
from tests.running import PASSWORD, USER, Reply, Server, basic, until

Start = Callable[..., Server]

ALLOWED_MB = 100
RESERVE_MB = 512 + ALLOWED_MB  # what one allocation may reserve on top: see workers/memory.py
BY_STEPS = "kept = []\nwhile True:\n    kept.append(bytearray(1 << 20))"
AT_ONCE = f"size = {RESERVE_MB + ALLOWED_MB + 100} << 20\nkept = bytearray(size)\nreturn len(kept)"
BEGUN = "import pathlib\npathlib.Path(_arg1).touch()\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {
        "WEB_CONCURRENCY": "1",
        "TABPY_WORKERS": "2",
        "TABPY_SCRIPT_MEMORY_MB": str(ALLOWED_MB),
        "TABPY_EVALUATE_TIMEOUT": "20",
    }
    running = Server(tmp_path_factory.mktemp("memory"), settings).wait_until_ready()
    yield running
    running.kill()


def failure(reply: Reply) -> str:
    status, message, info = reply.error
    assert (status, message) == (500, "Error processing script")
    assert isinstance(info, str)
    return info


# --- memory ---


def test_one_huge_allocation_is_a_memory_error_with_its_line(server: Server) -> None:
    info = failure(server.evaluate(AT_ONCE)).split("\n")
    assert info[:2] == ["MemoryError : ", "line 2: kept = bytearray(size)"]
    assert info[2] == "One script may take 100 MB here (TABPY_SCRIPT_MEMORY_MB)."
    assert server.evaluate("return 1").json == 1


def test_a_script_may_catch_its_memory_error(server: Server) -> None:
    script = f"try:\n    bytearray({RESERVE_MB * 4} << 20)\nexcept MemoryError:\n    return 'less'"
    assert server.evaluate(script).json == "less"


@pytest.mark.parametrize(
    "script",
    [
        BY_STEPS,
        "text = 'x'\nwhile True: text += text",
        "import itertools\nreturn list(itertools.count())",
        "import threading\nkept = []\n"
        "def grow():\n    while True: kept.append(bytearray(1 << 20))\n"
        "thread = threading.Thread(target=grow)\nthread.start()\nthread.join()\n"
        "return 'survived'",
    ],
    ids=["steps", "doubling", "list", "thread"],
)
def test_growing_without_end_is_stopped_and_says_what_is_allowed(
    server: Server, script: str
) -> None:
    info = failure(server.evaluate(script))
    assert "TABPY_SCRIPT_MEMORY_MB" in info
    assert "100 MB" in info
    assert [server.evaluate("return 1").json for _ in range(4)] == [1] * 4


def test_growing_by_steps_is_stopped_near_the_limit(server: Server) -> None:
    script = "import resource\n" + BY_STEPS.replace(
        "while True:",
        "while resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 400 << 10:",
    )
    info = failure(server.evaluate(script))
    assert info == (
        "The script's process was stopped, as it took more than 100 MB (TABPY_SCRIPT_MEMORY_MB), "
        "before it returned."
    )


def test_what_is_allowed_can_be_used(server: Server) -> None:
    script = f"kept = bytearray({ALLOWED_MB - 20} << 20)\nreturn len(kept) >> 20"
    assert [server.evaluate(script).json for _ in range(6)] == [ALLOWED_MB - 20] * 6


def test_others_are_answered_while_one_grows(server: Server) -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        for _ in range(3):
            growing = threads.submit(server.evaluate, BY_STEPS)
            answers = [server.evaluate("return _arg1", 7)]
            while not growing.done():
                answers.append(server.evaluate("return _arg1", 7))
            assert "TABPY_SCRIPT_MEMORY_MB" in failure(growing.result())
            assert {(each.status, each.json) for each in answers} == {(200, 7)}


def test_a_function_may_take_no_more_than_a_script(server: Server) -> None:
    def grow(step: int) -> int:
        kept = []
        while True:
            kept.append(bytearray(step))

    assert deploy(server, "grow", grow).status == 201
    status, _, info = server.query("grow", 1 << 20).error
    assert status == 500
    assert "100 MB (TABPY_SCRIPT_MEMORY_MB)" in info
    status, message, info = server.query("grow", 1 << 32).error
    assert (status, message) == (500, "Error querying function 'grow'")
    assert info.startswith("MemoryError : ")
    assert server.evaluate("return 1").json == 1


def test_loading_may_take_no_more_either(server: Server) -> None:
    grow = b"cbuiltins\neval\n(V[bytearray(1 << 20) for _ in iter(int, 1)]\ntR."
    status, message, info = deploy(server, "glutton", grow).error
    assert (status, message) == (400, "Function 'glutton' can't be loaded.")
    assert info.endswith("as it took more than 100 MB (TABPY_SCRIPT_MEMORY_MB).")
    assert server.evaluate("return 1").json == 1


def test_a_child_process_may_take_no_more_at_once_either(server: Server) -> None:
    script = (
        "import subprocess, sys\n"
        f"code = 'bytearray({RESERVE_MB * 4} << 20)'\n"
        "done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)\n"
        "return done.stderr"
    )
    assert "MemoryError" in server.evaluate(script).json


CHILDREN = """
import subprocess, sys
code = "kept = bytearray(60 << 20); print(flush=True); input()"
started = []
for _ in range(_arg1):
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    child.stdout.readline()
    started.append(child)
import threading
threading.Event().wait(0.5 if _arg1 == 1 else 10)
for child in started:
    child.communicate(b"\\n")
return "done"
"""


def test_child_processes_together_may_take_no_more(server: Server) -> None:
    assert server.evaluate(CHILDREN, 1).json == "done"
    assert "100 MB (TABPY_SCRIPT_MEMORY_MB)" in failure(server.evaluate(CHILDREN, 3))
    until(lambda: not leftovers(server), "its children are gone, too")


def leftovers(server: Server) -> list[psutil.Process]:
    return [each for worker in server.workers() for each in worker.children(recursive=True)]


def test_a_result_may_be_no_larger(server: Server) -> None:
    chunk = f"text = 'x' * ({ALLOWED_MB // 2 - 20} << 20)\nreturn "
    assert server.evaluate(chunk + "text").status == 200
    forged = (
        "import os, stat, struct\n"
        "def is_socket(fd):\n"
        "    try: return stat.S_ISSOCK(os.fstat(fd).st_mode)\n"
        "    except OSError: return False\n"
        "own = next(fd for fd in range(3, 99) if is_socket(fd))\n"
        "os.write(own, struct.pack('!cIQ', b'R', 2, 1 << 60))\n"
        "zeros = bytes(1 << 20)\n"
        "while True: os.write(own, zeros)"
    )
    info = failure(server.evaluate(forged))
    assert "its result is larger than 100 MB (TABPY_SCRIPT_MEMORY_MB)" in info
    assert server.evaluate("return 1").json == 1


@pytest.mark.parametrize(
    "work",
    ["while True: pass", "kept = bytearray(200 << 20)\n    threading.Event().wait()"],
    ids=["time", "memory"],
)
def test_an_idle_worker_does_nothing_behind_our_back(server: Server, work: str) -> None:
    script = (
        "import _thread, os, threading\n"
        f"def hidden():\n    threading.Event().wait(0.05)\n    {work}\n"
        "_thread.start_new_thread(hidden, ())\nreturn os.getpid()"
    )
    pid = server.evaluate(script).json
    until(lambda: not psutil.pid_exists(pid), "it was let go", seconds=5.0)
    assert server.evaluate("return 1").json == 1


# --- long scripts, behind a router that gives up on a reply that doesn't begin ---


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {
        "WEB_CONCURRENCY": "1",
        "TABPY_WORKERS": "1",
        "TABPY_EVALUATE_TIMEOUT": "2",
        "TABPY_LONG_SCRIPTS": "true",
    }
    command = server_with("tabpy.tabpy_server.web.handlers.job.BLANK_EVERY", 0.1)
    folder = tmp_path_factory.mktemp("patient")
    running = Server(folder, settings, command=command).wait_until_ready()
    yield running
    running.kill()


WAIT = "import threading\nthreading.Event().wait(0.5)\n"


def test_blanks_keep_the_router_waiting_until_the_result(patient: Server) -> None:
    body = json.dumps({"script": WAIT + "return _arg1", "data": {"_arg1": [1, 2]}})
    connection = http.client.HTTPConnection("127.0.0.1", patient.port, timeout=30)
    try:
        headers = {"Authorization": basic(USER, PASSWORD)}
        started = time.monotonic()
        for _ in range(2):  # the connection is as good as new afterwards
            connection.request("POST", "/evaluate", body, headers)
            response = connection.getresponse()
            assert response.status == 200
            assert response.headers["Content-Type"] == "application/json"
            assert response.read(1) == b" "
            assert time.monotonic() - started < 0.5, "before the script has ended"
            text = response.read()
            assert re.fullmatch(rb" {2,}\[1,2\]", text)
            started = time.monotonic()
    finally:
        connection.close()


def test_a_short_scripts_reply_has_no_blanks(patient: Server) -> None:
    reply = patient.evaluate("return [1]")
    assert (reply.status, reply.body) == (200, b"[1]")
    assert patient.evaluate("return 1 / 0").status == 500


@pytest.mark.parametrize(
    ("script", "message", "words"),
    [
        (WAIT + "return 1 / 0", "Error processing script", "ZeroDivisionError : division by zero"),
        (WAIT + "import os; os._exit(3)", "Error processing script", "exit code 3"),
        ("while True: pass", "User defined script timed out. Timeout is set to 2.0 s.", "stopped"),
    ],
    ids=["raises", "dies", "endless"],
)
def test_a_long_script_that_fails_says_so_in_the_body(
    patient: Server, script: str, message: str, words: str
) -> None:
    reply = patient.evaluate(script)
    assert reply.status == 200  # it was sent with the first blank
    assert reply.body.startswith(b"  ")
    assert set(reply.json) == {"message", "info"}
    assert reply.json["message"] == message
    assert words in reply.json["info"]
    assert patient.evaluate("return 1").json == 1


def test_a_long_answer_that_the_client_has_already_is_sent_in_full(patient: Server) -> None:
    def slow(seconds: float) -> int:
        import threading

        threading.Event().wait(seconds)
        return 7

    assert deploy(patient, "slow", slow).status == 201
    tags: list[str | None] = []

    def has_tag() -> bool:
        """Whether it answered before its reply had to begin: loading it may take long."""
        tags.append(patient.query("slow", 0).headers["Etag"])
        return tags[-1] is not None

    until(has_tag, "it answers at once")
    headers = {"If-None-Match": str(tags[-1])}
    assert patient.query("slow", 0, headers=headers).status == 304
    assert patient.query("slow", 0.5, headers=headers).json["response"] == 7


# --- a restart ---


def begin(threads: concurrent.futures.ThreadPoolExecutor, server: Server, script: str) -> Any:
    """A script that runs: the future of its reply."""
    note = server.notes / "begun"
    reply = threads.submit(server.evaluate, BEGUN + script, str(note))
    until(note.exists, "it has begun")
    return reply


def queue(
    threads: concurrent.futures.ThreadPoolExecutor, server: Server, count: int
) -> list[concurrent.futures.Future[Reply]]:
    replies = [threads.submit(server.evaluate, "return 1") for _ in range(count)]
    metric = re.compile(rb"^tabpy_jobs_waiting\S* (\d+)", re.MULTILINE)

    def waiting() -> int:
        return sum(map(int, metric.findall(server.request("GET", "/metrics").body)))

    until(lambda: waiting() == count, "all wait for a worker")
    return replies


def test_what_waits_when_the_server_stops_is_run_if_there_is_time(start: Start) -> None:
    server = start({"WEB_CONCURRENCY": "1", "TABPY_WORKERS": "1"})
    gate = server.folder / "gate"
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        script = f"gate = pathlib.Path({str(gate)!r})\nwhile not gate.exists(): pass\nreturn 'done'"
        running = begin(threads, server, script)
        waiting = queue(threads, server, 3)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: refuses_connections(server), "it stops")
        assert not any(each.done() for each in (running, *waiting))
        gate.touch()
        assert running.result().json == "done"
        for each in waiting:
            assert each.result().json == 1
            assert each.result().headers["Connection"] == "close"
    assert server.end()[0] == 0


def test_what_still_waits_when_time_is_up_is_told_to_come_again(start: Start) -> None:
    settings = {"WEB_CONCURRENCY": "1", "TABPY_WORKERS": "1", "TABPY_EVALUATE_TIMEOUT": "25"}
    command = server_with("tabpy.tabpy_server.settings.Settings.drain_timeout", 0.5)
    server = start(settings, command=command)
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        begin(threads, server, "while True: pass")
        waiting = queue(threads, server, 3)
        server.process.send_signal(signal.SIGTERM)
        for each in waiting:
            reply = each.result()
            assert reply.error[:2] == (503, "The server is restarting.")
            assert int(reply.headers["Retry-After"]) > 0
            assert reply.headers["Connection"] == "close"
    assert server.end()[0] == 0


def refuses_connections(server: Server) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_script_that_is_still_running_when_time_is_up_is_told_too(start: Start) -> None:
    settings = {"WEB_CONCURRENCY": "1", "TABPY_WORKERS": "1", "TABPY_EVALUATE_TIMEOUT": "25"}
    command = server_with("tabpy.tabpy_server.settings.Settings.drain_timeout", 0.5)
    server = start(settings, command=command)
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        running = begin(threads, server, "while True: pass")
        server.process.send_signal(signal.SIGTERM)
        reply = running.result()
    assert reply.error[:2] == (503, "The server is restarting.")
    assert int(reply.headers["Retry-After"]) > 0
    assert server.end()[0] == 0


def test_a_deploy_under_way_when_the_server_stops_is_finished(start: Start) -> None:
    server = start({"WEB_CONCURRENCY": "1", "TABPY_WORKERS": "1"})
    begun, gate = server.notes / "begun", server.notes / "gate"

    class Gated:
        def __init__(self) -> None:
            self.begun, self.gate = str(begun), str(gate)

        def __call__(self) -> int:
            return 7

        def __setstate__(self, state: dict[str, str]) -> None:
            import pathlib

            pathlib.Path(state["begun"]).touch()
            while not pathlib.Path(state["gate"]).exists():
                pass

    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        deploying = threads.submit(deploy, server, "gated", Gated())
        until(begun.exists, "it is being loaded")
        server.process.send_signal(signal.SIGTERM)
        gate.touch()
        assert deploying.result().status == 201
    assert server.end()[0] == 0
