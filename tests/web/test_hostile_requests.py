"""Nothing that a client or state.ini says breaks anything: every answer is one that was meant."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tabpy.tabpy_server.errors import StartError
from tabpy.tabpy_server.web import server_info
from tabpy.tabpy_server.web.server_info import Service
from tests.web.harness import SIGNED_IN, Web, request_text
from tests.web.hostile import NASTY, header_values

Serve = Callable[..., Web]
Failures = Callable[[], list[str]]

HEADERS = [
    "Accept-Language",
    "Authorization",
    "Connection",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "Cookie",
    "Expect",
    "Host",
    "If-Modified-Since",
    "If-None-Match",
    "Origin",
    "Range",
    "TabPy-Client",
    "TabPy-User",
    "Transfer-Encoding",
    "User-Agent",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Request-Id",
]
REQUESTS = [
    ("GET", "/"),
    ("GET", "/info"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/static/page.js"),
    ("POST", "/evaluate"),
    ("POST", "/query/x"),
    ("OPTIONS", "/evaluate"),
    ("GET", "/nosuch"),
]
# A body for those that announce one: no request of its own, and no chunk.
FILLER = {"Content-Length": b"x\r\n" * 200, "Transfer-Encoding": b"x\r\n"}


def status_of(web: Web, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> int:
    """The answer's status; 0 if the connection was closed without one."""

    async def exchange() -> int:
        async with web.connection() as connection:
            await connection.send(request_text(method, path, headers) + body)
            try:
                return (await connection.reply(method)).status
            except (asyncio.IncompleteReadError, ConnectionResetError):
                return 0

    return web.run(exchange())


@pytest.mark.parametrize("header", HEADERS)
def test_no_header_breaks_anything(serve: Serve, failures: Failures, header: str) -> None:
    web = serve({"log_details": True, "on_heroku": header == "X-Forwarded-Proto"})
    dice = random.Random(header)
    for value in dice.sample(header_values(40), 30):
        method, path = dice.choice(REQUESTS)
        usual = {"Host": "x", "Authorization": SIGNED_IN} if dice.random() < 0.8 else {"Host": "x"}
        status = status_of(web, method, path, {**usual, header: value}, FILLER.get(header, b""))
        assert status != 500, (method, path, value)
        assert status != 0 or header in FILLER, (method, path, value)
    assert failures() == []


@pytest.mark.parametrize("path", ["%00", "%ff", "a/../../%00", "x" * 5000, "[", "\xff", "..%2f%00"])
@pytest.mark.parametrize("folder", ["/static/", "/query/", "/endpoints/", "/"])
def test_no_path_breaks_anything(web: Web, failures: Failures, folder: str, path: str) -> None:
    assert web.request("GET", folder + path).status in (400, 403, 404)
    assert failures() == []


@pytest.mark.parametrize("value", NASTY)
def test_no_host_breaks_the_page(web: Web, failures: Failures, value: str) -> None:
    value = value.strip(" \t")
    assert status_of(web, "GET", "/", {"Host": value, "Authorization": SIGNED_IN}) in (200, 400)
    assert failures() == []


# --- those that did break something ---


@pytest.mark.parametrize(("digits", "size"), [(5000, 10**18), (4000, 10**18), (10, 9_999_999_999)])
def test_a_size_of_many_digits_is_too_large(
    web: Web, failures: Failures, digits: int, size: int
) -> None:
    headers = {"Content-Length": "9" * digits}
    status, message, _ = web.request("POST", "/info", headers=headers).error
    assert (status, message) == (
        413,
        f"Request with size {size} exceeded limit of 104857600 (bytes).",
    )
    refused = web.request("POST", "/info", headers=headers, authorization=None)
    assert refused.status == 401
    assert failures() == []


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "http://x:abc"])
def test_an_origin_that_is_none_is_another_site(web: Web, failures: Failures, origin: str) -> None:
    status, message, info = web.request("GET", "/info", headers={"Origin": origin}).error
    assert (status, message) == (403, "Requests from other web sites are not allowed.")
    assert info.startswith(f"{origin} is not this server.")
    assert failures() == []


@pytest.mark.parametrize(
    ("host", "shown"),
    [("x:abc", "x"), ("x:99999", "x"), ("[", ""), ("[::1", ""), ("x:80:80", "x"), ("x:", "x")],
)
def test_the_page_shows_of_a_host_what_is_right(
    web: Web, failures: Failures, host: str, shown: str
) -> None:
    for path in ("/", "/page/connect", "/page/functions"):
        page = web.request("GET", path, headers={"Host": host})
        assert page.status == 200
        assert f"TabPy Server on {shown}</title>" in page.body.decode()
    assert failures() == []


def test_a_host_whose_port_has_no_end_is_400(web: Web, failures: Failures) -> None:
    assert web.request("GET", "/", headers={"Host": "x:" + "9" * 5000}).status == 400
    assert failures() == []


def test_a_file_whose_name_cannot_be_is_404(web: Web, failures: Failures) -> None:
    assert web.request("GET", "/static/%00").error[:2] == (404, "Not Found")
    assert failures() == []


# --- state.ini ---


@pytest.mark.parametrize(
    ("name", "realm"),
    [
        ("TabPy Server", "TabPy Server"),
        ('The "best" one', "The 'best' one"),
        ("Käse", "Käse"),
        ("Сервис ✓", "?????? ?"),
        ("a\\", "a\\\\"),
        ("two\nlines\x1b", "two lines "),
    ],
)
def test_the_challenge_names_any_service(
    serve: Serve, failures: Failures, name: str, realm: str
) -> None:
    web = serve(service=Service(name=name))
    reply = web.request("GET", "/info", authorization=None)
    assert reply.error == (401, "Invalid credentials provided.", "Unauthorized request.")
    challenge = reply.headers["WWW-Authenticate"]
    assert challenge == f'Basic realm="{realm}"'
    assert web.request("GET", "/info").json["name"] == name
    assert web.request("GET", "/").status == 200
    assert failures() == []


def read(folder: Path, text: str) -> Service:
    (folder / "state.ini").write_text(f"[Service Info]\n{text}\n", encoding="utf-8")
    return server_info.read(folder)


@pytest.mark.parametrize("text", ["\x01", "\x1b[31m", "\x7f", "https://пример.example", "\u2028"])
@pytest.mark.parametrize("header", server_info.CORS)
def test_a_header_that_cannot_be_is_named_at_the_start(
    tmp_path: Path, header: str, text: str
) -> None:
    with pytest.raises(StartError, match=rf"^TABPY_STATE_PATH: {header} is '.*state\.ini.*Latin-1"):
        read(tmp_path, f"{header} = x{text}y")


def test_a_header_on_two_lines_is_one(serve: Serve, tmp_path: Path) -> None:
    web = serve(service=read(tmp_path, "Access-Control-Allow-Methods = GET,\n  POST"))
    reply = web.request("OPTIONS", "/info", authorization=None)
    assert reply.headers["Access-Control-Allow-Methods"] == "GET, POST"


@pytest.mark.parametrize("folder", ["a(b", "a.b", "a+b", "(x)", "[", "a|b", "a\\b", "^$"])
def test_a_subdirectory_is_no_pattern(
    serve: Serve, failures: Failures, tmp_path: Path, folder: str
) -> None:
    web = serve(service=read(tmp_path, f"Subdirectory = /{folder}/"))
    assert web.request("GET", f"/{folder}/info").status == 200
    assert web.request("GET", f"/{folder}/endpoints/x").status == 404
    assert web.request("GET", "/axb/info").status == 404
    assert failures() == []


def test_no_state_ini_breaks_anything(serve: Serve, failures: Failures, tmp_path: Path) -> None:
    """Whatever its values are: a server that serves, or one line that says why it doesn't start."""
    for value in random.Random(7).sample(header_values(40), 30):
        text = "\n".join(
            f"{key} = {value}"
            for key in ("Name", "Description", "Creation Time", "Subdirectory", *server_info.CORS)
        )
        try:
            service = read(tmp_path, text)
        except StartError:
            continue
        web = serve(service=service)
        assert web.request("OPTIONS", "/", authorization=None).status == 200
        assert web.request("GET", "/", authorization=None).status == 401
        assert web.request("GET", "/nosuch").status in (403, 404)
    assert failures() == []
