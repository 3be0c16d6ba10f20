"""Large requests and results, on a whole server: what they are, what they cost, who goes."""

import concurrent.futures
import gzip
import json
import socket
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.running import PASSWORD, USER, Server, basic, until

if sys.platform != "linux":
    pytest.skip("memory that processes pass on is Linux's", allow_module_level=True)

MB = 1 << 20
NUMBERS = [each / 7 for each in range(300_000)]  # 5 MB
DOUBLE = "return [x * 2 for x in _arg1]"
DOUBLED = [each * 2 for each in NUMBERS]
BODY = json.dumps({"script": DOUBLE, "data": {"_arg1": NUMBERS}}).encode()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(
        tmp_path_factory.mktemp("server"),
        {
            "WEB_CONCURRENCY": "2",
            "TABPY_WORKERS": "1",
            "TABPY_MAX_REQUEST_SIZE_MB": "12",
            "TABPY_EVALUATE_TIMEOUT": "20",
        },
    )
    try:
        yield made.wait_until_ready()
    finally:
        made.kill()


def evaluate(server: Server, body: bytes = BODY, **options: Any) -> Any:
    reply = server.request("POST", "/evaluate", body, **options)
    assert reply.status == 200, reply
    return reply.json


def memories(server: Server) -> int:
    """How many descriptors of such memory the server's processes have."""
    return sum(
        "tabpy-body" in name or "tabpy-result" in name
        for process in server.tree()
        for name in names_of(process.pid)
    )


def names_of(pid: int) -> Iterator[str]:
    for each in Path(f"/proc/{pid}/fd").iterdir():
        try:
            yield str(each.readlink())
        except FileNotFoundError:
            continue


def nothing_is_left(server: Server) -> None:
    until(lambda: memories(server) == 0, "no memory of a request is left")


def test_a_large_column_comes_back_doubled(server: Server) -> None:
    assert evaluate(server) == DOUBLED
    nothing_is_left(server)


def test_a_large_result_of_a_small_request(server: Server) -> None:
    body = json.dumps({"script": "return list(range(200_000))", "data": {}}).encode()
    assert evaluate(server, body) == [*range(200_000)]
    nothing_is_left(server)


def test_a_large_request_with_a_small_result(server: Server) -> None:
    body = BODY.replace(DOUBLE.encode(), b"return sum(_arg1)")
    assert evaluate(server, body) == pytest.approx(sum(NUMBERS))
    nothing_is_left(server)


def test_gzip_both_ways(server: Server) -> None:
    headers = {"Content-Encoding": "gzip", "Accept-Encoding": "gzip"}
    reply = server.request("POST", "/evaluate", gzip.compress(BODY, 1), headers=headers)
    assert reply.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(reply.body)) == DOUBLED
    nothing_is_left(server)


def test_a_body_in_chunks(server: Server) -> None:
    pieces = (BODY[at : at + 100_000] for at in range(0, len(BODY), 100_000))
    reply = server.request("POST", "/evaluate", pieces)
    assert reply.json == DOUBLED


def test_what_was_printed_is_in_a_large_reply(server: Server) -> None:
    body = BODY.replace(DOUBLE.encode(), b"print('hi')\\n" + DOUBLE.encode())
    reply = server.request("POST", "/evaluate?debug=true", body)
    assert reply.json == {"response": DOUBLED, "printed": "hi\n"}


def test_two_web_processes_at_once(server: Server) -> None:
    with concurrent.futures.ThreadPoolExecutor(6) as threads:
        found = [threads.submit(evaluate, server) for _ in range(6)]
        assert all(each.result() == DOUBLED for each in found)
    nothing_is_left(server)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_body_over_the_limit_is_refused(server: Server, packed: bool) -> None:
    body = BODY[:-3] + b" " * 13 * MB + BODY[-3:]
    headers = {"Content-Encoding": "gzip"} if packed else {}
    sent = gzip.compress(body, 1) if packed else body
    reply = server.request("POST", "/evaluate", sent, headers=headers)
    assert reply.status == 413
    nothing_is_left(server)


def test_a_body_that_is_cut_off(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        head = (
            "POST /evaluate HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: {basic(USER, PASSWORD)}\r\nContent-Length: {len(BODY)}\r\n\r\n"
        )
        client.sendall(head.encode() + BODY[:2_000_000])
        until(lambda: memories(server) == 1, "the body is on its way")
    nothing_is_left(server)
    assert evaluate(server) == DOUBLED


def test_a_client_that_does_not_take_its_result(server: Server) -> None:
    connection = server.connect(20)
    connection.request("POST", "/evaluate", BODY, {"Authorization": basic(USER, PASSWORD)})
    assert connection.getresponse().read(1000)
    connection.close()
    nothing_is_left(server)
    assert evaluate(server) == DOUBLED


def test_a_worker_that_dies_with_a_large_body(server: Server) -> None:
    body = BODY.replace(DOUBLE.encode(), b"import os; os._exit(3)")
    reply = server.request("POST", "/evaluate", body)
    assert (reply.status, "exit code 3" in reply.json["info"]) == (500, True)
    nothing_is_left(server)
    assert evaluate(server) == DOUBLED


def test_a_worker_that_is_killed_while_it_writes_its_result(server: Server) -> None:
    script = (
        "import datetime, os, signal\\n"
        "class Last(datetime.timedelta):\\n"
        "    def total_seconds(self): os.kill(os.getpid(), signal.SIGKILL)\\n"
        "return [*_arg1, Last()]"
    )
    reply = server.request("POST", "/evaluate", BODY.replace(DOUBLE.encode(), script.encode()))
    assert reply.status == 500
    nothing_is_left(server)
    assert evaluate(server) == DOUBLED


COUNT = """\
import os
def is_open(number):
    try:
        return bool(os.fstat(number))
    except OSError:
        return False
return sum(map(is_open, range(200)))"""


def test_a_script_has_no_descriptor_of_its_body(server: Server) -> None:
    count = json.dumps(COUNT)[1:-1].encode()
    small = json.dumps({"script": COUNT, "data": {}}).encode()
    assert evaluate(server, BODY.replace(DOUBLE.encode(), count)) == evaluate(server, small)


def test_json_that_is_wrong_far_in(server: Server) -> None:
    body = BODY[:3_000_000] + b"nonsense" + BODY[3_000_000:]
    reply = server.request("POST", "/evaluate", body)
    assert reply.status == 400
    assert reply.json["message"] == "Request body is not valid JSON."
    nothing_is_left(server)


def test_a_function_gets_and_returns_what_is_large(server: Server) -> None:
    name = f"double-{uuid.uuid4().hex[:8]}"
    server.client().deploy(name, double, "Doubles.")
    assert server.query(name, NUMBERS).json["response"] == DOUBLED
    first = server.query(name, NUMBERS)
    tag = first.headers["Etag"]
    again = server.query(name, NUMBERS, headers={"If-None-Match": tag})
    assert (again.status, again.body) == (304, b"")
    nothing_is_left(server)


def double(column: list[float]) -> list[float]:
    return [each * 2 for each in column]


def test_numpy_for_a_script_that_asks(server: Server) -> None:
    pytest.importorskip("numpy")
    script = "# tabpy: arguments=numpy\\nreturn _arg1 * 2"
    assert evaluate(server, BODY.replace(DOUBLE.encode(), script.encode())) == DOUBLED


def test_memory_is_given_back(server: Server) -> None:
    def taken() -> int:
        return sum(each.memory_info().rss for each in server.tree())

    evaluate(server)
    before = taken()
    for _ in range(5):
        evaluate(server)
    until(lambda: taken() < before + 10 * MB, "what five of them took is given back")
