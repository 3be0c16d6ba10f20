"""What the page's views have in common, and Status and Connect Tableau."""

import contextlib
from collections.abc import Callable

from playwright.sync_api import Browser, Error, Page, expect

from tests.running import PASSWORD, USER, Server

Visit = Callable[..., Page]


def test_nobody_sees_it_without_a_password(browser: Browser, server: Server) -> None:
    context = browser.new_context()
    opened = context.new_page()
    with contextlib.suppress(Error):  # a browser that nobody sits at can't ask for a password
        opened.goto(f"http://127.0.0.1:{server.port}/page/connect")
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
    expect(page.locator("#authentication")).to_have_text("required")
    expect(page.locator("#method")).to_have_text("basic-auth")


def test_it_is_dressed_and_leads_from_view_to_view(visit: Visit) -> None:
    page = visit()
    expect(page.locator(".brand")).to_have_text("TabPy Server")
    assert page.locator("body").evaluate("each => getComputedStyle(each).margin") == "0px"
    page.locator("nav").get_by_role("link", name="Connect Tableau").click()
    expect(page.locator("h1")).to_have_text("Connect Tableau")
    expect(page.locator("nav [aria-current=page]")).to_have_text("Connect Tableau")
    page.locator("nav").get_by_role("link", name="Status").click()
    expect(page.locator("nav [aria-current=page]")).to_have_text("Status")


def test_the_test_that_tableau_makes_is_made_from_the_page(visit: Visit) -> None:
    page = visit("page/connect")
    page.click("#test")
    expect(page.locator("#steps .right")).to_have_count(2)
    expect(page.locator("#steps")).to_contain_text("with a user name and a password")
    expect(page.locator("#steps")).to_contain_text("it answered 1")


def test_a_value_is_copied(visit: Visit, server: Server) -> None:
    page = visit("page/connect", permissions=["clipboard-read", "clipboard-write"])
    page.click("[data-copy=port]")
    expect(page.locator("#announcement")).to_have_text(f"Copied {server.port}")
    assert page.evaluate("navigator.clipboard.readText()") == str(server.port)


def test_packages_can_be_searched(visit: Visit) -> None:
    page = visit("page/packages?q=torna")
    expect(page.locator("#packages > li:visible b")).to_have_text(["tornado"])
    page.fill("#search", "no such package")
    expect(page.locator("#nothing")).to_be_visible()
    assert page.url.endswith("q=no+such+package")


def test_the_keyboard_skips_to_the_content(visit: Visit) -> None:
    page = visit()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
