"""What is refused by its headers alone."""

from collections.abc import Callable

import pytest

from tabpy.tabpy_server.web.server_info import Service
from tests.web.harness import FakeGate, Web

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
        ("https://anybody.example", "*", 200),
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
        assert reply.error == (
            403,
            "Requests from other web sites are not allowed.",
            f"{origin} is not this server. state.ini may allow it: Access-Control-Allow-Origin.",
        )


def test_a_long_origin_is_not_repeated_whole(web: Web) -> None:
    _, _, info = web.request("GET", "/info", headers={"Origin": "http://" + "x" * 500}).error
    assert len(info) < 300


def test_credentials_are_asked_for_first(web: Web) -> None:
    headers = {"Origin": "https://foe.example", "Content-Encoding": "br"}
    assert web.request("POST", "/info", headers=headers, authorization=None).status == 401


# --- encodings ---


@pytest.mark.parametrize(
    ("encoding", "gzip", "refused"),
    [
        ("br", True, "Accepted: identity, gzip."),
        ("gzip, br", True, "Accepted: identity, gzip."),
        ("", True, "Accepted: identity, gzip."),
        ("gzip", False, "Accepted: identity."),
        ("GZIP", False, "Accepted: identity."),
        ("gzip", True, None),
        ("GZip", True, None),
        ("identity", False, None),
    ],
)
def test_a_body_is_plain_or_gzip(
    serve: Serve, encoding: str, gzip: bool, refused: str | None
) -> None:
    web = serve({"gzip_enable": gzip})
    reply = web.request("GET", "/info", headers={"Content-Encoding": encoding})
    if refused is None:
        assert reply.status == 200
    else:
        message = f"Content-Encoding '{encoding.lower()}' is not accepted."
        assert reply.error == (415, message, refused)
