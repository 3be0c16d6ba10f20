"""The page in a real browser: what a person sees, types and runs."""

import json
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, expect, sync_playwright

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

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the PATH")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """The page, signed in; the test fails for anything the browser complains about."""
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        # The browser itself reports each answer that is an error; those are the test's business.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    def fail(error: Error) -> None:
        complaints.append(error.message)

    credentials = {"username": USER, "password": PASSWORD}
    context = browser.new_context(http_credentials=credentials)  # type: ignore[arg-type]
    opened = context.new_page()
    opened.on("console", hear)
    opened.on("pageerror", fail)
    opened.goto(f"http://127.0.0.1:{server.port}/")
    yield opened
    context.close()
    assert complaints == []


def run(page: Page, script: str, data: str = "{}") -> None:
    page.fill("#script", script)
    page.fill("#data", data)
    page.click("#run")


def test_nobody_sees_it_without_a_password(browser: Browser, server: Server) -> None:
    context = browser.new_context()
    opened = context.new_page()
    with pytest.raises(Error, match="ERR_INVALID_AUTH_CREDENTIALS"):
        opened.goto(f"http://127.0.0.1:{server.port}/")
    expect(opened.locator("#host")).to_have_count(0)
    context.close()


def test_it_shows_what_to_type_into_tableau(page: Page, server: Server) -> None:
    expect(page.locator("#authentication")).to_have_text("authentication required")
    expect(page.locator("#method")).to_have_text("basic-auth")
    expect(page.locator("#ssl")).to_have_text("no")
    expect(page.locator("#host")).to_have_text("127.0.0.1")
    expect(page.locator("#port")).to_have_text(str(server.port))
    expect(page.locator("#user")).to_have_text(USER)
    assert PASSWORD not in page.content()


def test_it_is_dressed_and_working(page: Page) -> None:
    expect(page.locator("h1")).to_have_text("TabPy Server")
    expect(page.locator("#lines div")).to_have_count(2)
    assert page.locator("body").evaluate("each => getComputedStyle(each).margin") == "0px"


def test_the_example_runs(page: Page) -> None:
    page.click("#run")
    expect(page.locator("#result")).to_have_text("[0.16,0.3,-0.425]")
    expect(page.locator("#verdict")).to_have_text("3 values for 3 rows")
    expect(page.locator("#error")).to_be_hidden()


def test_a_script_of_ones_own_runs_by_keyboard(page: Page) -> None:
    big = 9_007_199_254_740_993  # JavaScript would round it
    page.fill("#script", r"return [str(_arg1), '<b>ä</b> 🔑', r'\u00e4']")
    page.fill("#data", json.dumps({"_arg1": big}))
    page.press("#data", "Control+Enter")
    expect(page.locator("#result")).to_have_text(rf'["{big}","<b>ä</b> 🔑","\\u00e4"]')


def test_an_error_is_shown_at_the_line_that_failed(page: Page) -> None:
    run(page, "def f(x):\n    return 1 / x\n\nreturn f(0)")
    expect(page.locator("#error-message")).to_have_text("Error processing script")
    expect(page.locator("#error-info")).to_contain_text("ZeroDivisionError : division by zero")
    expect(page.locator("#lines .failing")).to_have_text("2")
    expect(page.locator("#result")).to_be_hidden()

    run(page, "return 1")
    expect(page.locator("#result")).to_have_text("1")
    expect(page.locator("#error")).to_be_hidden()
    expect(page.locator("#lines .failing")).to_have_count(0)


def test_what_a_script_prints_is_shown(page: Page) -> None:
    run(page, "print('a', ',\"printed\":')\nreturn [1, 2.0]")
    expect(page.locator("#result")).to_have_text("[1,2.0]")
    expect(page.locator("#printed")).to_have_text('a ,"printed":')

    run(page, "print('before')\nreturn 1 / 0")
    expect(page.locator("#error-info")).to_contain_text("ZeroDivisionError")
    expect(page.locator("#printed")).to_have_text("before")

    run(page, "return 1")
    expect(page.locator("#result")).to_have_text("1")
    expect(page.locator("#printed")).to_be_hidden()


def test_data_that_is_no_json_is_not_sent(page: Page) -> None:
    run(page, "return 1", "{_arg1: 1}")
    expect(page.locator("#error-message")).to_have_text("The data is not JSON")
    expect(page.locator("#data")).to_have_attribute("aria-invalid", "true")
