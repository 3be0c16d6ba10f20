"""A browser asks again when it gets 408 on a connection that it had used before. What runs on the
page is run once."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.running import Server

Visit = Callable[..., Page]
SLOW = "import time\ntime.sleep(60)"


def runs_of(server: Server, route: str) -> list[str]:
    return server.log_lines("msg=request", f"route={route} ")


def test_a_script_whose_time_is_over_has_run_once(
    visit: Visit, start: Callable[..., Server]
) -> None:
    server = start({"TABPY_EVALUATE_TIMEOUT": "1"})
    page = visit("page/try", at=server)
    page.fill("#script", "return 1")
    page.click("#run")  # so that the connection has been used
    expect(page.locator("#result")).to_have_text("1")

    page.fill("#script", SLOW)
    page.click("#run")
    expect(page.locator("#error-message")).to_contain_text("timed out")
    assert [line.split("status=")[1].split()[0] for line in runs_of(server, "/page/evaluate")] == [
        "200",
        "500",
    ]


def test_tableaus_route_is_asked_again_by_a_browser(
    visit: Visit, start: Callable[..., Server]
) -> None:
    """Or the page needs no route of its own any more."""
    server = start({"TABPY_EVALUATE_TIMEOUT": "0.5"})
    page = visit("page/try", at=server)
    status = page.evaluate(
        """async (script) => {
          const body = JSON.stringify({script, data: {}});
          return (await fetch("../evaluate", {method: "POST", body})).status;
        }""",
        SLOW,
    )
    assert status == 408
    assert len(runs_of(server, "/evaluate")) > 1
