"""TABPY_SCRIPT_NETWORK=off: a script reaches nobody, and all that needs no network goes on."""

from collections.abc import Callable, Mapping

import pytest

from tests.attacks.attack import OFF, Attack, returns
from tests.attacks.house import ALICE, House
from tests.attacks.test_habits import HABITS

SETTINGS: Mapping[str, str] = {"TABPY_SCRIPT_NETWORK": "off", "TABPY_WORKERS": "1"}

UDP = """
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.sendto(b"x", ("127.0.0.1", facts["port"]))
return "sent"
"""
ATTACKS = [
    Attack("F2", "a service on this machine", "beacon()\nreturn 'connected'", returns("connected")),
    Attack("F2", "a datagram", UDP, returns("sent")),
    Attack(
        "F2",
        "netlink",
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()\nreturn 'done'",
        returns("done"),
    ),
    Attack(
        "F2",
        "a datagram of a process of its own",
        "import subprocess\n"
        'send = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)"\n'
        "return subprocess.run([sys.executable, '-c', send]).returncode",
        returns(0),
    ),
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_nobody_is_reached(attack: Attack, attempt: Callable[[Attack], None]) -> None:
    attempt(attack)


@pytest.mark.parametrize(
    "habit", ["multiprocessing", "multiprocessing's queues and locks", "asyncio", "subprocess"]
)
def test_what_needs_no_network_works(habit: str, house: House, mode: str) -> None:
    if mode == OFF:
        pytest.skip("nothing is refused")
    assert house.as_user(ALICE, HABITS[habit], {}).json is True
