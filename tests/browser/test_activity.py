"""The view of what the server does and what failed."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.running import Server, until

Visit = Callable[..., Page]


@pytest.fixture
def active(start: Callable[..., Server]) -> Server:
    """A server on which scripts have run and failed."""
    server = start({"WEB_CONCURRENCY": "1", "TABPY_WORKERS": "2", "TABPY_PRELOAD": ""})
    for _ in range(3):
        server.evaluate("return 1")
    server.evaluate("def f(x):\n    return 1 / x\n\nreturn f(0)")
    server.query("no such function")
    return server


def test_it_shows_requests_failures_and_figures(visit: Visit, active: Server) -> None:
    page = visit("page/activity", at=active)
    rows = page.locator("#requests tbody tr")
    expect(rows).to_have_count(5)
    expect(rows.nth(0)).to_contain_text("function no such function")
    expect(rows.nth(0)).to_contain_text("UnknownFunctionError")
    expect(rows.nth(1)).to_contain_text("ZeroDivisionError, line 2 in f")
    expect(rows.nth(2)).to_contain_text("done")
    expect(page.locator("#errors")).to_have_text("2 of 5 requests")
    expect(page.locator("#busy")).to_have_text("0 of 2")
    expect(page.locator("#kinds li")).to_have_count(2)
    for name in ("Requests a second", "Errors a minute", "How long jobs ran", "Workers busy"):
        expect(page.get_by_role("img", name=name)).to_be_visible()
    page.check("#failed")
    expect(rows).to_have_count(2)


def test_it_shows_what_happens_while_it_is_looked_at(visit: Visit, active: Server) -> None:
    page = visit("page/activity", at=active)
    expect(page.locator("#requests tbody tr")).to_have_count(5)
    active.evaluate("return {}['x']")
    expect(page.locator("#requests tbody tr")).to_have_count(6)
    page.click("#pause")
    expect(page.locator("#pause")).to_have_text("Go on")


def test_a_wrong_password_is_among_the_requests(visit: Visit, active: Server) -> None:
    assert active.request("POST", "/evaluate", "{}", user="eve").status == 401
    row = visit("page/activity", at=active).locator("#requests tbody tr").nth(0)
    expect(row).to_contain_text("WrongCredentialsError")
    expect(row.locator("td").nth(1)).to_have_text("unknown")


def test_who_may_not_deploy_sees_only_their_own(visit: Visit, start: Callable[..., Server]) -> None:
    server = start({"TABPY_RIGHTS": "-"}, users={"paolo": "not: a real pässword"})
    file = server.folder / "pwd.txt"
    [line] = file.read_text().splitlines()
    file.write_text(f"{line} query,evaluate\nanna{line.removeprefix('paolo')}\n")
    until(
        lambda: server.request("GET", "/info", user="anna").status == 200,
        "the other user is known",
    )
    server.evaluate("return {}['of anna']", user="anna")
    server.evaluate("return 1")
    page = visit("page/activity", at=server)
    expect(page.locator("#only-own")).to_be_visible()
    expect(page.locator("#requests tbody tr")).to_have_count(1)
    expect(page.locator("#requests tbody tr")).to_contain_text("paolo")
    expect(page.locator("#kinds li")).to_contain_text("Errors of any kind")
    expect(page.locator("main")).not_to_contain_text("KeyError")


def test_it_goes_on_when_the_server_restarts_under_it(
    visit: Visit, launch: Callable[..., Server]
) -> None:
    server = launch().wait_until_ready()
    page = visit("page/activity", at=server)
    expect(page.locator("#rate")).to_have_text("0")
    server.kill()
    expect(page.locator("#away")).to_contain_text("No answer since")
    again = launch({"TABPY_PORT": str(server.port)})
    again.port = server.port
    again.wait_until_ready()
    again.evaluate("return 1")
    expect(page.locator("#away")).to_be_hidden(timeout=20_000)
    expect(page.locator("#requests tbody tr")).to_have_count(1)


def test_several_machines_are_told_apart(visit: Visit, active: Server) -> None:
    """A router may ask any of them: what is shown stays that of one, until another is chosen."""
    page = visit("page/activity", at=active)
    expect(page.locator("#requests tbody tr")).to_have_count(5)
    own = page.locator("#machine").inner_text()
    told = active.request("GET", "/activity").json
    other = {**told, "machine": "web.2", "requests": []}
    page.route("**/activity", lambda route: route.fulfill(json=other))
    expect(page.locator("#several")).to_be_visible()
    expect(page.locator("#machine")).to_have_text(own)
    expect(page.locator("#requests tbody tr")).to_have_count(5)
    page.select_option("#machines", "web.2")
    expect(page.locator("#machine")).to_have_text("web.2")
    expect(page.locator("#requests tbody tr")).to_have_count(0)
