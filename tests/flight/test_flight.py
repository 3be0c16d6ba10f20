"""Arrow Flight as Prep speaks it: whole servers, and pyarrow's own client."""

import base64
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

import pyarrow as pa
from pyarrow import flight

from tests.flight.flying import BOTH, OTHER, FlightServer, User, table
from tests.running import PASSWORD, USER, basic, is_dead, until

Start = Callable[..., FlightServer]

DOUBLE = "_arg1['n'] *= 2\nreturn _arg1"


@pytest.fixture
def launch_flight(tmp_path: Path) -> Iterator[Start]:
    servers: list[FlightServer] = []

    def launch_one(settings: dict[str, str] | None = None, **options: Any) -> FlightServer:
        folder = tmp_path / f"server{len(servers)}"
        folder.mkdir()
        servers.append(FlightServer(folder, settings or {}, **options))
        return servers[-1]

    yield launch_one
    for each in servers:
        each.kill()


@pytest.fixture
def start_flight(launch_flight: Start) -> Start:
    def start_one(settings: dict[str, str] | None = None, **options: Any) -> FlightServer:
        running = launch_flight(settings, **options)
        running.wait_until_ready()
        return running

    return start_one


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlightServer]:
    """One server for all tests that leave it running, with two web processes."""
    settings = {"WEB_CONCURRENCY": "2", "TABPY_WORKERS": "2"}
    running = FlightServer(tmp_path_factory.mktemp("flight"), settings)
    running.wait_until_ready()
    yield running
    running.kill()


@pytest.fixture
def user(shared: FlightServer) -> User:
    made = shared.user()
    made.act("clear")
    return made


# Prep's flow


def test_two_users_flow_through_two_web_processes(shared: FlightServer) -> None:
    workers: set[int] = set()

    def flow(user: User, number: int) -> None:
        sent = table(n=[number, 1], name=[user.name, None])
        result = user.flow(f"import os\n_arg1['pid'] = os.getpid()\n{DOUBLE}", sent)
        workers.update(result["pid"].to_pylist())
        assert result.drop_columns("pid").to_pydict() == {
            "n": [2 * number, 2],
            "name": [user.name, None],
        }

    users = [shared.user(USER), shared.user(OTHER)]
    with ThreadPoolExecutor(4) as threads:
        for number in range(10):
            flows = [threads.submit(flow, user, number) for user in users for _ in range(2)]
            for each in flows:
                each.result()
    assert [user.paths() for user in users] == [[], []]
    assert len(workers) >= 4  # two users in two web processes, each with one worker of its own


def test_what_a_table_is_told_of(user: User) -> None:
    sent = table(n=[1, 2, 3], s=["x", None, "z"])
    user.put("p", sent)
    info = user.info("p")
    assert info.schema == sent.schema
    assert (info.total_records, info.descriptor.path) == (3, [b"p"])
    assert info.total_bytes > 0
    [endpoint] = info.endpoints
    assert endpoint.locations == []  # where the client is connected, behind any proxy
    assert endpoint.ticket.ticket != b"p"
    assert len(endpoint.ticket.ticket) >= 32
    assert user.client.get_schema(info.descriptor, user.options).schema == sent.schema
    assert user.paths() == ["p"]


def test_a_table_is_fetched_once(user: User) -> None:
    user.put("p", table(n=[1]))
    ticket = user.info("p").endpoints[0].ticket
    assert user.redeem(ticket).to_pydict() == {"n": [1]}
    assert user.paths() == []
    with pytest.raises(pa.ArrowKeyError, match="Flight not found"):
        user.redeem(ticket)


def test_a_command_names_a_table_too_and_another_takes_its_place(user: User) -> None:
    descriptor = flight.FlightDescriptor.for_command(b"cmd")
    for number in (1, 2):
        user.put_at(descriptor, table(n=[number]))
    [info] = user.client.list_flights(b"anything", user.options)
    assert info.descriptor.command == b"cmd"
    assert user.redeem(info.endpoints[0].ticket).to_pydict() == {"n": [2]}


def test_the_input_is_there_for_another_try_when_a_script_fails(user: User) -> None:
    user.put("p", table(n=[1]))
    failed = user.evaluate("1/0", "p")
    assert (failed.status, failed.json["message"]) == (500, "Error processing script")
    assert user.evaluate("pass", "p").body == b"null"
    unknown = user.evaluate("return 1", "p")
    assert (unknown.status, unknown.json["message"]) == (400, "Flight not found.")


def test_a_debugged_script_says_where_its_table_is(user: User) -> None:
    user.put("p", table(n=[1]))
    body = json.dumps({"script": "print('hello')\nreturn _arg1", "dataPath": "p"})
    reply = user.server.request("POST", "/evaluate?debug=true", body).json
    assert reply["printed"] == "hello\n"
    assert user.get(reply["response"]["outputDataPath"]).to_pydict() == {"n": [1]}


def test_large_tables_come_in_pieces(user: User) -> None:
    result = user.flow("return _arg1", table(n=range(200_000)))
    assert result.column("n").num_chunks > 1
    assert result.column("n").to_pylist() == [*range(200_000)]


def test_requests_without_a_table_are_as_ever(user: User) -> None:
    assert user.server.evaluate("return _arg1", [1]).json == [1]
    assert user.server.request("GET", "/info").json["versions"]["v1"]["features"]["arrow_enabled"]


def test_a_table_of_which_a_part_was_fetched_is_still_there(user: User) -> None:
    user.put("p", table(n=range(4_000_000)))
    reader = user.client.do_get(user.info("p").endpoints[0].ticket, user.options)
    assert reader.read_chunk().data.num_rows < 4_000_000
    reader.cancel()
    assert user.get("p").num_rows == 4_000_000
    assert user.paths() == []


def test_batches_may_have_dictionaries_of_their_own(user: User) -> None:
    batches = [
        pa.record_batch({"c": pa.array(texts).dictionary_encode()})
        for texts in (["x", None], ["y", "x"])
    ]
    user.put("p", pa.Table.from_batches(batches))
    assert user.get("p")["c"].to_pylist() == ["x", None, "y", "x"]


# Actions


def test_the_actions(user: User) -> None:
    assert user.actions() == ["getUniquePath", "clear", "healthcheck"]
    paths = {user.act("getUniquePath")[0] for _ in range(3)}
    assert len(paths) == 3
    assert {len(each) for each in paths} == {36}
    assert user.act("healthcheck") == []


def test_clear_and_listing_are_of_ones_own_tables(shared: FlightServer, user: User) -> None:
    other = shared.user(OTHER)
    other.act("clear")
    user.put("mine", table(n=[1]))
    other.put("theirs", table(n=[2]))
    ticket = other.info("theirs").endpoints[0].ticket
    assert (user.paths(), other.paths()) == (["mine"], ["theirs"])
    with pytest.raises(pa.ArrowKeyError, match="Flight not found"):
        user.redeem(ticket)
    with pytest.raises(pa.ArrowKeyError, match="Flight not found"):
        user.info("theirs")
    assert user.evaluate("return 1", "theirs").status == 400
    user.put("theirs", table(n=[3]))  # a table of one's own by this path
    user.act("clear")
    assert (user.paths(), other.paths()) == ([], ["theirs"])
    assert other.redeem(ticket).to_pydict() == {"n": [2]}


def test_nobody_shuts_the_server_down(user: User) -> None:
    with pytest.raises(flight.FlightUnauthorizedError, match="whoever runs the server stops it"):
        user.act("shutdown")
    assert user.act("healthcheck") == []


# What is refused, and how

BAD_TEXTS = pa.Array.from_buffers(
    pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\x05\0\0\0\x03\0\0\0"), pa.py_buffer(b"12345")]
)
CALLS: dict[str, Callable[[User], object]] = {
    "unknown action": lambda user: user.act("zzz"),
    "shutdown": lambda user: user.act("shutdown"),
    "unknown path": lambda user: user.info("nothing"),
    "unknown ticket": lambda user: user.redeem(flight.Ticket(b"('__import__',)")),
    "empty ticket": lambda user: user.redeem(flight.Ticket(b"")),
    "empty path": lambda user: user.put_at(flight.FlightDescriptor.for_path(), table(n=[1])),
    "endless path": lambda user: user.put(b"x" * 5000, table(n=[1])),
    "schema of nothing": lambda user: user.client.get_schema(
        flight.FlightDescriptor.for_path("nothing"), user.options
    ),
    "do_exchange": lambda user: user.client.do_exchange(
        flight.FlightDescriptor.for_path("p"), user.options
    )[1].read_all(),
    "a bad table": lambda user: user.put("p", table(s=BAD_TEXTS)),
    "no credentials": lambda user: list(user.client.list_flights()),
    "a wrong token": lambda user: User(
        user.server, USER, user.client, [(b"authorization", b"Bearer x")]
    ).paths(),
    "a wrong password": lambda user: user.client.authenticate_basic_token(USER, "wrong"),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_error_tells_a_client_nothing_of_the_server(user: User, name: str) -> None:
    with pytest.raises(pa.ArrowException) as refused:
        CALLS[name](user)
    said = str(refused.value)
    assert said.strip()
    for part in ("Traceback", 'File "', ".py", ".pyx", "site-packages", "0.0.0.0"):
        assert part not in said


def test_a_table_that_a_script_has_made_wrong_reaches_nobody(user: User) -> None:
    user.put("p", table(n=[1]))
    script = (
        "import pyarrow as pa\n"
        "offsets = pa.py_buffer(b'\\0\\0\\0\\0\\x05\\0\\0\\0\\x03\\0\\0\\0')\n"
        "bad = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b'12345')])\n"
        "return pa.table({'s': bad})"
    )
    reply = user.evaluate(script, "p")
    assert (reply.status, reply.json["message"]) == (500, "This is no Arrow table.")
    assert user.paths() == ["p"]


def test_tables_are_bounded_in_size_number_and_time(start_flight: Start) -> None:
    server = start_flight(
        {
            "TABPY_ARROW_MEMORY_MB": "2",
            "TABPY_ARROW_TABLES": "4",
            "TABPY_ARROW_TABLE_SECONDS": "3",
            "WEB_CONCURRENCY": "1",
        }
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


# Who may call


def test_a_bearer_is_short_lived_and_none_for_http(shared: FlightServer, user: User) -> None:
    name, value = user.bearer
    assert name == b"authorization"
    assert shared.user().bearer == user.bearer  # the same one for each sign-in
    refused = shared.request("GET", "/info", user=None, headers={"Authorization": value.decode()})
    assert refused.status == 401


def test_basic_goes_with_each_call_too_and_in_any_case(shared: FlightServer) -> None:
    header = basic(USER.upper(), PASSWORD).encode()
    user = User(shared, USER, shared.connect_flight(), [(b"authorization", header)])
    assert user.act("healthcheck") == []


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ([], "No credentials supplied"),
        ([(b"authorization", b"Negotiate x")], "No credentials supplied"),
        ([(b"authorization", b"Bearer x")], "Invalid credentials"),
        ([(b"authorization", b"Basic " + base64.b64encode(b"eve:x"))], "Invalid credentials"),
    ],
    ids=["none", "another scheme", "a wrong token", "an unknown user"],
)
def test_who_does_not_sign_in_is_told_so(
    shared: FlightServer, headers: list[tuple[bytes, bytes]], said: str
) -> None:
    user = User(shared, USER, shared.connect_flight(), headers)
    for call in (user.actions, user.paths, lambda: user.put("p", table(n=[1]))):
        with pytest.raises(flight.FlightUnauthenticatedError, match=said):
            call()


def test_a_changed_password_ends_the_tokens_of_its_user(start_flight: Start) -> None:
    server = start_flight({"WEB_CONCURRENCY": "1"})
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
        {
            "TABPY_USERNAME": "looker",
            "TABPY_PASSWORD": "not a real one",
            "TABPY_RIGHTS": "query",
            "WEB_CONCURRENCY": "1",
        }
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
    server = start_flight(
        {"TABPY_PWD_FILE": "-", "WEB_CONCURRENCY": "1"},
        users={},
        arguments=["--disable-auth-warning"],
    )
    user = User(server, "", server.connect_flight(), [])
    user.put("p", table(n=[1]))
    reply = server.request(
        "POST", "/evaluate", json.dumps({"script": DOUBLE, "dataPath": "p"}), user=None
    )
    stranger = User(server, "", server.connect_flight(), [(b"authorization", b"Bearer x")])
    assert stranger.get(reply.json["outputDataPath"]).to_pydict() == {"n": [2]}


def test_the_log_has_who_did_what_and_no_secret(shared: FlightServer, user: User) -> None:
    user.put("a-path", table(n=[1, 2]))
    ticket = user.info("a-path").endpoints[0].ticket.ticket.decode()
    with pytest.raises(pa.ArrowKeyError):
        user.info("nothing")
    [line] = shared.log_lines("msg=flight", "action=do_put", "rows=2")[-1:]
    assert f"user={USER}" in line
    assert "request_id=" in line
    assert shared.log_lines("level=warning", "action=get_flight_info", "error=UnknownTableError")
    for secret in (ticket, user.bearer[1].decode().split()[1], *BOTH.values()):
        assert secret not in shared.log


# Starts


def refusal(server: FlightServer) -> str:
    code, output = server.end()
    assert code == 2, output
    lines = [line for line in output.splitlines() if line.startswith("tabpy: ")]
    assert len(lines) == 1
    assert "Traceback" not in output
    return lines[0]


def test_a_taken_port_is_no_start(start_flight: Start, launch_flight: Start) -> None:
    first = start_flight({"WEB_CONCURRENCY": "1"})
    port = str(first.flight_port)
    line = refusal(launch_flight({"TABPY_ARROWFLIGHT_PORT": port}))
    assert f"TABPY_ARROWFLIGHT_PORT is {port}" in line
    assert first.user().act("healthcheck") == []


@pytest.mark.parametrize("port", ["0", "-1", "99999", "x"])
def test_a_port_that_is_none_is_no_start(launch_flight: Start, port: str) -> None:
    assert f"TABPY_ARROWFLIGHT_PORT is '{port}'" in refusal(
        launch_flight({"TABPY_ARROWFLIGHT_PORT": port})
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
    server = start_flight({"TABPY_ARROWFLIGHT_LOCATION": location, "WEB_CONCURRENCY": "1"})
    user = server.user()
    user.put("p", table(n=[1]))
    [found] = user.info("p").endpoints[0].locations
    assert found.uri == location.encode()


@pytest.mark.parametrize("enabled", [False, True], ids=["off", "on"])
def test_without_arrow_there_is_neither_pyarrow_nor_a_port(
    start_flight: Start, monkeypatch: pytest.MonkeyPatch, enabled: bool
) -> None:
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")  # a line for each module, in the log
    server = start_flight({"TABPY_ARROW_ENABLE": str(enabled).lower(), "WEB_CONCURRENCY": "1"})
    modules = {line.rpartition("|")[2].strip() for line in server.log_lines("import time:")}
    assert "tornado.web" in modules
    assert ("pyarrow" in modules) == enabled
    assert is_open(server.flight_port) == enabled


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# Deaths


def test_a_killed_flight_process_is_replaced(start_flight: Start) -> None:
    server = start_flight({"WEB_CONCURRENCY": "1"})
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
    server = start_flight({"WEB_CONCURRENCY": "1"})
    user = server.user()
    user.put("p", table(n=[1]))
    [web] = server.web_processes()
    web.kill()
    until(lambda: is_dead(web), "the web process is gone")
    server.wait_until_ready()
    reply = user.evaluate(DOUBLE, "p")
    assert user.get(reply.json["outputDataPath"]).to_pydict() == {"n": [2]}


def test_the_flight_process_ends_with_the_arbiter(start_flight: Start) -> None:
    server = start_flight({"WEB_CONCURRENCY": "1"})
    flying = server.flight_process()
    server.process.send_signal(signal.SIGKILL)
    until(lambda: is_dead(flying), "it has ended")


def test_a_stopping_server_finishes_scripts_that_have_tables(start_flight: Start) -> None:
    server = start_flight({"WEB_CONCURRENCY": "1"})
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
