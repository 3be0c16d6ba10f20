"""Every view for everybody: with and without functions, by day and by night, on a phone and a desk.

axe-core finds what a program can find: contrast, names, roles, order. The rest is looked at here:
that nothing is wider than the window, and how large the first view is.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from tabpy.tabpy_server.functions.store.database import open_engine
from tabpy.tabpy_server.functions.store.endpoint import EndpointMetadata
from tabpy.tabpy_server.functions.store.store import Store
from tabpy.tabpy_server.web.page import navigation
from tabpy.tabpy_tools.schema import generate_schema
from tests.browser.first_view import sizes
from tests.deploying import archive_of
from tests.functions.building import put
from tests.running import USER, Server

Visit = Callable[..., Page]

AXE = find_spec("axe_playwright_python")
HTML = "<b onclick=\"alert('x')\">bold</b> <script>throw 'run'</script> & more"
COUNT = 1_000
VIEWS = [entry.path for entry in navigation.ENTRIES]
WIDTHS = (360, 1440)
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")


@pytest.fixture(scope="module")
def axe() -> str:
    """axe-core, to be run in a page. It comes in a package of Python's, with nothing to build."""
    if AXE is None or AXE.origin is None:
        pytest.skip("axe-playwright-python is not installed: it is in the extra 'test'")
    return Path(AXE.origin).with_name("axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a thousand functions, each described in HTML."""
    folder = tmp_path_factory.mktemp("busy")
    state = folder / "state"
    state.mkdir()
    engine = open_engine("", state)
    store = Store(engine, 5)
    store.migrate()
    archive = put(store, folder, archive_of(lambda costs: costs))
    schema = generate_schema({"costs": [1.5, 2.5], "kind": HTML}, [1.0], {"kind": HTML})
    said = EndpointMetadata(description=HTML, docstring=f"{HTML}\n\nMore.", schema=schema)
    for number in range(COUNT):
        store.create(f"Function {number}", said, archive, author="anna")
    engine.dispose()
    running = Server(folder, {"WEB_CONCURRENCY": "1", "TABPY_MODELS_PATH": ""}).wait_until_ready()
    yield running
    running.kill()


def check(page: Page, axe: str) -> None:
    """A view as it is now, in windows of each width, by day and by night."""
    page.wait_for_load_state("load")
    page.evaluate(axe)
    assert [width for width in WIDTHS if not fits(page, width)] == []
    # Of a thousand rows that are alike, axe would look at each for 40 ms.
    page.evaluate("document.querySelectorAll('li:nth-child(n+30)').forEach((row) => row.remove())")
    looks = itertools.product(WIDTHS, SCHEMES)
    assert {look: told for look in looks if (told := violations(page, *look))} == {}


def fits(page: Page, width: int) -> bool:
    page.set_viewport_size({"width": width, "height": 800})
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def violations(page: Page, width: int, scheme: Scheme) -> list[str]:
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    found = page.evaluate("axe.run().then((found) => found.violations)")
    return [
        f"{each['id']}: {each['help']}: {[node['html'][:200] for node in each['nodes'][:3]]}"
        for each in found
    ]


@pytest.mark.parametrize("path", VIEWS)
def test_axe_finds_nothing_where_there_are_no_functions(visit: Visit, axe: str, path: str) -> None:
    page = visit(path)
    check(page, axe)


def test_axe_finds_nothing_beside_a_result_and_an_error(visit: Visit, axe: str) -> None:
    page = visit("page/try")
    for details in page.locator("details").all():
        details.evaluate("each => { each.open = true; }")
    for example in ("A trend", "A mistake"):
        page.get_by_role("button", name=example).click()
        page.click("#run")
        expect(page.locator("#run")).to_have_attribute("aria-busy", "false")
        check(page, axe)


def test_axe_finds_nothing_while_a_script_runs(visit: Visit, axe: str) -> None:
    page = visit("page/try")
    page.route("**/page/evaluate**", lambda _: None)  # never answered
    page.click("#run")
    expect(page.locator("#cancel")).to_be_visible()
    check(page, axe)


def test_axe_finds_nothing_among_charts_and_requests(
    visit: Visit, server: Server, axe: str
) -> None:
    server.evaluate("return 1")
    server.evaluate("return 1 / 0")
    page = visit("page/activity")
    expect(page.locator("#requests tbody tr").nth(1)).to_be_visible()
    check(page, axe)


@pytest.mark.parametrize("path", ["", "page/functions", "page/functions/Function%201"])
def test_axe_finds_nothing_among_a_thousand_described_in_html(
    visit: Visit, busy: Server, axe: str, path: str
) -> None:
    page = visit(path, busy)
    for details in page.locator("details").all():
        details.locator("summary").click()
    check(page, axe)


def test_axe_finds_nothing_on_a_page_of_an_error(visit: Visit, axe: str) -> None:
    page = visit("nosuch")
    expect(page.locator("h1")).to_have_text("Not Found")
    check(page, axe)


def test_html_in_a_description_is_text(visit: Visit, busy: Server) -> None:
    page = visit("page/functions/Function%202", busy)
    expect(page.locator("#description")).to_have_text(HTML)
    assert page.locator("main b[onclick]").count() == 0


def test_a_thousand_functions_can_be_searched(visit: Visit, busy: Server) -> None:
    page = visit("page/functions", busy)
    expect(page.locator("#count")).to_have_text("1,000 functions")
    page.fill("#search", "function 999")
    expect(page.locator("#count")).to_have_text("1 of 1,000 functions")
    expect(page.locator("#functions > li:visible")).to_have_count(1)
    page.get_by_role("link", name="Function 999").click()
    expect(page.locator("h1")).to_have_text("Function 999")
    page.go_back()
    expect(page.locator("#search")).to_have_value("function 999")
    expect(page.locator("#functions > li:visible")).to_have_count(1)
    page.fill("#search", "nothing like it")
    expect(page.locator("#nothing")).to_be_visible()


@pytest.mark.parametrize("path", ["", "page/functions"])
def test_the_first_view_is_small(visit: Visit, busy: Server, path: str) -> None:
    """By a browser that has kept nothing. `python -m tests.browser.first_view` says how long it
    takes."""
    page = visit(path, busy, user=USER)
    page.wait_for_load_state("load")
    assert sum(sizes(page)) < 150_000


def test_a_view_goes_on_when_the_server_restarts_under_it(
    visit: Visit, start: Callable[..., Server]
) -> None:
    server = start({"WEB_CONCURRENCY": "1"})
    page = visit("page/connect", server)
    page.click("#test")
    expect(page.locator("#steps .right")).to_have_count(2)
    [web_process] = server.web_processes()
    web_process.kill()
    deadline = time.monotonic() + 20
    while page.locator("#steps .wrong").count() or page.locator("#steps .right").count() != 2:
        assert time.monotonic() < deadline
        page.click("#test")
        expect(page.locator("#test")).to_have_attribute("aria-busy", "false")
    expect(page.locator("#steps .right")).to_have_count(2)
