"""A real browser, signed in to a real server: what a person sees, types and runs."""

import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, sync_playwright

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


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Callable[..., Page]]:
    """Open a view, signed in; the test fails for anything the browser complains about.

    `path`: the view's address, without the first slash. `at`: another server than the one for all
    tests. The rest are options of a browser's context, such as `viewport` and `color_scheme`.
    """
    complaints: list[str] = []
    contexts = []

    def hear(message: ConsoleMessage) -> None:
        # The browser itself reports each answer that is an error; those are the test's business.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    def fail(error: Error) -> None:
        complaints.append(error.message)

    def visit_one(path: str = "", at: Server = server, user: str = USER, **options: object) -> Page:
        credentials = {"username": user, "password": PASSWORD}
        context = browser.new_context(http_credentials=credentials, **options)  # type: ignore[arg-type]
        contexts.append(context)
        opened = context.new_page()
        opened.on("console", hear)
        opened.on("pageerror", fail)
        opened.goto(f"http://127.0.0.1:{at.port}{at.prefix}/{path}")
        return opened

    yield visit_one
    for context in contexts:
        context.close()
    assert complaints == []
