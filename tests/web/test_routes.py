"""The routes: closed unless they say otherwise, and where they are."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tabpy.tabpy_server.package_files import OUR_PAGE
from tabpy.tabpy_server.web.handlers.base import BaseHandler
from tabpy.tabpy_server.web.handlers.job import JobHandler
from tabpy.tabpy_server.web.handlers.service import UnknownHandler
from tabpy.tabpy_server.web.openapi import Handler
from tabpy.tabpy_server.web.page import files
from tabpy.tabpy_server.web.routes import make_routes
from tabpy.tabpy_server.web.server_info import Service
from tests.web.harness import FakeGate, Web, make_context

Serve = Callable[..., Web]

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
PREFIX = "/a/b"


@pytest.fixture
def own_pages(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text("{{ ours }}")
    return tmp_path


def routes(settings: dict[str, object]) -> list[tuple[str, Handler]]:
    """A path for every route, with its handler, and one for none of them."""
    found: list[tuple[str, Handler]] = [("/nosuch", UnknownHandler)]
    for pattern, handler, _ in make_routes(make_context(settings)):
        found.append((PREFIX + re.sub(r"\(.*\)", "x", pattern), handler))
    return found


@pytest.mark.parametrize("with_own_pages", [False, True])
@pytest.mark.parametrize("remembers", [True, False])
@pytest.mark.parametrize("authorization", [None, "", "Basic eDp5", "Bearer x"])
def test_every_route_is_closed_unless_it_says_otherwise(
    serve: Serve,
    own_pages: Path,
    with_own_pages: bool,
    remembers: bool,
    authorization: str | None,
) -> None:
    settings: dict[str, object] = {"static_path": own_pages} if with_own_pages else {}
    web = serve(settings, service=Service(prefix=PREFIX), gate=FakeGate(remembers))
    for path, handler in routes(settings):
        for method in METHODS:
            reply = web.request(method, path, authorization=authorization)
            if handler.open_to_all:
                expected = 200 if method in ("GET", "HEAD") else 405
                assert reply.status == expected, (method, path)
            else:
                assert reply.status == 401, (method, path)
        # A preflight carries no credentials (https://fetch.spec.whatwg.org/#cors-protocol).
        assert web.request("OPTIONS", path, authorization=authorization).json == {}


def test_only_the_signs_of_life_are_open() -> None:
    opened = [path for path, handler in routes({}) if handler.open_to_all]
    assert opened == [f"{PREFIX}/healthz", f"{PREFIX}/readyz"]


def test_every_route_is_one_of_ours() -> None:
    assert all(issubclass(handler, (BaseHandler, JobHandler)) for _, handler in routes({}))


def test_all_routes_lie_under_the_prefix(serve: Serve) -> None:
    web = serve(service=Service(prefix=PREFIX))
    assert web.request("GET", f"{PREFIX}/info").status == 200
    assert web.request("GET", f"{PREFIX}/").status == 200
    assert web.request("GET", "/info").error == (404, "Not Found", "There is nothing at /info.")


# --- HEAD ---


@pytest.mark.parametrize("with_own_pages", [False, True])
def test_head_is_answered_wherever_get_is_with_the_same_headers_and_no_body(
    serve: Serve, own_pages: Path, with_own_pages: bool
) -> None:  # differences 10: start scripts wait by `curl --head --fail`
    settings: dict[str, object] = {"static_path": own_pages} if with_own_pages else {}
    web = serve(settings, service=Service(prefix=PREFIX))
    for path, _ in routes(settings):
        get, head = (web.request(method, path) for method in ("GET", "HEAD"))
        assert head.status == get.status, path
        assert head.body == b""
        changing = path in (f"{PREFIX}/metrics", f"{PREFIX}/activity")  # whose figures do
        if get.status == 200 and not changing:
            assert head.headers["Content-Length"] == get.headers["Content-Length"], path
    assert web.request("HEAD", f"{PREFIX}/").status == 200
    assert web.request("HEAD", f"{PREFIX}/evaluate").status == 405


# --- files ---


@pytest.mark.parametrize(
    ("name", "kind"),
    [("page.css", "text/css"), ("shell.js", "text/javascript"), ("favicon.svg", "image/svg+xml")],
)
def test_the_pages_files_are_sent(web: Web, name: str, kind: str) -> None:
    for folder in ("", "0" * 16 + "/", files.version() + "/"):
        reply = web.request("GET", f"/static/{folder}{name}")
        assert (reply.status, reply.body) == (200, (OUR_PAGE / name).read_bytes())
        assert reply.headers["Content-Type"] == kind


def test_a_browser_keeps_a_file_for_a_year_by_the_address_that_has_its_hash(web: Web) -> None:
    page = web.request("GET", "/").body.decode()
    [address] = re.findall(r'rel="stylesheet" href="([^"]+)"', page)
    address = address.removeprefix(".")
    kept = web.request("GET", address).headers["Cache-Control"]
    assert kept == "private, max-age=31536000, immutable"
    for other in (address.replace(files.version(), "0" * 16), "/static/page.css"):
        assert web.request("GET", other).headers["Cache-Control"] == "no-store"


def test_the_hash_is_another_one_when_a_file_is(monkeypatch: pytest.MonkeyPatch) -> None:
    before = files.version()
    changed = {**files.files(), "page.css": files.File(b"", "text/css")}
    monkeypatch.setattr(files, "files", lambda: changed)
    assert files.version.__wrapped__() != before


@pytest.mark.parametrize(
    "name", ["layout.html", "../templates/layout.html", "%2e%2e/templates/layout.html", "nosuch.js"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_nothing_else_is(web: Web, method: str, name: str) -> None:
    assert web.request(method, f"/static/{name}").status == 404


def test_the_page_is_made_of_it(web: Web) -> None:
    page = web.request("GET", "/")
    assert page.status == 200
    assert b"{%" not in page.body
    assert b"TabPy Server" in page.body


def test_pages_of_somebodys_own_are_sent_as_they_are(serve: Serve, own_pages: Path) -> None:
    web = serve({"static_path": own_pages})
    for path in ("/", "/index.html"):
        assert web.request("GET", path).body == b"{{ ours }}"
    assert web.request("GET", "/shell.js").status == 404


def test_our_page_is_ours_however_its_folder_is_called(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(OUR_PAGE)
    for folder in (tmp_path / "link", OUR_PAGE / ".." / OUR_PAGE.name):
        page = serve({"static_path": folder}).request("GET", "/")
        assert page.status == 200
        assert b"{%" not in page.body
