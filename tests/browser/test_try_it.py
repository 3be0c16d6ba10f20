"""The view in which scripts are tried."""

import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.running import Server, until


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


def test_what_is_pasted_is_typed_and_shown(page: Page) -> None:
    page.fill("#data", "Sales\tRegion\n1.5\tNorth\n2\tSouth\n3\t\n")
    heads = page.locator("#columns thead th")
    expect(heads).to_have_text(["Row", "_arg1: Salesnumber", "_arg2: Regiontext"])
    expect(page.locator("#columns tbody tr").nth(2).locator("td")).to_have_text(["3", "null"])
    expect(page.locator("#columns-count")).to_have_text("3 rows")
    run_script(page, "return [f'{r}: {s}' for s, r in zip(_arg1, _arg2)]")
    expect(page.locator("#result")).to_have_text('["North: 1.5","South: 2","None: 3"]')

    page.uncheck("#named")
    expect(heads).to_have_text(["Row", "_arg1: Column 1text", "_arg2: Column 2text"])
    run_script(page, "return len(_arg1)")
    expect(page.locator("#verdict")).to_have_text("One value for 4 rows")


def run_script(page: Page, script: str) -> None:
    page.fill("#script", script)
    page.click("#run")
    expect(page.locator("#run")).to_have_attribute("aria-busy", "false")


def test_a_csv_file_is_opened(page: Page) -> None:
    text = '\ufeffSales,Name\r\n1,"a, b"\r\n2,c\r\n'
    file = {"name": "sales.csv", "mimeType": "text/csv", "buffer": text.encode()}
    page.set_input_files("#file", file)  # type: ignore[arg-type]
    expect(page.locator("#columns-count")).to_have_text("2 rows")
    run_script(page, "return _arg2")
    expect(page.locator("#result")).to_have_text('["a, b","c"]')


def test_a_file_too_large_for_a_page_is_refused(page: Page) -> None:
    file = {"name": "large.csv", "mimeType": "text/csv", "buffer": b"1\n" * 2_500_001}
    page.set_input_files("#file", file)  # type: ignore[arg-type]
    expect(page.locator("#error-message")).to_have_text("The file is too large to try here")


def test_the_result_is_a_table_beside_its_columns_and_a_plot(page: Page) -> None:
    rows = "\n".join(str(number) for number in range(250))
    page.fill("#data", f"n\n{rows}")
    run_script(page, "return [n * 2.0 if n != 1 else float('nan') for n in _arg1]")
    expect(page.locator("#verdict")).to_have_text("250 values for 250 rows, 1 null")
    expect(page.locator("#table tbody tr")).to_have_count(100)
    expect(page.locator("#table tbody tr").nth(1).locator("td")).to_have_text(["1", "null"])
    expect(page.locator("#table tbody tr").nth(2).locator("td")).to_have_text(["2", "4.0"])
    expect(page.locator("#table-count")).to_have_text("The first 100 of 250 rows")
    expect(page.get_by_role("img", name="Plot of 250 values, from 0 to 498")).to_be_visible()

    run_script(page, "return ['text'] * len(_arg1)")
    expect(page.locator("#plot")).to_be_hidden()
    run_script(page, "return {'a': [1, 2], 'b': ['x', None]}")
    expect(page.locator("#table tbody tr").nth(1).locator("td")).to_have_text(["2", "null"])


def test_a_number_of_many_digits_is_shown_as_python_wrote_it(page: Page) -> None:
    run(page, "return [2**53 + 1, 1e400, 10.0]")
    expect(page.locator("#table td")).to_have_text(["9007199254740993", "null", "10.0"])


def test_a_script_that_runs_is_timed_and_can_be_cancelled(
    visit: Callable[..., Page], start: Callable[..., Server]
) -> None:
    server = start({"TABPY_EVALUATE_TIMEOUT": "55"})
    page = visit("page/try", at=server)
    began = server.notes / "began"
    page.fill("#data", "")
    page.fill("#script", f"import time\nopen({str(began)!r}, 'w').close()\ntime.sleep(50)")
    page.click("#run")
    expect(page.locator("#running")).to_have_text(re.compile("^[1-9] s of at most 55 s$"))
    until(began.exists, "the script runs")
    page.focus("#cancel")
    page.keyboard.press("Enter")
    expect(page.locator("#verdict")).to_contain_text("Cancelled after")
    expect(page.locator("#run")).to_be_focused()
    expect(page.locator("#cancel")).to_be_hidden()
    until(
        lambda: b'tabpy_worker_ends_total{reason="client gone"} 1.0' in metrics(server),
        "its worker is killed",
    )
    run_script(page, "return 1")
    expect(page.locator("#result")).to_have_text("1")


def metrics(server: Server) -> bytes:
    return server.request("GET", "/metrics").body


def test_what_somebody_wrote_is_there_after_a_reload(page: Page) -> None:
    page.fill("#data", "x\ty\na\tb")
    page.check("#named")
    page.fill("#script", "return 'mine'")
    page.reload()
    expect(page.locator("#script")).to_have_value("return 'mine'")
    expect(page.locator("#data")).to_have_value("x\ty\na\tb")
    expect(page.locator("#named")).to_be_checked()
    page.click("#clear")
    page.reload()
    expect(page.locator("#script")).to_have_value(re.compile("Profit as a share"))


FULL = """() => {
  for (let size = 1 << 24; size >= 1024; size /= 2) {
    try {
      for (let key = 0; ; key += 1) localStorage.setItem(`${size} ${key}`, "x".repeat(size));
    } catch {
      // there is no room for one more of this size
    }
  }
}"""


def test_what_the_browser_has_no_room_for_is_said(page: Page) -> None:
    page.evaluate(FULL)
    page.fill("#script", "return '" + "x" * 5_000 + "'")
    expect(page.locator("#kept")).to_have_text("Too large to be kept here")


def test_a_calculation_is_there_to_copy(page: Page) -> None:
    page.fill("#data", 'Sales\tA "b"\n1\tx\n2\ty')
    run_script(page, 'return ["a"] * 2')
    page.click("#as-calculation summary")
    expect(page.locator("#calculation")).to_have_text(
        'SCRIPT_STR("return [""a""] * 2", SUM([Sales]), ATTR([A "b"]))'
    )
    page.fill("#script", "return 1")  # nobody knows what that returns
    expect(page.locator("#calculation")).to_have_text(re.compile("^SCRIPT_REAL"))


def test_every_example_runs_and_the_mistake_is_marked(page: Page) -> None:
    names = page.locator("#examples button").all_inner_texts()
    assert len(names) > 3
    for name in names:
        page.get_by_role("button", name=name).click()
        page.click("#run")
        expect(page.locator("#run")).to_have_attribute("aria-busy", "false")
        if name == "A mistake":
            expect(page.locator("#lines .failing")).to_have_text("3")
        else:
            expect(page.locator("#verdict")).to_be_visible()
            expect(page.locator("#verdict")).not_to_contain_text("expects")


def test_an_example_can_be_undone(page: Page) -> None:
    page.fill("#script", "")
    page.type("#script", "return 5")
    page.get_by_role("button", name="A trend").click()
    expect(page.locator("#script")).to_have_value(re.compile("polyfit"))
    page.focus("#script")
    page.keyboard.press("Control+Z")
    expect(page.locator("#script")).to_have_value("return 5")


def test_it_goes_on_when_the_server_restarts_under_it(
    visit: Callable[..., Page], launch: Callable[..., Server]
) -> None:
    server = launch().wait_until_ready()
    page = visit("page/try", at=server)
    server.kill()
    run_script(page, "return 1")
    expect(page.locator("#error-info")).to_contain_text("Waiting until it answers")
    again = launch({"TABPY_PORT": str(server.port)})
    again.port = server.port
    again.wait_until_ready()
    expect(page.locator("#error-info")).to_contain_text("answers again", timeout=20_000)
    run_script(page, "return 1")
    expect(page.locator("#result")).to_have_text("1")
    expect(page.locator("#error")).to_be_hidden()


def test_a_long_scripts_failure_comes_with_a_200_and_is_one(
    visit: Callable[..., Page], start: Callable[..., Server]
) -> None:
    page = visit("page/try", at=start({"TABPY_LONG_SCRIPTS": "true"}))
    reply = {"message": "Error processing script", "info": "KeyError : 'x'\nline 1: return x"}
    page.route(
        "**/page/evaluate**", lambda route: route.fulfill(status=200, body=" " + json.dumps(reply))
    )
    run_script(page, "return x")
    expect(page.locator("#error-message")).to_have_text("Error processing script")
    expect(page.locator("#lines .failing")).to_have_text("1")


def test_where_scripts_are_off_it_says_so(
    visit: Callable[..., Page], start: Callable[..., Server]
) -> None:
    page = visit("page/try", at=start({"TABPY_EVALUATE_ENABLE": "false"}))
    expect(page.locator("#disabled")).to_contain_text("TABPY_EVALUATE_ENABLE")
    expect(page.locator("#run")).to_have_count(0)
