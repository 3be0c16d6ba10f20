"""The process with the Arrow tables is as closed to scripts as the rest of the server."""

from collections.abc import Iterator

import psutil
import pytest

pytest.importorskip("pyarrow", reason="pyarrow isn't installed: pip install '.[flight]'")

from tabpy.tabpy_server.script_rules import SIGNALS_SINCE
from tabpy.tabpy_server.workers.worker import landlock
from tests.attacks.house import BOB, PASSWORDS, House
from tests.running import free_port, until

LOOK = """
import os, signal

def attempt(what):
    try:
        return repr(what())
    except OSError as error:
        return type(error).__name__

return [
    attempt(lambda: open(f"/proc/{_arg1}/environ", "rb").read()),
    attempt(lambda: open(f"/proc/{_arg1}/mem", "rb").read(1)),
    attempt(lambda: os.listdir(f"/proc/{_arg1}/fd")),
    attempt(lambda: os.kill(_arg1, signal.SIGKILL)),
]
"""


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    settings = {"TABPY_ARROW_ENABLE": "true", "TABPY_ARROWFLIGHT_PORT": str(free_port())}
    made = House(settings)
    yield made.wait_until_ready()
    made.kill()


def test_a_script_neither_sees_nor_ends_it(house: House) -> None:
    if landlock.abi() < SIGNALS_SINCE:
        pytest.skip("this kernel can't keep scripts from signals: its Landlock is too old")

    def flying() -> psutil.Process | None:
        children = psutil.Process(house.process.pid).children(recursive=True)
        return next((each for each in children if each.name() == "tabpy-flight"), None)

    pid = until(flying, "the flight process is there").pid
    reply = house.evaluate(LOOK, pid, user=BOB, password=PASSWORDS[BOB])
    assert set(reply.json) <= {"PermissionError", "FileNotFoundError"}
    assert psutil.pid_exists(pid)
