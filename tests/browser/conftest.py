"""A real browser, signed in to a real server: what a person sees, types and runs."""

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    HttpCredentials,
    Page,
    sync_playwright,
)

from tests.running import PASSWORD, USER, Server

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")  # its event loop is to be gone when tests with one of theirs come
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no chromium on the PATH")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield running
        running.close()


def signed_in(browser: Browser, user: str = USER, **options: Any) -> BrowserContext:
    credentials: HttpCredentials = {"username": user, "password": PASSWORD}
    return browser.new_context(http_credentials=credentials, **options)


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Of the user whom all tests have: a new one for each page would take longer than the page."""
    with signed_in(browser) as made:
        yield made


@pytest.fixture
def visit(
    browser: Browser, context: BrowserContext, server: Server
) -> Iterator[Callable[..., Page]]:
    """Open a view, signed in; the test fails for anything the browser complains about.

    `path`: the view's address, without the first slash. `at`: another server than the one for all
    tests. The rest are `user`, and options of a browser's context, which is then a new one.
    """
    complaints: list[str] = []
    pages: list[Page] = []

    def hear(message: ConsoleMessage) -> None:
        # The browser itself reports each answer that is an error; those are the test's business.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    def fail(error: Error) -> None:
        complaints.append(error.message)

    def visit_one(path: str = "", at: Server = server, **own: Any) -> Page:
        opened = (signed_in(browser, **own) if own else context).new_page()
        pages.append(opened)
        opened.on("console", hear)
        opened.on("pageerror", fail)
        opened.goto(f"http://127.0.0.1:{at.port}{at.prefix}/{path}")
        return opened

    yield visit_one
    for page in pages:
        page.evaluate("localStorage.clear()")
        page.close()
        if page.context is not context:
            page.context.close()
    assert complaints == []
