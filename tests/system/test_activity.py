"""What a machine has done, whichever of its web processes is asked."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.running import Server, until


@pytest.fixture
def machine(start: Callable[..., Server]) -> Server:
    return start({"WEB_CONCURRENCY": "2", "TABPY_WORKERS": "1"})


def activity(server: Server) -> Any:
    return server.request("GET", "/activity").json


def told_again_and_again(server: Server, number: int = 20) -> list[Any]:
    """What both web processes say: connections are shared out among them."""
    return [activity(server) for _ in range(number)]


def test_both_web_processes_tell_the_same(machine: Server) -> None:
    until(lambda: activity(machine)["web_processes"] == 2, "both have begun")
    for number in range(20):
        machine.evaluate("return 1", headers={"X-Request-Id": f"request {number}"})
    until(
        lambda: all(len(each["requests"]) == 20 for each in told_again_and_again(machine)),
        "each tells all that both did",
    )
    for each in told_again_and_again(machine):
        assert {told["id"] for told in each["requests"]} == {f"request {n}" for n in range(20)}
        assert each["hour"]["requests"] == 20
        assert each["workers"] == 2


def test_what_a_web_process_did_outlives_it(machine: Server) -> None:
    until(lambda: activity(machine)["web_processes"] == 2, "both have begun")
    for number in range(20):
        machine.evaluate("return 1 / 0", headers={"X-Request-Id": f"request {number}"})
    until(lambda: len(activity(machine)["requests"]) == 20, "all is known")
    before = machine.web_processes()
    until(
        lambda: all(each["hour"]["requests"] == 20 for each in told_again_and_again(machine)),
        "both have shown it",
    )
    for process in before:
        process.kill()
    until(
        lambda: len([each for each in machine.web_processes() if each not in before]) == 2,
        "others have their places",
    )
    until(lambda: activity(machine)["web_processes"] == 2, "both are back")
    found = activity(machine)
    assert found["hour"]["errors"] == {"ZeroDivisionError": 20}
    assert len(found["requests"]) == 20


def test_the_log_and_the_activity_say_where_a_script_failed(machine: Server) -> None:
    machine.evaluate("def f(x):\n    return 1 / x\n\nreturn f(0)")
    until(lambda: machine.log_lines("msg=request", "route=/evaluate "), "the log has it")
    [line] = machine.log_lines("msg=request", "route=/evaluate ")
    assert "error=ZeroDivisionError error_line=2 error_function=f " in line
    until(lambda: activity(machine)["requests"], "it is known")
    [noted] = activity(machine)["requests"]
    assert (noted["error"], noted["line"], noted["function"]) == ("ZeroDivisionError", 2, "f")


def test_a_script_whose_client_went_was_no_error(machine: Server) -> None:
    with pytest.raises(OSError, match="timed out"):
        machine.evaluate("import time\ntime.sleep(60)", timeout=0.5)
    until(lambda: activity(machine)["requests"], "it is known")
    found = activity(machine)
    assert [each["status"] for each in found["requests"]] == [499]
    assert found["hour"]["errors"] == {}
