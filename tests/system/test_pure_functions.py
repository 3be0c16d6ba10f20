"""Pure functions: the same call of one user runs once, whoever dies, deploys or goes meanwhile."""

import json
import os
import re
import secrets
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.deploying import deploy, redeploy, server_with
from tests.running import PASSWORD, USER, Reply, Server, basic, is_dead, until

OTHER, OTHERS_PASSWORD = "quinn", "not: another real one"


def slow(folder: str, what: Any) -> Any:
    """Note who runs it, and end when somebody says so."""
    with Path(folder, "runs").open("a") as runs:
        runs.write(f"{os.getpid()}\n")
    while not Path(folder, "go").exists():
        time.sleep(0.01)
    return [1, what]


def slow_2(folder: str, what: Any) -> Any:
    with Path(folder, "runs").open("a") as runs:
        runs.write(f"{os.getpid()}\n")
    return [2, what]


def add(a: float, b: float) -> float:
    return a + b


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One web process with some workers, that keeps results."""
    settings = {
        "WEB_CONCURRENCY": "1",
        "TABPY_WORKERS": "4",
        "TABPY_RESULT_CACHE_MB": "1",
        "TABPY_MODELS_PATH": "",
    }
    users = {USER: PASSWORD, OTHER: OTHERS_PASSWORD}
    # It would notice its own changes once more, a moment later, and drop what it has.
    blind = server_with("tabpy.tabpy_server.functions.store.watch.COUNTER_INTERVAL", 3600)
    folder = tmp_path_factory.mktemp("pure")
    running = Server(folder, settings, users=users, command=blind).wait_until_ready()
    yield running
    running.kill()


class Calls:
    """Calls of a slow function `name`, each the same, that go on at the same time."""

    def __init__(self, server: Server, threads: ThreadPoolExecutor, folder: Path) -> None:
        self.server = server
        self.name = f"slow {secrets.token_hex(4)}"
        self._threads = threads
        self._folder = folder
        self.body = json.dumps({"data": [str(folder), "x"]})
        deploy_pure(server, self.name, slow)

    @property
    def runs(self) -> list[int]:
        """The pids of the workers that have begun it."""
        runs = self._folder / "runs"
        return [int(line) for line in runs.read_text().split()] if runs.exists() else []

    def begin(self, *, user: str = USER, password: str = PASSWORD) -> Future[Reply]:
        """Begin one that has to run."""
        there = len(self.runs)
        call = self._threads.submit(
            self.server.request,
            "POST",
            f"/query/{self.name.replace(' ', '%20')}",
            self.body,
            user=user,
            password=password,
        )
        until(lambda: len(self.runs) > there, "it runs")
        return call

    def join(self) -> Future[Reply]:
        """Begin one that waits for another."""
        there = counted(self.server, "joined")
        call = self._threads.submit(
            self.server.request, "POST", f"/query/{self.name.replace(' ', '%20')}", self.body
        )
        until(lambda: counted(self.server, "joined") == there + 1, "it waits for the other")
        return call

    def begin_and_leave(self) -> Callable[[], None]:
        """Begin one that has to run; return what has its client leave."""
        there = len(self.runs)
        client = socket.create_connection(("127.0.0.1", self.server.port))
        head = (
            f"POST /query/{self.name.replace(' ', '%20')} HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: {basic(USER, PASSWORD)}\r\nContent-Length: {len(self.body)}\r\n\r\n"
        )
        client.sendall((head + self.body).encode())
        until(lambda: len(self.runs) > there, "it runs")
        return client.close

    def let_end(self) -> None:
        (self._folder / "go").touch()


def deploy_pure(server: Server, name: str, function: Callable[..., Any]) -> None:
    assert deploy(server, name, function, pure=True).status == 201
    server.request("GET", "/endpoints")  # now its web process knows of it


def counted(server: Server, way: str) -> int:
    text = server.request("GET", "/metrics").body.decode()
    found = re.search(rf'^tabpy_pure_calls_total{{result="{way}"}} (\S+)$', text, re.MULTILINE)
    return int(float(found[1])) if found else 0


@pytest.fixture
def calls(server: Server) -> Iterator[Calls]:
    folder = server.notes / secrets.token_hex(4)
    folder.mkdir()
    with ThreadPoolExecutor(8) as threads:
        made = Calls(server, threads, folder)
        yield made
        made.let_end()


def test_the_same_calls_run_once(calls: Calls) -> None:
    waiting = [calls.begin(), calls.join(), calls.join()]
    calls.let_end()
    replies = [each.result() for each in waiting]
    assert len(calls.runs) == 1
    assert [each.status for each in replies] == [200] * 3
    assert len({each.body for each in replies}) == 1
    assert replies[0].json["response"] == [1, "x"]
    assert [each.headers["Cache-Status"] for each in replies] == [
        "TabPy; fwd=miss; stored",
        *["TabPy; fwd=miss; collapsed"] * 2,
    ]


def test_another_user_has_a_run_of_their_own(calls: Calls) -> None:
    waiting = [calls.begin(), calls.begin(user=OTHER, password=OTHERS_PASSWORD)]
    calls.let_end()
    uuids = {each.result().json["uuid"] for each in waiting}
    assert (len(calls.runs), len(set(calls.runs)), len(uuids)) == (2, 2, 2)


def test_a_worker_that_is_killed_fails_those_who_waited_and_nobody_else(calls: Calls) -> None:
    waiting = [calls.begin(), calls.join()]
    os.kill(calls.runs[0], signal.SIGKILL)
    for each in waiting:
        status, _, info = each.result().error
        assert status == 500
        assert "SIGKILL" in info
    again = calls.begin()
    calls.let_end()
    assert (again.result().status, len(calls.runs)) == (200, 2)


def test_who_comes_after_a_new_version_gets_its_result(calls: Calls) -> None:
    server = calls.server
    before = calls.begin()
    assert redeploy(server, calls.name, slow_2, pure=True).status == 200
    after = calls.begin().result()
    calls.let_end()
    assert (after.json["version"], after.json["response"]) == (2, [2, "x"])
    assert (before.result().json["version"], before.result().json["response"]) == (1, [1, "x"])
    kept = server.query(calls.name, *json.loads(calls.body)["data"])
    assert (kept.json["version"], kept.headers["Cache-Status"][:10]) == (2, "TabPy; hit")


def test_it_runs_on_for_the_others_when_a_client_leaves(calls: Calls) -> None:
    leave = calls.begin_and_leave()
    other = calls.join()
    leave()
    until(
        lambda: calls.server.log_lines("status=499", "cache=miss"),
        "the server notices that the client has gone",
    )
    calls.let_end()
    assert other.result().json["response"] == [1, "x"]
    assert len(calls.runs) == 1


def test_it_is_stopped_when_the_last_client_has_left(calls: Calls) -> None:
    leave = calls.begin_and_leave()
    worker = psutil.Process(calls.runs[0])
    leave()
    until(lambda: is_dead(worker), "the worker is killed")


# --- results that are kept ---


def status(reply: Reply) -> str:
    said: str | None = reply.headers["Cache-Status"]
    return (said or "").partition("; ttl")[0]


MISS, HIT = "TabPy; fwd=miss; stored", "TabPy; hit"


def test_a_result_is_kept_for_its_user_until_something_changes(server: Server) -> None:
    name = f"add {secrets.token_hex(4)}"
    deploy_pure(server, name, add)
    mine = [server.query(name, 1, 2) for _ in range(2)]
    assert [status(each) for each in mine] == [MISS, HIT]
    assert mine[0].body == mine[1].body
    other = {"user": OTHER, "password": OTHERS_PASSWORD}
    theirs = [server.query(name, 1, 2, **other) for _ in range(2)]
    assert [status(each) for each in theirs] == [MISS, HIT]
    assert theirs[1].body != mine[1].body  # the uuid tells
    assert status(server.query(name, 1, 3)) == MISS

    assert redeploy(server, name, add, pure=True).status == 200
    changed = server.query(name, 1, 2)
    assert (status(changed), changed.json["version"]) == (MISS, 2)
    server.client().rollback(name, 1)
    assert server.query(name, 1, 2).json["version"] == 1


def test_a_wrong_claim_is_taken_back_at_once(server: Server) -> None:
    name = f"add {secrets.token_hex(4)}"
    deploy_pure(server, name, add)
    assert [status(server.query(name, 1, 2)) for _ in range(2)] == [MISS, HIT]
    server.client().update_endpoint_info(name, pure=False)
    assert [status(server.query(name, 1, 2)) for _ in range(2)] == ["", ""]
    assert server.client().get_endpoints()[name].pure is False


def test_an_alias_is_as_pure_as_its_target(server: Server) -> None:
    name = f"add {secrets.token_hex(4)}"
    deploy_pure(server, name, add)
    server.client().deploy_alias(f"{name} alias", name)
    server.request("GET", "/endpoints")
    assert [status(server.query(f"{name} alias", 1, 2)) for _ in range(2)] == [MISS, HIT]


def test_figures_and_log_tell(server: Server) -> None:
    name = f"add {secrets.token_hex(4)}"
    deploy_pure(server, name, add)
    before = counted(server, "hit")
    server.query(name, 1, 2)
    server.query(name, 1, 2)
    assert counted(server, "hit") == before + 1
    text = server.request("GET", "/metrics").body.decode()
    found = re.search(r"^tabpy_result_cache_bytes (\S+)$", text, re.MULTILINE)
    assert found is not None
    assert float(found[1]) > 0
    assert server.log_lines(f"/query/{name.replace(' ', '%20')}", "cache=hit", "run_ms=0.0")


def test_the_same_call_of_a_function_that_is_not_pure_runs_each_time(server: Server) -> None:
    name = f"add {secrets.token_hex(4)}"
    deploy(server, name, add)
    server.request("GET", "/endpoints")
    replies = [server.query(name, 1, 2) for _ in range(2)]
    assert [status(each) for each in replies] == ["", ""]
    assert replies[0].json["uuid"] != replies[1].json["uuid"]
