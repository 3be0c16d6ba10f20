"""The page's views as the server writes them: to whom they show what, and that text stays text."""

import gzip
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from tabpy.tabpy_server.access.gate import OpenGate
from tabpy.tabpy_server.errors import StoreUnavailableError, UnknownEndpointError
from tabpy.tabpy_server.functions.store.endpoint import (
    ALIAS,
    ArchiveInfo,
    Endpoint,
    EndpointMetadata,
    Version,
)
from tabpy.tabpy_server.rights import ALL, DEPLOY, EVALUATE, QUERY, Rights
from tabpy.tabpy_server.web import findings
from tabpy.tabpy_server.web.context import Context
from tabpy.tabpy_server.web.findings import Finding, certificate
from tabpy.tabpy_server.web.page import navigation
from tabpy.tabpy_server.web.page.views import VIEWS
from tabpy.tabpy_server.web.server_info import Service
from tabpy.tabpy_server.workers.protocol import Reference
from tabpy.tabpy_tools.schema import generate_schema
from tests.deploying import archive_of
from tests.web.harness import FakeCatalog, FakeGate, Web

Serve = Callable[..., Web]

HTML = '<b>bold</b> & "quoted" \'</script>'
ARCHIVE = ArchiveInfo("0" * 64, 2_000, python="3.13.1", requirements=["numpy>=2"])
PATHS = [entry.path for entry in navigation.ENTRIES]


def function(name: str, **metadata: Any) -> Endpoint:
    return Endpoint(name, 2, EndpointMetadata(**metadata), ARCHIVE, 1_700_000_000, 1_700_000_000)


class Catalog(FakeCatalog):
    """Has some functions, each in two versions, and at most one archive for all."""

    archive: Path | None = None

    def __init__(self, *endpoints: Endpoint, broken: Mapping[str, str] | None = None) -> None:
        self._endpoints = {each.name: each for each in endpoints}
        self.broken = MappingProxyType(dict(broken or {}))
        self.size = len(endpoints)

    async def endpoints(self) -> dict[str, Any]:
        return self._endpoints

    async def endpoint(self, name: str) -> Any:
        if name not in self._endpoints:
            raise UnknownEndpointError(name)
        return self._endpoints[name]

    async def reference(self, name: str) -> Any:
        if self.archive is None:
            raise StoreUnavailableError
        return Reference(name, 2, "0" * 64, str(self.archive), "3.13.1")

    async def run(self, operation: object) -> Any:
        return None, [Version(2, ARCHIVE, 1_700_000_001, "anna"), Version(1, ARCHIVE, 0, None)]


@pytest.fixture(autouse=True)
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "free_disk_mb", lambda _: 10_000.0)
    monkeypatch.setattr(findings, "is_memory_short", lambda: False)


def view(web: Web, path: str = "", **options: Any) -> str:
    reply = web.request("GET", f"{web.context.service.prefix}/{path}", **options)
    assert reply.status == 200, path
    return reply.body.decode()


def with_rights(serve: Serve, *rights: str, **options: Any) -> Web:
    return serve(gate=FakeGate(rights=rights), **options)


# --- the frame ---


@pytest.mark.parametrize("path", PATHS)
def test_every_view_leads_to_the_others_and_says_which_it_is(web: Web, path: str) -> None:
    page = view(web, path)
    root = "../" if path else "./"
    for entry in navigation.ENTRIES:
        current = ' aria-current="page"' if entry.path == path else ""
        assert f'<a href="{root}{entry.path}"{current}>{entry.label}</a>' in page
    [title] = re.findall("<title>(.*?)</title>", page)
    assert title.endswith("TabPy Server on 127.0.0.1")
    assert "{%" not in page
    assert "{{" not in page


def test_every_entry_is_a_view() -> None:
    assert {view.entry for view in VIEWS} == set(navigation.ENTRIES)
    assert {f"/{entry.path}" for entry in navigation.ENTRIES} <= {view.route for view in VIEWS}


@pytest.mark.parametrize("path", PATHS)
def test_a_view_has_no_script_or_style_of_its_own_and_nothing_of_another_host(
    web: Web, path: str
) -> None:
    reply = web.request("GET", f"/{path}")
    page = reply.body.decode()
    assert "unsafe" not in reply.headers["Content-Security-Policy"]
    assert "<style" not in page
    assert not re.search(r"<[^>]+\s(style|on\w+)=", page)
    assert all("src=" in each for each in re.findall("<script[^>]*>", page))
    assert not re.search(r"""(src|href)=["'](https?:)?//""", page)


@pytest.mark.parametrize("path", PATHS)
def test_its_files_are_there(web: Web, path: str) -> None:
    page = view(web, path)
    for address in re.findall(r'(?:src|href)="([^"]*static/[^"]+)"', page):
        found = re.sub(r"^(\.\./|\./)", "/", address)
        assert web.request("GET", found).status == 200, address


def test_a_first_view_is_small(serve: Serve) -> None:
    web = serve(catalog=Catalog(*(function(f"Function {n}", description=HTML) for n in range(999))))
    for path in ("", "page/functions"):
        page = view(web, path)
        sizes = [len(gzip.compress(page.encode()))]
        for address in set(re.findall(r'(?:src|href)="([^"]*static/[^"]+)"', page)):
            file = web.request("GET", re.sub(r"^(\.\./|\./)", "/", address)).body
            sizes.append(len(gzip.compress(file)))
        assert sum(sizes) < 150_000


def test_below_a_prefix_all_is_relative_to_it(serve: Serve) -> None:
    web = serve(service=Service(prefix="/a/b"), catalog=Catalog(function("Price")))
    assert 'href="./page/connect"' in view(web)
    assert 'href="../page/connect"' in view(web, "page/functions")
    page = view(web, "page/functions/Price")
    assert 'href="../../page/connect"' in page
    assert 'data-root="../../"' in page


# --- rights ---


def test_who_may_not_evaluate_is_not_offered_to_try_a_script(serve: Serve) -> None:
    assert ">Try it</a>" not in view(with_rights(serve, QUERY))
    assert ">Try it</a>" in view(with_rights(serve, EVALUATE))
    assert ">Try it</a>" not in view(serve({"evaluate_enable": False}))


@pytest.mark.parametrize("rights", [(), (QUERY,), (EVALUATE,), (DEPLOY,), ALL], ids=str)
def test_a_function_offers_what_one_may_do_with_it(serve: Serve, rights: Rights) -> None:
    web = with_rights(serve, *rights, catalog=Catalog(function("Price")))
    page = view(web, "page/functions/Price")
    assert ('id="call"' in page) is (QUERY in rights)
    for part in ('id="remove"', 'data-roll-back="1"', 'id="make-public"'):
        assert (part in page) is (DEPLOY in rights), part


def test_the_text_of_a_function_is_for_those_who_deploy(serve: Serve, tmp_path: Path) -> None:
    catalog = Catalog(function("Price"))
    catalog.archive = tmp_path / "archive"
    catalog.archive.write_bytes(archive_of(lambda costs: [HTML, *costs]))
    for rights, is_shown in ((ALL, True), ((DEPLOY,), True), ((QUERY, EVALUATE), False)):
        page = view(with_rights(serve, *rights, catalog=catalog), "page/functions/Price")
        assert ("lambda costs: [HTML, *costs]" in page) is is_shown


# --- text stays text ---


def test_what_people_wrote_is_shown_as_they_wrote_it(serve: Serve) -> None:
    schema = {
        "input": {"type": "object", "properties": {HTML: {"type": HTML, "description": HTML}}},
        "sample": {HTML: HTML},
    }
    price = function("Price", description=HTML, docstring=f"x{HTML}", schema=schema)
    alias = Endpoint("Alias", 1, EndpointMetadata(ALIAS, HTML, target="Price"), None, 0, 0)
    web = serve(
        catalog=Catalog(price, alias, broken={"Price": HTML}),
        service=Service(name=HTML, description=HTML),
    )
    for path in ("", "page/functions", "page/functions/Price", "page/functions/Alias"):
        page = view(web, path)
        assert "<b>bold" not in page
        assert "&lt;b&gt;bold&lt;/b&gt; &amp;" in page


def test_half_a_surrogate_pair_breaks_no_view(serve: Serve) -> None:
    web = serve(catalog=Catalog(function("Price", description="half \ud83d", schema="\ud83d")))
    assert "half ?" in view(web, "page/functions")
    assert "half ?" in view(web, "page/functions/Price")


@pytest.mark.parametrize(
    "schema",
    [None, "text", [], {"input": []}, {"input": {"properties": {"x": 1}, "required": {"x": 1}}}],
    ids=str,
)
def test_any_schema_can_be_shown(serve: Serve, schema: object) -> None:
    view(serve(catalog=Catalog(function("Price", schema=schema))), "page/functions/Price")


# --- status ---


def test_status_is_green_when_nothing_is_found(web: Web) -> None:
    page = view(web)
    assert '<h1 id="verdict">Everything works</h1>' in page
    assert 'id="findings"' not in page


def test_status_begins_with_what_needs_somebody(serve: Serve) -> None:
    page = view(serve(catalog=Catalog(function("Price"), broken={"Price": "No numpy."})))
    assert '<h1 id="verdict">1 thing needs somebody</h1>' in page
    assert "Price: No numpy." in page
    assert page.index('id="findings"') < page.index('class="signals"')


def test_two_findings_of_one_kind_do_not_share_an_id(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def two(_: Context) -> list[Finding]:
        return certificate(["It ends soon: renew it.", "No authority: put in the whole chain."])

    monkeypatch.setattr(Context, "findings", two)
    page = view(web)
    assert "2 things need somebody" in page
    assert page.count('id="finding-certificate"') == 1
    assert "Put in the whole chain." in page


def test_an_open_server_is_not_green(serve: Serve) -> None:
    page = view(serve(gate=OpenGate()), authorization=None)
    assert 'id="finding-open"' in page
    assert "Everything works" not in page


@pytest.mark.parametrize(
    ("host", "is_here"),
    [("localhost:9004", True), ("127.0.0.1", True), ("[::1]:9004", True), ("tabpy.test", False)],
)
def test_on_ones_own_machine_nothing_is_said_of_what_cannot_work_from_there(
    web: Web, host: str, is_here: bool
) -> None:
    assert ("Tableau Cloud" not in view(web, headers={"Host": host})) is is_here
    page = view(web, "page/connect", headers={"Host": host})
    assert ("Tableau Cloud" not in page) is is_here
    assert "Tableau Desktop" in page


# --- connect ---


def test_connect_shows_the_values_as_the_browser_reached_the_server(web: Web) -> None:
    headers = {"Host": "tabpy.test", "X-Forwarded-Proto": "https", "X-Forwarded-For": "10.0.0.1"}
    page = view(web, "page/connect", headers=headers)
    assert '<dd id="host">tabpy.test</dd>' in page
    assert '<dd id="port">443</dd>' in page
    assert '<dd id="ssl">yes</dd>' in page
    assert "tabpy-check https://tabpy.test -u paolo" in page


def test_who_signs_in_by_a_token_alone_reads_that_tableau_cannot(serve: Serve) -> None:
    page = view(serve(gate=FakeGate(methods={"oauth-jwt": {}})), "page/connect")
    assert "Tableau signs in by these, and no user has any here" in page


# --- functions ---


def test_without_functions_the_view_says_how_to_deploy_one(web: Web) -> None:
    page = view(web, "page/functions")
    assert "No function is deployed yet" in page
    assert f'Client("http://127.0.0.1:{web.port}")' in page


def test_functions_are_listed_with_what_is_known_of_them(serve: Serve) -> None:
    web = serve(catalog=Catalog(function("Price", description="x" * 500, is_public=True)))
    for failed in (True, False, False):
        web.context.function_figures.add("Price", 0.020, failed=failed)
    page = view(web, "page/functions")
    assert "x" * 139 + "…" in page
    assert '<span class="badge">public</span>' in page
    assert '<dd>3, <span class="bad">1 failed</span></dd>' in page
    assert re.search(r"<dd>(1[7-9]|2[0-3]) ms</dd>", page)


@pytest.mark.parametrize("pure", [True, False])
def test_the_view_of_a_function_says_whether_it_is_pure(serve: Serve, pure: bool) -> None:
    web = serve(catalog=Catalog(replace(function("Price"), pure=pure)))
    assert ('id="pure"' in view(web, "page/functions/Price")) is pure


def test_a_function_has_calculations_to_paste_and_calls_for_programs(serve: Serve) -> None:
    schema = generate_schema({"costs": [1.5], "kind": ["a's"]}, [1.0])
    web = serve(catalog=Catalog(function("With Tax", schema=schema)))
    page = view(web, "page/functions/With%20Tax")
    quote, apostrophe = "&quot;", "&#x27;"
    assert (
        f'<pre id="model-calculation">MODEL_EXTENSION_REAL({quote}With Tax{quote}, '
        f"{quote}costs,kind{quote}, SUM([costs]), ATTR([kind]))</pre>"
    ) in re.sub("&#39;", apostrophe, page)
    assert f"http://127.0.0.1:{web.port}/query/With%20Tax -d" in page
    assert "client.query(" in page
    assert "a list of numbers" in page
    assert "a list of texts" in page


def test_versions_are_listed_with_who_when_python_and_size(serve: Serve) -> None:
    page = view(serve(catalog=Catalog(function("Price"))), "page/functions/Price")
    assert "<td>anna</td>" in page
    assert "<td>3.13.1</td>" in page
    assert "<td>2 kB</td>" in page
    assert '<time datetime="2023-11-14T22:13:21+00:00">' in page
    assert 'data-roll-back="2"' not in page  # which answers


def test_an_alias_whose_target_is_gone_says_so(serve: Serve) -> None:
    alias = Endpoint("Alias", 1, EndpointMetadata(ALIAS, target="Gone"), None, 0, 0)
    page = view(serve(catalog=Catalog(alias)), "page/functions/Alias")
    assert "Its target isn't there" in page or "Its target isn&#x27;t there" in page


def test_there_is_no_view_of_a_function_that_is_not_there(web: Web) -> None:
    assert web.request("GET", "/page/functions/nosuch").status == 404


# --- packages and reference ---


def test_packages_are_listed_with_the_servers_python(web: Web) -> None:
    page = view(web, "page/packages")
    packages = web.request("GET", "/packages").json
    assert f'<span id="python-version">{packages["python"]}</span>' in page
    assert f"<li><b>tornado</b> <span>{packages['packages']['tornado']}</span></li>" in page


def test_the_reference_has_every_route_for_programs(web: Web) -> None:
    page = view(web, "page/reference")
    assert "`" not in page
    described = web.request("GET", "/openapi.json").json["paths"]
    programs = {path for path in described if not path.startswith(("/page/", "/static/"))} - {"/"}
    shown = re.findall(r'<span class="method">(\w+)</span> ([^<]+)</code>', page)
    assert {path for _, path in shown} == programs
    assert ("POST", "/evaluate") in shown
    assert "HEAD" not in dict(shown)
