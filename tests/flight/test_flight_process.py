"""The process that has Arrow tables: what a server's settings make of it, starts and deaths."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

if sys.platform != "linux":
    pytest.skip("Arrow Flight needs Linux", allow_module_level=True)
pytest.importorskip("pyarrow", reason="pyarrow isn't installed: pip install '.[flight]'")

from pyarrow import flight

from tests.flight.flying import DOUBLE, OTHER, FlightServer, User, table
from tests.running import USER, is_dead, until

Start = Callable[..., FlightServer]


@pytest.fixture
def launch_flight(tmp_path: Path) -> Iterator[Start]:
    servers: list[FlightServer] = []

    def launch_one(options: dict[str, Any] | None = None, **settings: str) -> FlightServer:
        folder = tmp_path / f"server{len(servers)}"
        folder.mkdir()
        given = {"WEB_CONCURRENCY": "1", **settings}
        servers.append(FlightServer(folder, given, **options or {}))
        return servers[-1]

    yield launch_one
    for each in servers:
        each.kill()


@pytest.fixture
def start_flight(launch_flight: Start) -> Start:
    def start_one(options: dict[str, Any] | None = None, **settings: str) -> FlightServer:
        running = launch_flight(options, **settings)
        running.wait_until_ready()
        return running

    return start_one


# Settings


def test_tables_are_bounded_in_size_number_and_time(start_flight: Start) -> None:
    server = start_flight(
        TABPY_ARROW_MEMORY_MB="2", TABPY_ARROW_TABLES="4", TABPY_ARROW_TABLE_SECONDS="3"
    )
    user = server.user()
    with pytest.raises(flight.FlightServerError, match="half of TABPY_ARROW_MEMORY_MB"):
        user.put("p", table(n=range(200_000)))
    user.put("p", table(n=[1]))
    user.put("q", table(n=[1]))
    with pytest.raises(flight.FlightServerError, match="half of TABPY_ARROW_TABLES"):
        user.put("r", table(n=[1]))
    server.user(OTHER).put("p", table(n=[1]))
    large = user.evaluate("return {'n': range(200_000)}", "p")
    assert (large.status, "half of TABPY_ARROW_MEMORY_MB" in large.json["info"]) == (500, True)
    until(lambda: user.paths() == [], "tables end by themselves")
    metrics = server.request("GET", "/metrics").body.decode()
    assert "\ntabpy_tables " in metrics
    assert 'tabpy_processes{role="flight"} 1.0' in metrics


def test_a_changed_password_ends_the_tokens_of_its_user(start_flight: Start) -> None:
    server = start_flight()
    user, other = server.user(), server.user(OTHER)
    command = [sys.executable, "-m", "tabpy.commands.user", "update", "-u", USER, "-p", "another"]
    file = server.environment["TABPY_PWD_FILE"]
    subprocess.run([*command, "-f", file], check=True, capture_output=True)

    def ended() -> bool:
        try:
            user.act("healthcheck")
        except flight.FlightUnauthenticatedError:
            return True
        return False

    until(ended, "the token has ended")
    assert other.act("healthcheck") == []


def test_who_may_not_evaluate_has_no_tables(start_flight: Start) -> None:
    server = start_flight(
        TABPY_USERNAME="looker", TABPY_PASSWORD="not a real one", TABPY_RIGHTS="query"
    )
    client = server.connect_flight()
    looker = User(
        server, "looker", client, [client.authenticate_basic_token("looker", "not a real one")]
    )
    assert looker.act("healthcheck") == []
    for call in (looker.paths, lambda: looker.put("p", table(n=[1])), lambda: looker.act("clear")):
        with pytest.raises(flight.FlightUnauthorizedError, match="needs the right 'evaluate'"):
            call()


def test_on_an_open_server_everybody_is_one(start_flight: Start) -> None:
    open_to_all = {"users": {}, "arguments": ["--disable-auth-warning"]}
    server = start_flight(open_to_all, TABPY_PWD_FILE="-")
    user = User(server, "", server.connect_flight(), [])
    user.put("p", table(n=[1]))
    reply = server.request(
        "POST", "/evaluate", json.dumps({"script": DOUBLE, "dataPath": "p"}), user=None
    )
    stranger = User(server, "", server.connect_flight(), [(b"authorization", b"Bearer x")])
    assert stranger.get(reply.json["outputDataPath"]).to_pydict() == {"n": [2]}


# Starts


def refusal(server: FlightServer) -> str:
    code, output = server.end()
    assert code == 2, output
    lines = [line for line in output.splitlines() if line.startswith("tabpy: ")]
    assert len(lines) == 1
    assert "Traceback" not in output
    return lines[0]


def test_a_taken_port_is_no_start(start_flight: Start, launch_flight: Start) -> None:
    first = start_flight()
    port = str(first.flight_port)
    line = refusal(launch_flight(TABPY_ARROWFLIGHT_PORT=port))
    assert f"TABPY_ARROWFLIGHT_PORT is {port}" in line
    assert first.user().act("healthcheck") == []


@pytest.mark.parametrize("port", ["0", "-1", "99999", "x"])
def test_a_port_that_is_none_is_no_start(launch_flight: Start, port: str) -> None:
    assert f"TABPY_ARROWFLIGHT_PORT is '{port}'" in refusal(
        launch_flight(TABPY_ARROWFLIGHT_PORT=port)
    )


def test_a_pyarrow_that_cannot_be_imported_is_no_start(
    launch_flight: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyarrow").mkdir()
    (tmp_path / "pyarrow" / "__init__.py").write_text("raise ImportError('of another machine')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    line = refusal(launch_flight())
    assert line.endswith("Arrow Flight doesn't start: ImportError: of another machine")


def test_a_location_is_told_where_one_is_set(start_flight: Start) -> None:
    location = "grpc+tls://tabpy.example.com:443"
    server = start_flight(TABPY_ARROWFLIGHT_LOCATION=location)
    user = server.user()
    user.put("p", table(n=[1]))
    [found] = user.info("p").endpoints[0].locations
    assert found.uri == location.encode()


@pytest.mark.parametrize("enabled", [False, True], ids=["off", "on"])
def test_without_arrow_there_is_neither_pyarrow_nor_a_port(
    start_flight: Start, monkeypatch: pytest.MonkeyPatch, enabled: bool
) -> None:
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")  # a line for each module, in the log
    server = start_flight(TABPY_ARROW_ENABLE=str(enabled).lower())
    modules = {line.rpartition("|")[2].strip() for line in server.log_lines("import time:")}
    assert "tornado.web" in modules
    assert ("pyarrow" in modules) == enabled
    assert is_open(server.flight_port) == enabled


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# Deaths


def test_a_killed_flight_process_is_replaced(start_flight: Start) -> None:
    server = start_flight()
    user = server.user()
    user.put("p", table(n=[1]))
    killed = server.flight_process()
    killed.kill()
    # Who asks meanwhile waits for the next one, which doesn't have the table.
    assert user.evaluate("return _arg1", "p").status == 400
    assert server.flight_process().pid != killed.pid
    assert server.log_lines("The flight process has died")
    assert server.user().flow(DOUBLE, table(n=[1])).to_pydict() == {"n": [2]}


def test_a_killed_web_process_takes_no_table_along(start_flight: Start) -> None:
    server = start_flight()
    user = server.user()
    user.put("p", table(n=[1]))
    [web] = server.web_processes()
    web.kill()
    until(lambda: is_dead(web), "the web process is gone")
    server.wait_until_ready()
    reply = user.evaluate(DOUBLE, "p")
    assert user.get(reply.json["outputDataPath"]).to_pydict() == {"n": [2]}


def test_the_flight_process_ends_with_the_arbiter(start_flight: Start) -> None:
    server = start_flight()
    flying = server.flight_process()
    server.process.send_signal(signal.SIGKILL)
    until(lambda: is_dead(flying), "it has ended")


def test_a_stopping_server_finishes_scripts_that_have_tables(start_flight: Start) -> None:
    server = start_flight()
    user = server.user()
    user.put("p", table(n=[1]))
    started = server.notes / "started"
    script = (
        f"import pathlib, time\npathlib.Path({str(started)!r}).touch()\ntime.sleep(0.5)\n"
        "return _arg1"
    )
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(user.evaluate, script, "p")
        until(started.exists, "the script runs")
        for each in server.tree():  # as a platform does it
            with contextlib.suppress(psutil.NoSuchProcess):  # a worker may end by itself
                each.send_signal(signal.SIGTERM)
        assert "outputDataPath" in running.result().json
    assert server.process.wait(20) == 0
