"""The view in which scripts are tried."""

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect


@pytest.fixture
def page(visit: Callable[..., Page]) -> Page:
    return visit("page/try")


def run(page: Page, script: str, data: str = "{}") -> None:
    page.fill("#script", script)
    page.fill("#data", data)
    page.click("#run")


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
