"""`kill -9` of everything at random moments: what was acknowledged stays, and the next start works.

The moments are the same in each run; what happens at them is up to the machine.
"""

import itertools
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tabpy.tabpy_tools.failures import ServerUnreachableError
from tabpy.tabpy_tools.rest import ResponseError
from tests.running import Server

Start = Callable[..., Server]
NAMES = ("one", "two", "three")


class Killer:
    """Kills all processes of a server some seconds from now."""

    def __init__(self, server: Server, seconds: float) -> None:
        self._server = server
        self.has_begun = threading.Event()
        self._timer = threading.Timer(seconds, self._kill)
        self._timer.start()

    def _kill(self) -> None:
        self.has_begun.set()
        self._server.crash()

    def join(self) -> None:
        self._timer.join()


@dataclass
class Deployer:
    """Deploys and removes, one change after the other, and keeps account of what was acknowledged.

    `known` has the number that each name answers, None if it's not there; `pending` is the change
    under way, which may or may not come to be.
    """

    known: dict[str, int | None] = field(default_factory=lambda: dict.fromkeys(NAMES))
    pending: tuple[str, int | None] | None = None
    numbers: Iterator[int] = field(default_factory=itertools.count)
    acknowledged: int = 0

    def check(self, server: Server) -> None:
        """That the server agrees; either way with what was pending."""
        for name in NAMES:
            reply = server.query(name)
            assert reply.status in (200, 404), reply.body
            found = reply.json["response"] if reply.status == 200 else None
            possible = [self.known[name]]
            if self.pending is not None and self.pending[0] == name:
                possible.append(self.pending[1])
            assert found in possible, name
            self.known[name] = found
        self.pending = None

    def change_until_killed(self, server: Server, after: int, seconds: float) -> None:
        """The server is killed so many seconds after so many changes."""
        client, killer = server.client(), None
        for done in itertools.count():
            if done == after:
                killer = Killer(server, seconds)
            number = next(self.numbers)
            name = NAMES[number % len(NAMES)]
            removes = number % 5 == 4 and self.known[name] is not None
            self.pending = name, None if removes else number
            try:
                if removes:
                    client.remove(name)
                else:
                    client.deploy(name, constant(number), override=True)
            except (ServerUnreachableError, ResponseError):  # refused, if other processes die first
                assert killer is not None
                assert killer.has_begun.is_set()
                killer.join()
                return
            self.known[name] = self.pending[1]
            self.acknowledged += 1


def constant(number: int) -> Callable[[], int]:
    return lambda: number


@pytest.mark.parametrize(("home", "rounds"), [("SQLite", 30), ("Postgres", 9)])
def test_nothing_acknowledged_is_lost_whenever_all_is_killed(
    launch: Start, request: pytest.FixtureRequest, tmp_path: Path, home: str, rounds: int
) -> None:
    settings = {
        "TABPY_STATE_PATH": str(tmp_path / "state"),
        "TABPY_WORKERS": "1",
        "TABPY_MODELS_PATH": str(tmp_path / "models"),
    }
    if home == "Postgres":
        settings["TABPY_DATABASE_URL"] = request.getfixturevalue("postgres").new_database()
    moments, deployer = random.Random(home), Deployer()
    for number in range(rounds):
        server = launch(settings)
        if number % 3 == 0:  # while it starts, once even while it makes the tables
            Killer(server, moments.uniform(0.2, 0.6)).join()
            continue
        server.wait_until_ready()
        deployer.check(server)
        deployer.change_until_killed(server, moments.randrange(4), moments.uniform(0, 0.1))
    deployer.check(launch(settings).wait_until_ready())
    assert deployer.acknowledged > rounds / 2, "there was something to lose"
