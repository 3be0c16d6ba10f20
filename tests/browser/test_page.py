"""What the page's views have in common, and Status and Connect Tableau."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Error, Page, expect

from tests.running import PASSWORD, USER, Server

Visit = Callable[..., Page]


def test_nobody_sees_it_without_a_password(browser: Browser, server: Server) -> None:
    context = browser.new_context()
    opened = context.new_page()
    with pytest.raises(Error, match="ERR_INVALID_AUTH_CREDENTIALS"):
        opened.goto(f"http://127.0.0.1:{server.port}/")
    expect(opened.locator("#host")).to_have_count(0)
    context.close()


def test_connect_tableau_shows_what_to_type(visit: Visit, server: Server) -> None:
    page = visit("page/connect")
    expect(page.locator("#ssl")).to_have_text("no")
    expect(page.locator("#host")).to_have_text("127.0.0.1")
    expect(page.locator("#port")).to_have_text(str(server.port))
    expect(page.locator("#user")).to_have_text(USER)
    assert PASSWORD not in page.content()


def test_status_says_how_to_sign_in(visit: Visit) -> None:
    page = visit()
    expect(page.locator("#authentication")).to_have_text("authentication required")
    expect(page.locator("#method")).to_have_text("basic-auth")


def test_it_is_dressed_and_leads_from_view_to_view(visit: Visit) -> None:
    page = visit()
    expect(page.locator("h1")).to_have_text("TabPy Server")
    assert page.locator("body").evaluate("each => getComputedStyle(each).margin") == "0px"
    page.get_by_role("link", name="Connect Tableau").click()
    expect(page.locator("h1")).to_have_text("Connect Tableau")
    expect(page.locator("nav [aria-current=page]")).to_have_text("Connect Tableau")
    page.get_by_role("link", name="Status").click()
    expect(page.locator("nav [aria-current=page]")).to_have_text("Status")
