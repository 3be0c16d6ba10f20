"""Starting the server: what it takes from where, what it refuses, and what it says then."""

import http.client
import json
import os
import pty
import re
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.running import ALONE, PASSWORD, USER, Server, basic, free_port, until

Start = Callable[..., Server]

HTTPS = {"X-Forwarded-Proto": "https"}  # what Heroku's router says of a request


def refusal(server: Server) -> str:
    """The one line that a server which can't start leaves behind."""
    code, output = server.end()
    assert code == 2
    assert "Traceback" not in output
    [line] = [line for line in output.splitlines() if line.startswith("tabpy: ")]
    return line


def config(folder: Path, text: str) -> list[str]:
    file = folder / "tabpy.conf"
    file.write_text(text)
    return ["--config", str(file)]


# --- what is set wrongly ---


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"TABPY_PORT": "many"}, ["TABPY_PORT is 'many'", "from 1 to 65535"]),
        ({"TABPY_PORT": "65536"}, ["TABPY_PORT is '65536'"]),
        ({"TABPY_EVALUATE_TIMEOUT": "0"}, ["TABPY_EVALUATE_TIMEOUT is '0'", "above 0"]),
        ({"TABPY_EVALUATE_TIMEOUT": "nan"}, ["TABPY_EVALUATE_TIMEOUT is 'nan'"]),
        ({"TABPY_MAX_REQUEST_SIZE_MB": "-1"}, ["TABPY_MAX_REQUEST_SIZE_MB is '-1'"]),
        ({"TABPY_EVALUATE_ENABLE": "maybe"}, ["TABPY_EVALUATE_ENABLE", "true or false"]),
        ({"TABPY_LOG_LEVEL": "LOUD"}, ["TABPY_LOG_LEVEL is 'LOUD'", "DEBUG, INFO"]),
        ({"TABPY_PRELOAD": "numpy;pandas"}, ["TABPY_PRELOAD", "separated by commas"]),
        ({"TABPY_WORKERS": "0"}, ["TABPY_WORKERS is '0'", "from 1 to 999"]),
        ({"WEB_CONCURRENCY": "x"}, ["WEB_CONCURRENCY is 'x'"]),
        ({"TABPY_TRANSFER_PROTOCOL": "ftp"}, ["TABPY_TRANSFER_PROTOCOL", "http or https"]),
        (
            {"TABPY_TRANSFER_PROTOCOL": "https"},
            ["TABPY_CERTIFICATE_FILE and TABPY_KEY_FILE must be set"],
        ),
        ({"TABPY_OAUTH_ENABLED": "true"}, ["TABPY_OAUTH_ISSUER, TABPY_OAUTH_JWKS_URI"]),
        ({"TABPY_PWD_FILE": "nosuch.txt"}, ["TABPY_PWD_FILE is 'nosuch.txt'", "tabpy-user add"]),
        ({"TABPY_PWD_FILE": "."}, ["TABPY_PWD_FILE is '.'", "is a folder"]),
        ({"TABPY_STATE_PATH": "/proc/nosuch"}, ["TABPY_STATE_PATH is '/proc/nosuch'"]),
        ({"TABPY_STATIC_PATH": "nosuch"}, ["TABPY_STATIC_PATH is 'nosuch'", "a folder"]),
        ({"TABPY_ADDRESS": "nowhere"}, ["TABPY_ADDRESS is 'nowhere'", "127.0.0.1"]),
        ({"FORWARDED_ALLOW_IPS": "zzz"}, ["FORWARDED_ALLOW_IPS is 'zzz'", "addresses"]),
        (
            {"TABPY_DATABASE_URL": "mysql://a:fake@db/x"},
            ["TABPY_DATABASE_URL is not right", "postgres"],
        ),
        ({"TABPY_PWD_FILE": "-", "TABPY_USERNAME": "ann"}, ["TABPY_PASSWORD is not set"]),
        ({"TABPY_PWD_FILE": "-", "TABPY_PASSWORD": "fake"}, ["TABPY_USERNAME is not set"]),
        ({"TABPY_USERNAME": "a:b", "TABPY_PASSWORD": "fake"}, ["TABPY_USERNAME", "colons"]),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(
    launch: Start, settings: dict[str, str], parts: list[str]
) -> None:
    line = refusal(launch({**ALONE, **settings}))
    assert all(part in line for part in parts)
    assert "fake" not in line


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (None, "there is no such file"),
        ("[tabpy]\n", "has no section [TabPy]"),
        ("no section\n", "can't be read"),
        ("[TabPy]\nTABPY_PORT = none\n", "TABPY_PORT is 'none'"),
        ("[TabPy]\nTABPY_PORT = %(NO_SUCH)s\n", "has no NO_SUCH"),
        ("[TabPy]\n[loggers]\nkeys = root\n", "logging sections"),
        ("[TabPy]\nTABPY_LOG_LEVEL = \xff\n", "can't be read"),
    ],
)
def test_a_config_file_that_cannot_be_used_is_named(
    launch: Start, tmp_path: Path, text: str | None, part: str
) -> None:
    file = tmp_path / "mine.conf"
    if text is not None:
        file.write_text(text, encoding="latin-1")
    line = refusal(launch({"TABPY_PORT": "-"}, arguments=["--config", str(file)]))
    assert str(file) in line
    assert part in line


def test_a_broken_line_in_the_password_file_is_named_and_not_shown(
    launch: Start, tmp_path: Path
) -> None:
    secret = secrets.token_hex(8)
    file = tmp_path / "users.txt"
    file.write_text(f"# users\nann {secret}\n")
    line = refusal(launch({"TABPY_PWD_FILE": str(file)}))
    assert f"{file}, line 2" in line
    assert secret not in line


def test_a_broken_state_ini_is_named(launch: Start, tmp_path: Path) -> None:
    (tmp_path / "state.ini").write_text("no section\n")
    assert "state.ini" in refusal(launch({**ALONE, "TABPY_STATE_PATH": str(tmp_path)}))


def test_an_unknown_flag_is_refused_with_the_usage(launch: Start) -> None:
    code, output = launch(arguments=["--nosuch"]).end()
    assert code == 2
    assert "usage: tabpy" in output


def test_a_port_in_use_is_said_and_ends_the_start(launch: Start) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        code, output = launch({"TABPY_PORT": str(port)}).end()
    assert code != 0
    assert str(port) in output
    assert "in use" in output
    assert "Traceback" not in output


def test_a_setting_that_nobody_knows_is_a_warning_with_the_nearest(start: Start) -> None:
    server = start({"TABPY_EVALUATE_TIMOUT": "5", "TABPY_KEY_FILE": "x", "WEB_CONCURRENCY": "1"})
    [warning] = server.log_lines("level=warning", "no setting of this server")
    assert "TABPY_EVALUATE_TIMOUT" in warning
    assert "Did you mean TABPY_EVALUATE_TIMEOUT?" in warning


# --- where settings come from ---


def timeout_of(server: Server) -> str:
    page = server.request("GET", "/").body.decode()
    found = re.search(r'id="timeout">([^<]*)<', page)
    assert found
    return found[1]


def test_environment_beats_file_beats_defaults(start: Start, tmp_path: Path) -> None:
    arguments = config(
        tmp_path,
        "[TabPy]\n"
        "TABPY_EVALUATE_TIMEOUT = 7\n"
        "TABPY_WORKERS = %(HOW_MANY)s\n"
        "TABPY_PWD_FILE = not this one\n"
        "TABPY_GZIP_ENABLE = off\n",
    )
    environment = {"TABPY_GZIP_ENABLE": "true", "HOW_MANY": "1", "WEB_CONCURRENCY": "1"}
    server = start(environment, arguments=arguments)
    assert timeout_of(server) == "7 s"
    until(lambda: len(server.workers()) == 1, "there is one worker")  # a cold one goes soon
    features = server.request("GET", "/info").json["versions"]["v1"]["features"]
    assert features["gzip_enabled"] is True
    assert features["evaluate_enabled"] is True


def test_a_percent_sign_in_a_value_or_variable_stops_nothing(start: Start, tmp_path: Path) -> None:
    arguments = config(tmp_path, "[TabPy]\nTABPY_QUERY_OBJECT_PATH = /tmp/100%\n")
    start({"OTHER": "50%(x)s%", "WEB_CONCURRENCY": "1"}, arguments=arguments)


def test_a_proxy_set_in_both_spellings_stops_nothing(start: Start) -> None:
    proxies = {"HTTP_PROXY": "http://one.invalid", "http_proxy": "http://two.invalid"}
    assert start({**proxies, "WEB_CONCURRENCY": "1"}).evaluate("return 1").json == 1


def test_the_logging_sections_of_a_config_file_are_used(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "own.log"
    arguments = config(
        tmp_path,
        "[TabPy]\n"
        "[loggers]\nkeys = root\n[handlers]\nkeys = file\n[formatters]\nkeys = plain\n"
        "[logger_root]\nlevel = INFO\nhandlers = file\n"
        f"[handler_file]\nclass = FileHandler\nformatter = plain\nargs = ({str(log)!r},)\n"
        "[formatter_plain]\nformat = OWN %(levelname)s %(message)s\n",
    )
    server = start({"WEB_CONCURRENCY": "1"}, arguments=arguments)
    server.evaluate("return 1")
    assert "OWN INFO request" in log.read_text()


def test_the_routes_lie_under_the_subdirectory_of_state_ini(launch: Start, tmp_path: Path) -> None:
    (tmp_path / "state.ini").write_text(
        "[Service Info]\nName = Ours\nDescription = 100 % of it\nCreation Time = 7\n"
        "Subdirectory = tabpy\n"
    )

    server = launch({**ALONE, "TABPY_STATE_PATH": str(tmp_path), "WEB_CONCURRENCY": "1"})
    server.prefix = "/tabpy"
    server.wait_until_ready()
    info = server.request("GET", "/info").json
    assert (info["name"], info["description"]) == ("Ours", "100 % of it")
    assert info["creation_time"] == "7"
    assert server.evaluate("return 1").json == 1
    server.prefix = ""
    assert server.request("GET", "/info").status == 404


# --- nobody could sign in ---


@pytest.mark.parametrize("dyno", [{}, {"DYNO": "web.1"}], ids=["anywhere", "Heroku"])
def test_without_a_user_and_a_terminal_it_refuses_to_start(
    launch: Start, dyno: dict[str, str]
) -> None:
    for settings in ({"TABPY_PWD_FILE": "-"}, {}):
        line = refusal(launch({**settings, **dyno}, users={}))
        assert "There is no user" in line
        assert "tabpy-user add" in line


def made_up_password(output: str) -> tuple[str, str]:
    found = re.search(r"user +(\S+)\s+password +(\S+)", output)
    assert found, output
    return found[1], found[2]


def test_a_one_time_password_is_shown_and_works(start: Start) -> None:
    server = start({"WEB_CONCURRENCY": "1"}, users={}, arguments=["--one-time-password"])
    user, password = made_up_password(server.log)
    assert server.evaluate("return 1", user=user, password=password).json == 1
    assert server.evaluate("return 1", user=user, password="").status == 401
    assert len(server.log_lines(password)) == 1


def test_at_a_terminal_a_password_is_made_up_without_being_asked(start: Start) -> None:
    controller, terminal = pty.openpty()
    try:
        server = start({"WEB_CONCURRENCY": "1"}, users={}, stdin=terminal)
        user, password = made_up_password(server.log)
        assert server.evaluate("return 1", user=user, password=password).json == 1
    finally:
        os.close(controller)
        os.close(terminal)


def test_who_closes_the_terminal_ends_the_server_there(start: Start) -> None:
    controller, terminal = pty.openpty()  # differences 38
    try:
        server = start({"WEB_CONCURRENCY": "1"}, stdin=terminal)
        server.process.send_signal(signal.SIGHUP)
        assert server.end()[0] == 0
    finally:
        os.close(controller)
        os.close(terminal)


NOHUP = ["/bin/sh", "-c", "trap '' HUP; exec \"$@\"", "sh", sys.executable, "-m", "tabpy"]


@pytest.mark.parametrize("at_terminal", [False, True])
def test_without_a_terminal_or_by_nohup_it_goes_on(start: Start, at_terminal: bool) -> None:
    controller, terminal = pty.openpty()
    try:
        server = (
            start({"WEB_CONCURRENCY": "1"}, stdin=terminal, command=NOHUP)
            if at_terminal
            else start({"WEB_CONCURRENCY": "1"})
        )
        before = server.tree()
        server.process.send_signal(signal.SIGHUP)
        assert server.evaluate("return 1").json == 1
        assert set(before) <= set(server.tree())
    finally:
        os.close(controller)
        os.close(terminal)


def test_where_there_are_users_none_is_made_up(start: Start) -> None:
    server = start({"WEB_CONCURRENCY": "1"}, arguments=["--one-time-password"])
    assert "password " not in server.log
    assert server.request("GET", "/info").status == 200


@pytest.mark.parametrize(
    ("settings", "users"),
    [
        ({"TABPY_PWD_FILE": "-", "DYNO": "web.1"}, None),
        ({}, {}),  # a password file was named, so somebody expects protection
    ],
    ids=["on Heroku", "with a password file"],
)
def test_it_is_never_open_where_protection_is_expected(
    launch: Start, settings: dict[str, str], users: dict[str, str] | None
) -> None:
    server = launch(settings, users=users, arguments=["--disable-auth-warning"])
    assert "There is no user" in refusal(server)


def test_opening_it_where_there_are_users_changes_nothing(start: Start) -> None:
    server = start({"WEB_CONCURRENCY": "1"}, arguments=["--disable-auth-warning"])
    assert server.request("GET", "/info", user=None).status == 401


def test_an_open_server_warns(start: Start) -> None:
    settings = {"TABPY_PWD_FILE": "-", "WEB_CONCURRENCY": "1"}
    server = start(settings, arguments=["--disable-auth-warning"])
    [warning] = server.log_lines("level=warning", "No password")
    assert str(server.port) in warning


# --- on Heroku ---


@pytest.fixture(scope="module")
def dyno(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    port = free_port()
    settings = {
        "DYNO": "web.1",
        "TABPY_PORT": "-",
        "PORT": str(port),
        "FORWARDED_ALLOW_IPS": "*",
        "GUNICORN_CMD_ARGS": "--access-logfile -",
        "TABPY_LOG_DETAILS": "true",
    }
    running = Server(tmp_path_factory.mktemp("dyno"), settings)
    running.port, running.headers = port, HTTPS
    yield running.wait_until_ready()
    running.kill()


def test_a_dyno_listens_at_its_port_and_gives_up_before_the_router(dyno: Server) -> None:
    assert dyno.evaluate("return 1").json == 1
    assert timeout_of(dyno) == "25 s"
    assert "Strict-Transport-Security" in dyno.request("GET", "/info").headers


@pytest.mark.parametrize("route", ["/", "/info?x=1"])
@pytest.mark.parametrize("user", [None, USER])
def test_plain_http_is_redirected_before_credentials_are_looked_at(
    dyno: Server, route: str, user: str | None
) -> None:
    reply = dyno.request("GET", route, user=user, headers={"X-Forwarded-Proto": "http"})
    assert reply.status == 301
    assert reply.headers["Location"] == f"https://127.0.0.1:{dyno.port}{route}"
    assert "WWW-Authenticate" not in reply.headers


def test_a_script_over_plain_http_is_refused(dyno: Server) -> None:
    for user in (USER, None):
        reply = dyno.evaluate("return 1", user=user, headers={"X-Forwarded-Proto": "http"})
        assert reply.error[:2] == (403, "This server speaks https only.")


@pytest.mark.parametrize(
    ("headers", "caller"),
    [
        ({"X-Forwarded-For": "192.0.2.1, 192.0.2.2"}, "192.0.2.2"),
        ({"X-Forwarded-For": "2001:db8::1"}, "2001:db8::1"),
        ({"X-Forwarded-For": "192.0.2.1", "X-Real-Ip": "192.0.2.9"}, "192.0.2.1"),
        ({"X-Real-Ip": "192.0.2.9"}, "127.0.0.1"),
        ({"X-Forwarded-For": "no address"}, "127.0.0.1"),
    ],
)
def test_the_caller_is_who_the_router_saw_last(
    dyno: Server, headers: dict[str, str], caller: str
) -> None:
    ours = secrets.token_hex(8)
    dyno.request("GET", "/info", headers={**headers, "X-Request-Id": ours})
    [line] = until(lambda: dyno.log_lines(ours), "the line is there")
    assert f" caller={caller} " in line


def test_the_schemes_of_clients_do_not_count(dyno: Server) -> None:
    headers = {"X-Forwarded-Proto": "http", "X-Scheme": "https"}
    assert dyno.request("GET", "/info", headers=headers).status == 301


def test_forwarded_headers_of_strangers_do_not_count(start: Start) -> None:
    settings = {
        "FORWARDED_ALLOW_IPS": "192.0.2.1",
        "TABPY_LOG_DETAILS": "1",
        "WEB_CONCURRENCY": "1",
    }
    server = start(settings)
    server.request("GET", "/info", headers={"X-Forwarded-For": "192.0.2.7"})
    [line] = until(lambda: server.log_lines("route=/info"), "the line is there")
    assert " caller=127.0.0.1 " in line


def test_old_names_of_the_user_work_on_heroku_with_a_warning(launch: Start) -> None:
    old = {"USERNAME": "ann", "PASSWORD": "fake: old"}
    server = launch({"DYNO": "web.1", "WEB_CONCURRENCY": "1", **old}, users={})
    server.headers = HTTPS
    server.wait_until_ready()
    assert server.request("GET", "/info", user="ann", password="fake: old").status == 200
    assert server.log_lines("level=warning", "TABPY_USERNAME")
    assert "fake: old" not in server.log


# --- connections ---


def test_a_connection_serves_many_requests(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    headers = {"Authorization": basic(USER, PASSWORD)}
    body = json.dumps({"script": "return 1"})
    sockets = set()
    for method, route, content in [("GET", "/info", None), ("POST", "/evaluate", body)] * 3:
        connection.request(method, route, content, headers)
        response = connection.getresponse()
        assert response.read()
        assert response.status == 200
        sockets.add(connection.sock)
    connection.close()
    assert len(sockets) == 1


# --- without gunicorn ---

# Where there's no fork to rely on; any system that isn't Linux will do.
ELSEWHERE = """
import sys, sysconfig
from tabpy.commands import serve
sysconfig.get_config_vars()  # are a file that only the real system has
sys.platform = "elsewhere"
sys.exit(serve.main([]))
"""


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_in_a_single_process_it_answers_and_stops(start: Start, stop: signal.Signals) -> None:
    settings = {"TABPY_WORKERS": "1", "TABPY_EVALUATE_TIMEOUT": "2"}
    server = start(settings, command=[sys.executable, "-c", ELSEWHERE])
    assert server.evaluate("return _arg1[0] + 1", [1]).json == 2
    assert server.evaluate("while True: pass").status == 408
    assert server.evaluate("import os\nos._exit(3)").status == 500
    assert server.evaluate("return 1").json == 1
    server.process.send_signal(stop)
    code, output = server.end()
    assert code == 0
    assert "Traceback" not in output
