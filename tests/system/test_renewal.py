"""What a new Python breaks is known before it is called; a new version takes over quietly."""

import concurrent.futures
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from sqlalchemy import text

from tabpy.commands import check
from tabpy.tabpy_server.functions.store.database import open_engine
from tabpy.tabpy_tools.custom_query_object import CustomQueryObject
from tests.deploying import FORM, archive_of, deploy, lines, redeploy, server_with, upload
from tests.running import PASSWORD, PATIENCE, USER, Server, until

Start = Callable[..., Server]

# A server that takes itself for another version, and so what it has stored for unchecked.
RENEWED = (
    sys.executable,
    "-c",
    "import tabpy; tabpy.__version__ += '.renewed'; import tabpy.__main__ as m; m.main()",
)
MODULE = """
from tabpy.tabpy_tools.endpoint import endpoint

@endpoint(name="from models")
def f(x):
    return x
"""


class Needy:
    """A function that can be loaded only while a file is there."""

    def __init__(self, file: Path) -> None:
        self.file = str(file)

    def __call__(self, x: int) -> int:
        return x

    def __setstate__(self, state: dict[str, str]) -> None:
        with open(state["file"]):  # noqa: PTH123 - runs in a worker
            self.__dict__.update(state)


def with_code(function: Callable[..., Any]) -> bytes:
    """The archive that TabPy's own client would send: with the function's bytecode."""
    made: bytes = cloudpickle.dumps(CustomQueryObject(function))
    return made


def set_python(state: Path, name: str, python: str) -> None:
    """Have the store say that a function was deployed from another Python."""
    engine = open_engine("", state)
    try:
        with engine.begin() as connection:
            row = {"name": name}
            query = "SELECT code FROM tabpy_versions WHERE name = :name"
            code = json.loads(connection.execute(text(query), row).scalar_one())
            row["code"] = json.dumps({**code, "python": python})
            connection.execute(
                text("UPDATE tabpy_versions SET code = :code WHERE name = :name"), row
            )
    finally:
        engine.dispose()


def statuses(server: Server) -> dict[str, tuple[str, str | None]]:
    told = server.request("GET", "/status").json
    return {name: (each["status"], each["last_error"]) for name, each in told.items()}


def on_page(server: Server, *words: str) -> bool:
    page = server.request("GET", "/").body.decode()
    return all(word in page for word in words)


def test_a_new_python_breaks_nothing_in_silence(
    launch: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes, state, models = (tmp_path / name for name in ("notes", "state", "models"))
    for folder in (notes, models):
        folder.mkdir()
    needed = notes / "needed"
    needed.touch()
    (models / "mine.py").write_text(MODULE)
    settings = {
        "TABPY_STATE_PATH": str(state),
        "TABPY_MODELS_PATH": str(models),
        "TABPY_SCRIPT_WRITE": str(notes),
        "WEB_CONCURRENCY": "2",
        "TABPY_WORKERS": "1",
    }
    server = launch(settings).wait_until_ready()
    python = ".".join(map(str, sys.version_info[:3]))
    assert deploy(server, "fine", with_code(lambda x: -x)).status == 201
    assert deploy(server, "old", with_code(lambda x: x), python=python).status == 201
    assert deploy(server, "needy", Needy(needed)).status == 201
    until(lambda: "from models" in statuses(server), "what is in models/ is deployed")
    assert {status for status, _ in statuses(server).values()} == {"LoadSuccessful"}
    server.stop()

    needed.unlink()
    set_python(state, "old", "3.9.1")
    set_python(state, "from models", "3.9.1")
    server = launch(settings, command=RENEWED).wait_until_ready()
    until(
        lambda: "LoadInProgress" not in {status for status, _ in statuses(server).values()},
        "all have been checked",
    )
    told = statuses(server)
    assert {name for name, (status, _) in told.items() if status == "LoadFailed"} == {
        "needy",
        "old",
    }
    assert "FileNotFoundError" in str(told["needy"][1])
    assert "3.9" in str(told["old"][1])
    assert server.request("GET", "/endpoints/from%20models").json["version"] == 2

    for name in ("needy", "old"):
        [line] = server.log_lines("level=warning", f"Function '{name}' can't be loaded: ")
        assert str(told[name][1])[:20] in line
    until(lambda: on_page(server, "needy", "old"), "the page names them")
    until(
        lambda: b"\ntabpy_functions_broken 2.0\n" in server.request("GET", "/metrics").body,
        "it is counted",
    )
    assert check.main([f"http://127.0.0.1:{server.port}", "-u", USER, "-p", PASSWORD]) == 1
    assert "2 of 4 can't be loaded: needy (Loading it raised" in capsys.readouterr().out

    assert redeploy(server, "old", with_code(lambda x: x + 1)).status == 200
    assert statuses(server)["old"] == ("LoadSuccessful", None)
    needed.touch()
    assert server.query("needy", 1).json["response"] == 1
    until(lambda: statuses(server)["needy"] == ("LoadSuccessful", None), "a call is noticed")
    with lines(server) as processes:
        told_by_each = [each.request("GET", "/status").body for each in processes]
    assert len(told_by_each) == 2
    assert len(set(told_by_each)) == 1


def test_callers_notice_nothing_of_twenty_redeployments(start: Start) -> None:
    server = start({"WEB_CONCURRENCY": "2", "TABPY_WORKERS": "2"})
    # Made beforehand: the client takes longer to look through all modules of the tests.
    versions = [with_code(lambda number=number: number) for number in range(21)]
    deploy(server, "f", versions[0])
    acknowledged, over = [0], threading.Event()

    def call() -> int:
        calls = 0
        while not over.wait(0.02):  # or they would have the whole machine
            at_least = acknowledged[0]
            reply = server.query("f")
            assert reply.status == 200, reply.body
            assert at_least <= reply.json["response"] <= acknowledged[0] + 1
            calls += 1
        return calls

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        callers = [threads.submit(call) for _ in range(8)]
        try:
            for number in range(1, 21):
                assert redeploy(server, "f", versions[number]).status == 200
                acknowledged[0] = number
        finally:
            over.set()
        assert all(each.result() > 0 for each in callers)


class Noted:
    """A function that notes the process in which it is loaded."""

    def __init__(self, note: Path, number: int) -> None:
        self.note = str(note)
        self.number = number

    def __call__(self) -> int:
        return self.number

    def __setstate__(self, state: dict[str, Any]) -> None:
        import os

        with open(state["note"], "a") as note:  # noqa: PTH123 - runs in a worker
            print(state["number"], os.getpid(), file=note)
        self.__dict__.update(state)


def test_a_new_version_is_loaded_in_the_workers_that_call_it_before_it_answers(
    start: Start,
) -> None:
    patient = server_with("tabpy.tabpy_server.functions.renewal.PATIENCE", PATIENCE)
    server = start({"WEB_CONCURRENCY": "2", "TABPY_WORKERS": "1"}, command=patient)
    until(lambda: len(server.web_processes()) == 2, "both web processes are there")
    note = server.notes / "note"

    def loaded(number: int) -> set[str]:
        lines = [line.split() for line in note.read_text().splitlines()]
        return {pid for version, pid in lines if version == str(number)}

    with lines(server) as processes:
        deploy(server, "f", Noted(note, 1))
        checked = loaded(1)
        for each in processes:
            assert each.request("POST", "/query/f", '{"data": []}').json["response"] == 1
        workers = loaded(1) - checked
        assert len(workers) == 2

        archive = upload({}, archive_of(Noted(note, 2)))
        assert processes[0].request("PUT", "/endpoints/f", archive, FORM).status == 200
        assert loaded(2) >= workers
        for each in processes:
            assert each.request("POST", "/query/f", '{"data": []}').json["response"] == 2
        assert len(loaded(2)) == 3, "once each, and once for the check"
