"""Every answer that isn't 200, in the words and with the headers that clients know."""

import gzip
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from tests.running import ALONE, Reply, Server

Start = Callable[..., Server]

MEGABYTE = 1024 * 1024
ONE = '{"script": "return 1", "data": {}}'
TOO_LARGE = "Request with size {} exceeded limit of 1048576 (bytes)."


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One worker, one second, one megabyte."""
    settings = {
        "WEB_CONCURRENCY": "1",
        "TABPY_WORKERS": "1",
        "TABPY_EVALUATE_TIMEOUT": "1",
        "TABPY_MAX_REQUEST_SIZE_MB": "1",
    }
    running = Server(tmp_path_factory.mktemp("strict"), settings).wait_until_ready()
    yield running
    running.kill()


def post(server: Server, body: bytes | str | Iterable[bytes], **headers: str) -> Reply:
    return server.request("POST", "/evaluate", body, headers=headers)


# --- 400 ---


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{}", "Script is empty."),
        ('{"script": null}', "Script is empty."),
        ('{"script": ""}', "Script is empty."),
        ('{"script": " \\n "}', "Script is empty."),
        ('{"script": 5}', "Script is not a text."),
        (
            '{"script": "return 1", "data": [1]}',
            "Script parameters need to be provided as a dictionary.",
        ),
        (
            '{"script": "return 1", "data": "x"}',
            "Script parameters need to be provided as a dictionary.",
        ),
        ("", "Request body is not valid JSON."),
        ('{"script": "return 1"', "Request body is not valid JSON."),
        (b'{"script": "\xff"}', "Request body is not valid JSON."),
        ("[" * 100_000, "Request body is not valid JSON."),
        ('"return 1"', "Request body is not a JSON object."),
    ],
)
def test_a_request_that_is_wrong_is_400_and_says_how(
    server: Server, body: bytes | str, message: str
) -> None:
    status, said, info = post(server, body).error
    assert (status, said) == (400, message)
    assert info


@pytest.mark.parametrize("names", [["x"], ["_arg0"], ["_arg2"], ["_arg1", "_arg3"], ["_arg01"]])
def test_arguments_are_arg1_to_argn_without_gaps(server: Server, names: list[str]) -> None:
    body = json.dumps({"script": "return 1", "data": {name: [1] for name in names}})
    status, message, info = post(server, body).error
    assert status == 400
    assert message == "Variables names should follow the format _arg1, _arg2, _argN"
    assert all(name in info for name in names)


@pytest.mark.parametrize(
    "body", [b"no gzip", gzip.compress(ONE.encode())[:-3]], ids=["no gzip", "cut off"]
)
def test_a_body_that_is_no_whole_gzip_is_400(server: Server, body: bytes) -> None:
    status, _, info = post(server, body, **{"Content-Encoding": "gzip"}).error
    assert status == 400
    assert info


# --- 401, 404, 405, 406, 415 ---


@pytest.mark.parametrize("route", ["/info", "/evaluate", "/", "/nosuch"])
@pytest.mark.parametrize("user", [None, "nobody"])
def test_no_or_wrong_credentials_are_401_with_a_challenge(
    strict: Server, route: str, user: str | None
) -> None:
    reply = strict.request("GET", route, user=user)
    assert reply.error == (401, "Invalid credentials provided.", "Unauthorized request.")
    assert reply.headers["WWW-Authenticate"] == 'Basic realm="TabPy Server"'


def test_the_challenge_names_the_service(start: Start, tmp_path: Path) -> None:
    (tmp_path / "state.ini").write_text('[Service Info]\nName = The "best" one\n')
    server = start({**ALONE, "TABPY_STATE_PATH": str(tmp_path), "WEB_CONCURRENCY": "1"})
    challenge = server.request("GET", "/info", user=None).headers["WWW-Authenticate"]
    assert challenge == "Basic realm=\"The 'best' one\""


def test_a_server_that_runs_no_scripts_says_so(start: Start) -> None:
    server = start({"TABPY_EVALUATE_ENABLE": "false", "WEB_CONCURRENCY": "1"})
    status, message, _ = post(server, ONE).error
    assert status == 404
    assert message == (
        "Ad-hoc scripts have been disabled on this analytics extension, please contact your "
        "administrator."
    )
    features = server.request("GET", "/info").json["versions"]["v1"]["features"]
    assert features["evaluate_enabled"] is False


def test_credentials_at_an_open_server_are_406(start: Start) -> None:
    settings = {"TABPY_PWD_FILE": "-", "WEB_CONCURRENCY": "1"}
    server = start(settings, arguments=["--disable-auth-warning"])
    for method, route in (("GET", "/info"), ("POST", "/evaluate")):
        assert server.request(method, route, ONE if method == "POST" else None).error == (
            406,
            "Username or password provided when authentication not available.",
            "Not Acceptable",
        )
    assert server.request("POST", "/evaluate", ONE, user=None).json == 1
    info = server.request("GET", "/info", user=None).json
    assert "authentication" not in info["versions"]["v1"]["features"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("route", ["/nosuch", "/evaluate/"])
def test_unknown_routes_are_404(server: Server, method: str, route: str) -> None:
    status, message, info = server.request(method, route).error
    assert (status, message) == (404, "Not Found")
    assert route in info


@pytest.mark.parametrize(
    ("method", "route"),
    [
        ("GET", "/evaluate"),
        ("POST", "/static/page.js"),
        ("POST", "/info"),
        ("DELETE", "/"),
        ("PATCH", "/info"),
        ("BREW", "/"),
    ],
)
def test_unknown_methods_are_405(server: Server, method: str, route: str) -> None:
    status, message, info = server.request(method, route).error
    assert (status, message) == (405, "Method Not Allowed")
    assert method in info


def test_another_encoding_than_gzip_is_415(server: Server) -> None:
    status, message, info = post(server, b"\x8b\x02\x80", **{"Content-Encoding": "br"}).error
    assert (status, message) == (415, "Content-Encoding 'br' is not accepted.")
    assert info == "Accepted: identity, gzip."


def test_gzip_is_415_where_it_is_switched_off(start: Start) -> None:
    server = start({"TABPY_GZIP_ENABLE": "false", "WEB_CONCURRENCY": "1"})
    body = gzip.compress(ONE.encode())
    assert post(server, body, **{"Content-Encoding": "gzip"}).error[0] == 415
    features = server.request("GET", "/info").json["versions"]["v1"]["features"]
    assert features["gzip_enabled"] is False


# --- 408, 503 ---


@pytest.mark.parametrize("script", ["while True: pass", "import time\ntime.sleep(3600)"])
def test_a_script_over_its_time_is_408(strict: Server, script: str) -> None:
    status, message, info = strict.evaluate(script).error
    assert status == 408
    assert message == "User defined script timed out. Timeout is set to 1.0 s."
    assert "stopped" in info
    assert strict.evaluate("return 1").json == 1


def test_waiting_in_vain_for_a_worker_is_503(strict: Server) -> None:
    template = strict.template()
    template.suspend()  # so the only worker isn't replaced after the first request
    try:
        assert strict.evaluate("while True: pass").status == 408
        reply = strict.evaluate("return 1")
    finally:
        template.resume()
    status, message, info = reply.error
    assert (status, message) == (503, "Every script worker is busy.")
    assert "not run" in info
    assert int(reply.headers["Retry-After"]) > 0
    assert strict.evaluate("return 1").json == 1


# --- 413 ---


def test_a_declared_size_over_the_limit_is_413(strict: Server) -> None:
    assert post(strict, b" " * (MEGABYTE + 1)).error == (
        413,
        TOO_LARGE.format(MEGABYTE + 1),
        "Request Entity Too Large",
    )


def test_the_limit_itself_is_allowed(strict: Server) -> None:
    assert post(strict, ONE + " " * (MEGABYTE - len(ONE))).json == 1


def test_an_undeclared_size_over_the_limit_is_413(strict: Server) -> None:
    status, message, info = post(strict, (b" " * 65_536 for _ in range(20))).error
    assert status == 413
    assert "exceeded limit of 1048576 (bytes)." in message
    assert info == "Request Entity Too Large"


@pytest.mark.parametrize("size", [2 * MEGABYTE, 200 * MEGABYTE])
def test_what_gzip_unpacks_to_counts(strict: Server, size: int) -> None:
    body = gzip.compress(b" " * size)
    assert len(body) < MEGABYTE
    status, message, _ = post(strict, body, **{"Content-Encoding": "gzip"}).error
    assert status == 413
    assert "exceeded limit of 1048576 (bytes)." in message


def test_a_client_that_asks_first_needs_not_send_a_body_that_is_too_large(strict: Server) -> None:
    headers = {"Content-Length": str(3 * MEGABYTE), "Expect": "100-continue"}
    assert strict.request("POST", "/evaluate", headers=headers).error[:2] == (
        413,
        TOO_LARGE.format(3 * MEGABYTE),
    )


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_route_takes_more_than_the_limit(strict: Server, method: str) -> None:
    for route in ("/info", "/", "/nosuch"):
        assert strict.request(method, route, b" " * (MEGABYTE + 1)).error[0] == 413


# --- 500 ---


def test_a_script_that_raises_is_500_with_class_and_text(server: Server) -> None:
    status, message, info = server.evaluate("return 1 / 0").error
    assert (status, message) == (500, "Error processing script")
    assert info.startswith("ZeroDivisionError : division by zero\n")
