"""Who may enter: nobody without the right credentials, however the request is made."""

import json
import re
import secrets
import select
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tabpy.tabpy_server.access import password_file, password_hashes
from tabpy.tabpy_server.access.line import MOST_WAITING
from tabpy.tabpy_server.access.throttle import FREE, PAUSE
from tabpy.tabpy_server.rights import EVALUATE
from tabpy.tabpy_server.web.routes import make_routes
from tests.deploying import deploy
from tests.running import ALONE, PASSWORD, USER, Server, basic, until
from tests.web.harness import make_context

Start = Callable[..., Server]

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
OPEN = {"/healthz", "/readyz"}
# TabPy's own: user paolo, password P@ssw0rd.
PAOLO_PBKDF2 = (
    "0862ce7721ef341b5b53eb969ede03578d19c311011ee2a310a65c2d607c2fcd"
    "5ca8bc6a0f25c3d6d7afb3438034cfa05107c8edf1c0e77c450ae87ad868d9b5"
)


def routes() -> list[str]:
    """A path for every route that the application has, and for none of them."""
    patterns = [each.pattern for each in make_routes(make_context())]
    return ["/nosuch", *(re.sub(r"\(.*\)", "x", each) for each in patterns)]


def sign_in(server: Server, name: str, password: str) -> int:
    return server.request("GET", "/info", user=name, password=password).status


# --- closed by default ---


@pytest.mark.parametrize("route", routes())
def test_every_route_is_closed_but_the_ones_that_are_meant_to_be_open(
    server: Server, route: str
) -> None:
    statuses = {method: server.request(method, route, user=None).status for method in METHODS}
    if route in OPEN:
        assert statuses == dict.fromkeys(METHODS, 405) | {"GET": 200, "HEAD": 200}
    else:
        assert statuses == dict.fromkeys(METHODS, 401)
    # A preflight carries no credentials (https://fetch.spec.whatwg.org/#cors-protocol).
    assert server.request("OPTIONS", route, user=None).body == b"{}"


def test_what_is_open_tells_nothing(server: Server) -> None:
    assert server.request("GET", "/healthz", user=None).json == {"status": "alive"}
    assert server.request("GET", "/readyz", user=None).json == {"status": "ready"}


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic cGFvbG8=",  # a name without a password
        f"Bearer {basic(USER, PASSWORD).removeprefix('Basic ')}",
        f"Digest username={USER}",
        f"{USER}:fake",
        "Basic " + "A" * 10_000,
    ],
)
def test_a_header_that_is_no_basic_credential_is_401(server: Server, header: str) -> None:
    reply = server.request("GET", "/info", user=None, headers={"Authorization": header})
    assert reply.status == 401


def test_no_script_runs_for_who_may_not_enter(server: Server) -> None:
    proof = server.notes / "ran"
    script = "import pathlib\npathlib.Path(_arg1).touch()"
    assert server.evaluate(script, str(proof), user=None).status == 401
    assert not proof.exists()
    assert server.evaluate(script, str(proof)).status == 200
    assert proof.exists()


# --- users and passwords ---

AWKWARD = {
    "colons": "fake:with:colons:",
    "umlauts": "fäke ✓ 🔑",
    "spaces": "  fake  ",
    "symbols!#$%&'*+-/": "fake\"\\'%{}",
    "capitals": "Fake",
}


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with several users, TabPy's own form of hash among them."""
    folder = tmp_path_factory.mktemp("crowd")
    settings = {
        "WEB_CONCURRENCY": "1",
        "TABPY_WORKERS": "1",
        "TABPY_USERNAME": "Environment",
        "TABPY_PASSWORD": "fake: from the environment ",
        "TABPY_PWD_FILE": "users.txt",
    }
    lines = [
        f"{name} {password_hashes.hash_password(name, password, password_hashes.CHEAPEST)}\n"
        for name, password in AWKWARD.items()
    ]
    (folder / "users.txt").write_text("".join(["# users\n", *lines, f"paolo {PAOLO_PBKDF2}\n"]))
    running = Server(folder, settings).wait_until_ready()
    yield running
    running.kill()


@pytest.mark.parametrize("name", AWKWARD)
def test_any_password_works(crowd: Server, name: str) -> None:
    assert sign_in(crowd, name, AWKWARD[name]) == 200


def test_names_have_no_case_and_passwords_do(crowd: Server) -> None:
    assert sign_in(crowd, "CAPITALS", "Fake") == 200
    assert sign_in(crowd, "capitals", "fake") == 401


def test_a_password_in_latin_1_works_as_older_clients_send_it(start: Start) -> None:
    server = start({"WEB_CONCURRENCY": "1"}, users={"ann": "fäke"})
    header = {"Authorization": "Basic YW5uOmbka2U="}  # ann:fäke in Latin-1
    assert server.request("GET", "/info", user=None, headers=header).status == 200


def test_tabpys_own_hashes_go_on_working_with_a_warning(crowd: Server) -> None:
    assert sign_in(crowd, "paolo", "P@ssw0rd") == 200
    [warning] = crowd.log_lines("level=warning", "tabpy-user update")
    assert "paolo" in warning
    assert "capitals" not in warning


def test_the_environments_user_is_one_more(crowd: Server) -> None:
    assert sign_in(crowd, "environment", "fake: from the environment ") == 200
    assert sign_in(crowd, "environment", "fake: from the environment") == 401


# --- the password file, edited while the server runs ---


@contextmanager
def only(server: Server, process: psutil.Process) -> Iterator[None]:
    """Whatever is asked now is asked of this web process."""
    others = [each for each in server.web_processes() if each != process]
    for other in others:
        other.suspend()
    try:
        yield
    finally:
        for other in others:
            other.resume()


def everywhere(server: Server, name: str, password: str) -> set[int]:
    """The status of signing in at each web process."""
    statuses = set()
    for process in server.web_processes():
        with only(server, process):
            statuses.add(sign_in(server, name, password))
    return statuses


def start_two(start: Start) -> tuple[Server, list[psutil.Process]]:
    server = start({"WEB_CONCURRENCY": "2"})
    until(lambda: len(server.log_lines("msg=ready")) == 2, "both web processes serve")
    return server, server.web_processes()


def test_an_edit_of_the_password_file_counts_at_once(start: Start) -> None:
    server, _ = start_two(start)
    file = server.folder / "pwd.txt"

    def seen_everywhere(users: int) -> bool:
        assert everywhere(server, USER, PASSWORD) == {200}
        return len(server.log_lines("The password file has changed", f"{users} users")) == 2

    password_file.add(
        file, "ann", password_hashes.hash_password("ann", "fake", password_hashes.CHEAPEST)
    )
    until(lambda: seen_everywhere(2), "the edit is seen", seconds=5)
    assert everywhere(server, "ann", "fake") == {200}

    password_file.delete(file, "ann")
    until(lambda: seen_everywhere(1), "the edit is seen", seconds=5)
    assert everywhere(server, "ann", "fake") == {401}


def test_in_a_password_file_that_has_become_wrong_the_right_lines_count(start: Start) -> None:
    server = start({"WEB_CONCURRENCY": "2"}, users={USER: PASSWORD, "gone": "too"})
    assert sign_in(server, "gone", "too") == 200
    file = server.folder / "pwd.txt"
    kept = next(line for line in file.read_text().splitlines() if line.startswith(f"{USER} "))
    file.write_text(f"{kept}\nno hash at all\n")
    until(lambda: sign_in(server, "gone", "too") == 401, "who was taken out is out")
    for _ in range(10):  # in both web processes
        assert sign_in(server, USER, PASSWORD) == 200
    assert server.log_lines("level=error", "doesn't count", "line 2")


def test_without_its_password_file_nobody_of_it_gets_in(start: Start) -> None:
    server = start({"TABPY_USERNAME": "env", "TABPY_PASSWORD": "a secret"})
    assert sign_in(server, USER, PASSWORD) == 200
    (server.folder / "pwd.txt").unlink()
    until(lambda: sign_in(server, USER, PASSWORD) == 401, "it is noticed")
    for _ in range(10):
        assert sign_in(server, "env", "a secret") == 200


# --- rights ---


def test_rights_of_the_file_count_at_once_and_a_script_needs_no_second_one(start: Start) -> None:
    server = start({"WEB_CONCURRENCY": "1"}, users={USER: PASSWORD, "ann": PASSWORD})
    assert deploy(server, "double", lambda value: 2 * value).status == 201
    script = "return tabpy.query('double', _arg1)['response']"
    assert server.evaluate(script, 4, user="ann").json == 8
    assert server.query("double", 3, user="ann").json["response"] == 6
    assert not server.log_lines("only prevent accidents")

    password_file.update(server.folder / "pwd.txt", "ann", may=(EVALUATE,))
    until(lambda: server.query("double", 3, user="ann").status == 403, "it counts")
    assert server.evaluate(script, 4, user="ann").json == 8
    assert server.request("DELETE", "/endpoints/double", user="ann").status == 403
    assert server.request("GET", "/endpoints/double", user="ann").status == 200
    assert server.request("DELETE", "/endpoints/double").status == 204


def test_the_user_of_the_environment_has_the_rights_of_the_environment(start: Start) -> None:
    env = {"TABPY_USERNAME": "env", "TABPY_PASSWORD": PASSWORD, "TABPY_RIGHTS": "query"}
    server = start(env)
    assert server.evaluate("return 1", user="env").status == 403
    assert server.evaluate("return 1").json == 1
    assert sign_in(server, "env", PASSWORD) == 200


# --- guessing ---


def test_wrong_passwords_from_an_address_refuse_and_delay_no_right_one_of_it(
    start: Start,
) -> None:  # differences 4
    server = start({"WEB_CONCURRENCY": "1"}, users={USER: PASSWORD, "ann": PASSWORD})
    statuses = []
    with ThreadPoolExecutor(12) as threads:
        wrong = [threads.submit(sign_in, server, USER, f"wrong {each}") for each in range(24)]
        old = [threads.submit(sign_in, server, USER, "old") for _ in range(50)]
        statuses = [sign_in(server, USER, PASSWORD), sign_in(server, "ann", PASSWORD)]
        assert {each.result() for each in wrong + old} == {401}
    assert statuses == [200, 200]


def test_guesses_are_slowed_down_whichever_process_they_reach(start: Start) -> None:
    server, (one, other) = start_two(start)
    with only(server, one):
        statuses = [sign_in(server, USER, f"wrong {guess}") for guess in range(int(FREE) + 1)]
        assert set(statuses) == {401}
    with only(server, other):
        started = time.monotonic()
        assert sign_in(server, USER, "wrong") == 401
        assert sign_in(server, USER, "wrong again") == 401
        assert time.monotonic() - started >= PAUSE


def test_of_a_flood_of_guesses_some_are_refused_and_who_is_known_goes_on_working(
    start: Start,
) -> None:
    server = start({"WEB_CONCURRENCY": "1"})
    assert sign_in(server, USER, PASSWORD) == 200
    guesses = []
    try:
        for guess in range(int(FREE) + MOST_WAITING + 20):
            guesses.append(socket.create_connection(("127.0.0.1", server.port)))
            header = basic(USER, f"wrong {guess}")
            request = f"GET /info HTTP/1.1\r\nHost: x\r\nAuthorization: {header}\r\n"
            guesses[-1].sendall(f"{request}Connection: close\r\n\r\n".encode())
        refused = until(lambda: answer_with(b"429", guesses), "a guess is refused")
        assert b"\r\nRetry-After: " in refused
        assert b"Too many failed sign-ins as this user from this address." in refused

        started = time.monotonic()
        assert sign_in(server, USER, PASSWORD) == 200
        assert server.evaluate("return 1").json == 1
        assert time.monotonic() - started < 5.0  # even on a machine with other loads
    finally:
        for connection in guesses:
            connection.close()


def answer_with(status: bytes, connections: list[socket.socket]) -> bytes:
    ready, _, _ = select.select(connections, [], [], 0.1)
    for connection in ready:
        answer = bytearray()
        while received := connection.recv(65536):
            answer += received
        if answer.split()[1:2] == [status]:
            return bytes(answer)
    return b""


# --- other web sites ---


@pytest.mark.parametrize(
    "origin", ["https://elsewhere.example", "null", "http://127.0.0.1", "http://127.0.0.1:1"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_page_of_another_site_may_not_use_a_signed_in_persons_browser(
    server: Server, origin: str, method: str
) -> None:
    route = "/evaluate" if method == "POST" else "/info"
    body = '{"script": "return 1"}' if method == "POST" else None
    status, message, info = server.request(method, route, body, headers={"Origin": origin}).error
    assert (status, message) == (403, "Requests from other web sites are not allowed.")
    assert origin in info


def test_our_own_page_may(server: Server) -> None:
    headers = {"Origin": f"http://127.0.0.1:{server.port}"}
    assert server.evaluate("return 1", headers=headers).json == 1


def test_a_site_that_state_ini_names_may(start: Start, tmp_path: Path) -> None:
    (tmp_path / "state.ini").write_text(
        "[Service Info]\n"
        "Access-Control-Allow-Origin = https://friend.example\n"
        "Access-Control-Allow-Methods = GET, POST\n"
    )
    server = start({**ALONE, "TABPY_STATE_PATH": str(tmp_path), "WEB_CONCURRENCY": "1"})
    preflight = server.request("OPTIONS", "/evaluate", user=None)
    assert preflight.status == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == "https://friend.example"
    assert preflight.headers["Access-Control-Allow-Methods"] == "GET, POST"
    friend = {"Origin": "https://friend.example"}
    assert server.evaluate("return 1", headers=friend).json == 1
    assert server.evaluate("return 1", headers={"Origin": "https://foe.example"}).status == 403


# --- the log ---


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_the_log_has_no_password_script_data_or_header_of_credentials(
    start: Start, level: str
) -> None:
    settings = {
        "WEB_CONCURRENCY": "1",
        "TABPY_WORKERS": "1",
        "TABPY_EVALUATE_TIMEOUT": "1",
        "TABPY_LOG_LEVEL": level,
        "TABPY_LOG_DETAILS": "true",
        "TABPY_USERNAME": "second",
        "TABPY_PASSWORD": PASSWORD,
    }
    server = start(settings)
    in_script, in_data, guessed = (secrets.token_hex(8) for _ in range(3))
    for script in (
        "return 1",
        "return 1 / 0",
        "x = (",
        "while True: pass",
        "import os\nos._exit(1)",
    ):
        server.evaluate(f"x = '{in_script}'\n{script}", in_data)
    server.request("POST", "/evaluate", f'{{"script": "{in_script}')
    server.request("POST", "/evaluate", json.dumps({"script": in_script, "data": in_data}))
    assert sign_in(server, USER, guessed) == 401
    server.request("GET", "/info", user=None, headers={"Authorization": f"Bearer {guessed}"})
    assert server.stop() == 0

    log = server.log
    assert len(server.log_lines("msg=request")) >= 9
    hashed = (server.folder / "pwd.txt").read_text().split()[1]
    credentials = [basic(USER, each).removeprefix("Basic ") for each in (PASSWORD, guessed)]
    for secret in (PASSWORD, hashed, in_script, in_data, guessed, *credentials, "Authorization"):
        assert secret not in log


def test_each_request_has_one_line_that_says_who_what_and_how(server: Server) -> None:
    ours = secrets.token_hex(8)
    server.evaluate("return 1", headers={"X-Request-Id": ours})
    [line] = until(lambda: server.log_lines(f"request_id={ours}"), "the line is there")
    assert f"user={USER} method=POST route=/evaluate status=200 " in line
    assert "bytes_out=1" in line
    assert "caller=" not in line


def test_a_request_id_cannot_forge_a_line(server: Server) -> None:
    ours = secrets.token_hex(8)
    server.request("GET", "/info", headers={"X-Request-Id": f'{ours}" msg=forged\tuser="x'})
    [line] = until(lambda: server.log_lines(ours), "the line is there")
    assert f'request_id="{ours}\\" msg=forged\\tuser=\\"x"' in line
