"""Arrow Flight as Prep speaks it: whole servers, and pyarrow's own client."""

import base64
import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

if sys.platform != "linux":
    pytest.skip("Arrow Flight needs Linux", allow_module_level=True)
pytest.importorskip("pyarrow", reason="pyarrow isn't installed: pip install '.[flight]'")

import pyarrow as pa
from pyarrow import flight

from tests.flight.flying import BOTH, DOUBLE, OTHER, FlightServer, User, table
from tests.running import PASSWORD, USER, basic


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
