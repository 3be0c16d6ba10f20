"""What is refused by its headers alone."""

from collections.abc import Callable
from gzip import compress

import pytest

from tabpy.tabpy_server.access.gate import OpenGate
from tabpy.tabpy_server.web.handlers.base import BaseHandler
from tabpy.tabpy_server.web.server_info import Service
from tests.web.harness import FakeGate, Web


class LengthHandler(BaseHandler):
    """Says how many bytes came."""

    route = "/length"

    def post(self) -> None:
        self.write_json(sum(map(len, self.whole_body())))


Serve = Callable[..., Web]

HTTPS_ONLY = "This server speaks https only."


# --- plain http ---


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_dyno_sends_browsers_to_https(serve: Serve, method: str) -> None:
    web = serve({"on_heroku": True}, proxies="*")
    headers = {"Host": "app.example", "X-Forwarded-Proto": "http"}
    reply = web.request(method, "/info?x=1", headers=headers, authorization=None)
    assert reply.status == 301
    assert reply.headers["Location"] == "https://app.example/info?x=1"
    if method == "GET":
        assert reply.error == (301, HTTPS_ONLY, "https://app.example/info?x=1")


@pytest.mark.parametrize("route", ["/evaluate", "/healthz"])
def test_a_dyno_takes_no_password_over_http(serve: Serve, route: str) -> None:
    web = serve({"on_heroku": True}, proxies="*")
    reply = web.request("POST", route, b"{}", {"X-Forwarded-Proto": "http"})
    assert reply.error == (403, HTTPS_ONLY, "Use https:// and port 443 (Require SSL: yes).")


@pytest.mark.parametrize(
    ("on_heroku", "headers"),
    [
        (True, {"X-Forwarded-Proto": "https"}),
        (True, {"X-Forwarded-Proto": "http, https"}),
        (True, {}),
        (False, {"X-Forwarded-Proto": "http"}),
    ],
)
def test_what_is_encrypted_or_stays_on_the_machine_is_let_in(
    serve: Serve, on_heroku: bool, headers: dict[str, str]
) -> None:
    web = serve({"on_heroku": on_heroku}, proxies="*")
    assert web.request("GET", "/info", headers=headers).status == 200


# --- other sites ---


@pytest.mark.parametrize(
    ("origin", "allowed", "status"),
    [
        ("http://here.example", None, 200),
        ("https://here.example", None, 200),
        ("https://HERE.example", None, 403),
        ("https://foe.example", None, 403),
        ("https://foe.example", "https://friend.example", 403),
        ("https://friend.example", "https://friend.example", 200),
        ("https://anybody.example", "*", 403),
        ("null", None, 403),
    ],
)
@pytest.mark.parametrize("remembers", [True, False])
def test_a_page_of_another_site_needs_to_be_allowed(
    serve: Serve, origin: str, allowed: str | None, status: int, remembers: bool
) -> None:
    cors = {"Access-Control-Allow-Origin": allowed} if allowed else {}
    web = serve(service=Service(cors=cors), gate=FakeGate(remembers))
    headers = {"Host": "here.example", "Origin": origin}
    reply = web.request("GET", "/info", headers=headers)
    assert reply.status == status
    if status == 403:
        name = (
            ", by its name, since * is not enough where a password is asked for"
            if allowed == "*"
            else ""
        )
        assert reply.error == (
            403,
            "Requests from other web sites are not allowed.",
            f"{origin} is not this server. state.ini may allow it: Access-Control-Allow-Origin"
            f"{name}.",
        )


@pytest.mark.parametrize(
    ("origin", "site"), [("https://anybody.example", None), (None, "cross-site"), ("null", "x")]
)
def test_without_passwords_every_page_may_be_allowed(
    serve: Serve, origin: str | None, site: str | None
) -> None:
    cors = {"Access-Control-Allow-Origin": "*"}
    web = serve(service=Service(cors=cors), gate=OpenGate())
    sent = {"Origin": origin, "Sec-Fetch-Site": site}
    headers = {name: value for name, value in sent.items() if value is not None}
    assert web.request("GET", "/info", headers=headers, authorization=None).status == 200


LINK = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
FRAME = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
IMAGE = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
SCRIPT = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize(
    ("asked", "how", "origin", "status"),
    [
        ("GET /", LINK, None, 200),
        ("GET /info", LINK, None, 200),
        ("GET /", FRAME, None, 403),
        ("GET /info", IMAGE, None, 403),
        ("GET /info", SCRIPT, None, 403),
        ("GET /info", {}, None, 403),
        ("POST /evaluate", LINK, None, 403),
        ("POST /evaluate", {}, None, 403),
        ("DELETE /endpoints/x", SCRIPT, None, 403),
        ("GET /", LINK, "https://foe.example", 403),
        ("GET /info", SCRIPT, "https://friend.example", 200),
        ("GET /info", SCRIPT, "http://here.example", 403),  # to https://here.example, say
    ],
)
def test_what_a_browser_calls_another_site_needs_to_be_allowed(
    serve: Serve,
    *,
    site: str,
    asked: str,
    how: dict[str, str],
    origin: str | None,
    status: int,
) -> None:
    web = serve(service=Service(cors={"Access-Control-Allow-Origin": "https://friend.example"}))
    headers = {"Host": "here.example", "Sec-Fetch-Site": site, **how}
    if origin:
        headers["Origin"] = origin
    method, path = asked.split()
    reply = web.request(method, path, headers=headers)
    assert reply.status == status
    if status == 403 and origin is None:
        assert reply.error[1:] == (
            "Requests from other web sites are not allowed.",
            f"The browser says Sec-Fetch-Site: {site}, and names no Origin.",
        )


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_the_pages_own_requests_and_typed_addresses_are_let_in(web: Web, site: str) -> None:
    reply = web.request("POST", "/evaluate", b"{}", {"Sec-Fetch-Site": site, **SCRIPT})
    assert reply.status == 503  # no worker, here


# --- other names ---


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_open_server_does_not_answer_to_a_strangers_name(serve: Serve, method: str) -> None:
    web = serve({"host_names": ("friend.example",)}, gate=OpenGate())
    for host, status in (
        ("foe.example:9004", 403),
        ("127.0.0.1:9004", None),
        ("localhost", None),
        ("friend.example", None),
    ):
        headers = {"Host": host, "Origin": f"http://{host}"}
        reply = web.request(method, "/evaluate", headers=headers, authorization=None)
        if status is None:
            assert reply.status != 403
        else:
            assert reply.error == (
                403,
                "This server doesn't answer to the name 'foe.example'.",
                "It asks for no password, so it has to be called localhost, by its address, by "
                "its machine's name, or by a name in TABPY_HOST_NAMES.",
            )


def test_a_server_with_passwords_has_any_name(web: Web) -> None:
    assert web.request("GET", "/info", headers={"Host": "any.example"}).status == 200


def test_a_long_origin_is_not_repeated_whole(web: Web) -> None:
    _, _, info = web.request("GET", "/info", headers={"Origin": "http://" + "x" * 500}).error
    assert len(info) < 300


def test_credentials_are_asked_for_first(web: Web) -> None:
    headers = {"Origin": "https://foe.example", "Content-Encoding": "br"}
    assert web.request("POST", "/info", headers=headers, authorization=None).status == 401


# --- encodings ---


PLAIN = b'\n {"script": "return 1"}'
COMPRESSED = compress(PLAIN, mtime=0)
PACKED = b"\x8b\x0b\x80" + PLAIN + b"\x03"


@pytest.mark.parametrize(
    ("encoding", "gzip", "body", "refused"),
    [
        ("br", True, PACKED, "Accepted: identity, gzip."),
        ("gzip, br", True, PACKED, "Accepted: identity, gzip."),
        ("", True, PACKED, "Accepted: identity, gzip."),
        ("gzip", False, COMPRESSED, "Accepted: identity."),
        ("GZIP", False, COMPRESSED, "Accepted: identity."),
        ("GZIP", False, PLAIN, "Accepted: identity."),
        ("gzip", True, COMPRESSED, None),
        ("GZip", True, COMPRESSED, None),
        ("identity", False, PLAIN, None),
        # differences 33: what is plain whatever is said
        ("utf-8", True, PLAIN, None),
        ("br", False, PLAIN, None),
        ("br", True, PLAIN.decode().encode("utf-8-sig"), None),
        ("x", True, PLAIN.decode().encode("utf-16"), None),
        ("br", True, b"", None),
    ],
)
def test_a_body_is_plain_or_gzip(
    serve: Serve, encoding: str, gzip: bool, body: bytes, refused: str | None
) -> None:
    web = serve({"gzip_enable": gzip}, routes={"/length": LengthHandler})
    reply = web.request("POST", "/length", body, headers={"Content-Encoding": encoding})
    if refused is None:
        plain = PLAIN if encoding.lower() == "gzip" else body
        assert (reply.status, reply.json) == (200, len(plain))
    else:
        message = f"Content-Encoding '{encoding.lower()}' is not accepted."
        assert reply.error == (415, message, refused)


# --- other names of this site ---


@pytest.mark.parametrize(
    ("headers", "trusted", "status"),
    [
        ({"X-Forwarded-Host": "public.example"}, "127.0.0.1", 200),
        ({"X-Forwarded-Host": "foe.example, public.example"}, "127.0.0.1", 200),
        ({"X-Forwarded-Host": "public.example"}, "", 403),
        ({"X-Forwarded-Host": "other.example"}, "127.0.0.1", 403),
        ({}, "127.0.0.1", 403),
        ({"Sec-Fetch-Site": "same-origin"}, "", 200),
        ({"Sec-Fetch-Site": "none"}, "", 403),
        (
            {"Sec-Fetch-Site": "cross-site", "X-Forwarded-Host": "public.example"},
            "127.0.0.1",
            403,
        ),
    ],
)
def test_the_page_works_behind_a_proxy_that_has_another_host(
    serve: Serve, headers: dict[str, str], trusted: str, status: int
) -> None:  # differences 32
    web = serve(proxies=trusted)
    sent = {"Host": "127.0.0.1:9004", "Origin": "https://public.example", **headers}
    assert web.request("POST", "/info", headers=sent).status == (405 if status == 200 else 403)


def test_what_a_proxy_was_called_by_opens_no_server_without_passwords(serve: Serve) -> None:
    web = serve(gate=OpenGate())  # whose name a stranger's page may have taken
    headers = {"Host": "foe.example", "X-Forwarded-Host": "localhost"}
    assert web.request("GET", "/info", headers=headers, authorization=None).status == 403
