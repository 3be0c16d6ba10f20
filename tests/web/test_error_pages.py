"""Errors are pages for a browser and JSON for programs; and what every reply tells a browser."""

import base64
import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tabpy.tabpy_server.web.server_info import Service
from tests.running import Reply
from tests.web.harness import Web

Serve = Callable[..., Web]

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def text(reply: Reply) -> str:
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    return reply.body.decode()


def test_a_browser_reads_that_something_is_not_there(web: Web) -> None:
    reply = web.request("GET", "/no<b>such", headers=BROWSER)
    assert reply.status == 404
    page = text(reply)
    assert "<h1>Not Found</h1>" in page
    assert "There is nothing at /no&lt;b&gt;such." in page
    assert reply.headers["X-Request-Id"] in page
    assert 'href="./"' in page


def test_a_browser_without_a_password_reads_how_to_get_in_and_is_asked_for_one(web: Web) -> None:
    reply = web.request("GET", "/page/connect", headers=BROWSER, authorization=None)
    assert reply.status == 401
    assert reply.headers["WWW-Authenticate"].startswith("Basic ")
    assert "Reload this page" in text(reply)
    assert "href" not in text(reply)  # each file of ours would ask again


def test_the_page_has_a_style_of_its_own_and_the_browser_is_told_which(web: Web) -> None:
    reply = web.request("GET", "/nosuch", headers=BROWSER)
    [style] = re.findall("<style>(.*?)</style>", text(reply), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = reply.headers["Content-Security-Policy"]
    assert f"style-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")


def test_it_leads_back_from_any_depth_and_below_any_prefix(serve: Serve) -> None:
    web = serve(service=Service(prefix="/a/b"))
    page = text(web.request("GET", "/a/b/endpoints/nosuch", headers=BROWSER))
    assert 'href="../"' in page


@pytest.mark.parametrize(
    "accepted",
    [
        None,
        "*/*",
        "application/json",
        "application/json, text/html;q=0",
        "text/htmlx",
        "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",  # Java's, which Tableau may use
        "text/html, image/gif, image/jpeg, */*; q=0.2",
    ],
)
def test_a_program_reads_json(web: Web, accepted: str | None) -> None:
    headers = {"Accept": accepted} if accepted else {}
    reply = web.request("GET", "/nosuch", headers=headers)
    assert reply.error == (404, "Not Found", "There is nothing at /nosuch.")
    assert web.request("GET", "/info", headers=headers, authorization=None).error[0] == 401


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_what_only_a_program_sends_is_answered_in_json(web: Web, method: str) -> None:
    assert web.request(method, "/nosuch", headers=BROWSER).error[0] == 404


def test_pages_of_somebodys_own_have_none_of_ours_beside_them(serve: Serve, tmp_path: Path) -> None:
    web = serve({"static_path": tmp_path})
    assert web.request("GET", "/nosuch", headers=BROWSER).error[0] == 404


@pytest.mark.parametrize("path", ["/", "/info", "/nosuch", "/static/page.css", "/page/connect"])
@pytest.mark.parametrize("headers", [{}, BROWSER])
def test_every_reply_has_the_rules_for_browsers(
    web: Web, path: str, headers: dict[str, str]
) -> None:
    for authorization in ({}, {"authorization": None}):
        reply = web.request("GET", path, headers=headers, **authorization)  # type: ignore[arg-type]
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Referrer-Policy"] == "no-referrer"
        assert reply.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert reply.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "camera=()" in reply.headers["Permissions-Policy"]
        if reply.headers["Content-Type"].startswith("text/html"):
            policy = reply.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; ")
            assert "unsafe" not in policy
