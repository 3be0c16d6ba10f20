"""Functions in a real browser: called with a form, copied, and changed after a question."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.deploying import archive_of, deploy, redeploy
from tests.running import Server

Visit = Callable[..., Page]


def price(costs: list[float], margin: float = 0.5) -> list[float]:
    print("priced", len(costs))
    return [cost / margin for cost in costs]


SCHEMA = {
    "input": {
        "type": "object",
        "properties": {
            "costs": {"type": "array", "items": {"type": "number"}},
            "margin": {"type": "number", "default": 0.5},
        },
        "required": ["costs"],
    },
    "output": {"type": "array", "items": {"type": "number"}},
}


@pytest.fixture
def own(server: Server) -> Iterator[Server]:
    """The server with the function Price, in two versions, of which nothing is left afterwards."""
    assert deploy(server, "Price", price, schema=SCHEMA, description="Old").status == 201
    assert redeploy(server, "Price", archive_of(price), description="New").status == 200
    yield server
    server.request("DELETE", "/endpoints/Price")


@pytest.fixture
def page(visit: Visit, own: Server) -> Page:
    return visit("page/functions/Price")


def test_a_function_is_called_with_the_form(page: Page) -> None:
    page.fill("#argument-0", "[1, 2]")
    page.click("#run")
    expect(page.locator("#answer")).to_have_text("[2,4]")
    expect(page.locator("#verdict")).to_have_text("2 values")
    expect(page.locator("#printed")).to_have_text("priced 2")
    page.fill("#argument-1", "0.25")
    page.press("#argument-1", "Control+Enter")
    expect(page.locator("#answer")).to_have_text("[4,8]")


def test_of_a_long_answer_the_beginning_is_shown(page: Page) -> None:
    page.fill("#argument-0", f"[{', '.join(['7'] * 60_000)}]")
    page.click("#run")
    expect(page.locator("#verdict")).to_have_text("60000 values")
    expect(page.locator("#answer")).to_contain_text(",… 80,001 more characters")


def test_its_own_example_can_be_called_as_it_is(page: Page) -> None:
    page.click("#run")
    expect(page.locator("#answer")).to_have_text("[3,5,7]")


def test_what_is_no_json_is_not_sent(page: Page) -> None:
    page.fill("#argument-0", "a text")
    page.click("#run")
    expect(page.locator("#error-message")).to_have_text("costs is not JSON")
    expect(page.locator("#argument-0")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#argument-0")).to_be_focused()


def test_a_failure_is_told_and_counted(page: Page) -> None:
    page.fill("#argument-0", '["a"]')
    page.click("#run")
    expect(page.locator("#error-message")).to_have_text("Error querying function 'Price'")
    expect(page.locator("#error-info")).to_contain_text("TypeError")
    errors = int(page.locator("#errors").inner_text())
    page.reload()
    expect(page.locator("#errors")).to_have_text(str(errors + 1))


def test_its_text_and_calculations_are_there_to_copy(page: Page) -> None:
    calculation = 'MODEL_EXTENSION_REAL("Price", "costs", SUM([costs]))'
    expect(page.locator("#model-calculation")).to_have_text(calculation)
    page.click("[data-copy=model-calculation]")
    expect(page.locator("[data-copy=model-calculation]")).to_contain_text("Copied")
    page.locator("#source-text summary").click()
    expect(page.locator("#source")).to_contain_text('print("priced", len(costs))')


def test_an_earlier_version_answers_again_after_a_question(page: Page) -> None:
    expect(page.locator("#version")).to_have_text("2")
    page.get_by_role("button", name="Roll back to version 1").click()
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#confirm")).to_be_hidden()
    expect(page.locator("#version")).to_have_text("2")
    page.get_by_role("button", name="Roll back to version 1").click()
    page.get_by_role("button", name="Roll back", exact=True).click()
    expect(page.locator("#version")).to_have_text("1")


def test_it_is_shown_in_tableaus_list_and_hidden_again(page: Page) -> None:
    expect(page.locator("#public")).to_have_text("not public")
    page.click("#make-public")
    expect(page.locator("#public")).to_have_text("public")
    page.click("#make-public")
    expect(page.locator("#public")).to_have_text("not public")


def test_it_is_removed_after_a_question(page: Page, server: Server) -> None:
    page.click("#remove")
    page.keyboard.press("Escape")
    assert server.request("GET", "/endpoints/Price").status == 200
    page.click("#remove")
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.locator("h1")).to_have_text("Functions")
    assert server.request("GET", "/endpoints/Price").status == 404


def test_a_change_that_fails_says_why(page: Page, server: Server) -> None:
    server.request("DELETE", "/endpoints/Price")
    page.click("#make-public")
    expect(page.locator("#change-error")).to_contain_text("Price")
