"""Those who go on asking in the storm: what they ask has one right answer, which they know."""

import hashlib
import itertools
import random
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import cloudpickle

from tabpy.tabpy_tools.custom_query_object import CustomQueryObject
from tests.deploying import deploy, redeploy
from tests.running import PASSWORD, USER, Reply, Server
from tests.storm.history import History
from tests.storm.record import Record

SMALL, LARGE = ("one", "two", "three"), "large"
NAMES = (*SMALL, LARGE)
USERS = {USER: PASSWORD, "petra": "not petra's real one"}
SHARED = 1 << 20  # bytes from which on a model is loaded before the workers are forked
PAUSE, LARGE_PAUSE = 0.2, 1.5  # seconds between two deployments of one function
PATIENCE = 30.0  # seconds without an answer that nothing excuses
ADD = "return [x + 1 for x in _arg1]"
# Text, and how many rows: a large one is hit while it's on its way.
SCRIPTS = {
    "script": (ADD, 1),
    "slow script": (f"import time\ntime.sleep(0.2)\n{ADD}", 1),
    "large script": (ADD, 30_000),
}


class Place(Protocol):
    """Where the storm is."""

    server: Server  # the one that is there now
    over: threading.Event
    record: Record
    histories: dict[str, History]


def function(number: int, size: int) -> Callable[[int], list[int]]:
    """One that needs `size` bytes, and tells of which deployment it is."""
    weights = bytes(size)

    def answer(x: int) -> list[int]:
        return [number, x + 1, len(weights)]

    return answer


class Deployer:
    """Deploys one function after another by one name."""

    def __init__(self, place: Place, name: str) -> None:
        self._place = place
        self._name = name
        self._history = place.histories[name]
        self._size = SHARED if name == LARGE else 0
        self._numbers = itertools.count(1)

    def create(self) -> None:
        archive = self._next()
        reply = deploy(self._place.server, self._name, archive)
        assert reply.status == 201, reply.body
        self._history.acknowledge(reply.json[self._name]["version"])

    def run(self) -> None:
        pause = LARGE_PAUSE if self._name == LARGE else PAUSE
        while not self._place.over.wait(pause):
            self._replace(self._next())

    def _next(self) -> bytes:
        number = next(self._numbers)
        # What `archive_of` does besides, to look at all packages, takes a second.
        archive: bytes = cloudpickle.dumps(CustomQueryObject(function(number, self._size)))
        self._history.begin(number, hashlib.sha256(archive).hexdigest())
        return archive

    def _replace(self, archive: bytes) -> None:
        reply = self._place.record.ask(
            f"deploying {self._name}",
            self._place.server,
            lambda server: redeploy(server, self._name, archive),
            200,
        )
        if reply is not None:
            self._history.acknowledge(reply.json[self._name]["version"])
            self._place.record.count_right("deployed")
            return
        while (found := versions(self._place, self._name)) is None:
            if self._place.over.wait(0.05):
                return
        self._history.settle({each["sha256"]: each["version"] for each in found["versions"]})


def versions(place: Place, name: str) -> Any:
    """The versions that the server lists, None if it doesn't answer now; any that is missing or
    too many is a fault."""
    history = place.histories[name]
    known = history.known()
    reply = place.record.ask(
        f"versions of {name}",
        place.server,
        lambda server: server.request("GET", f"/endpoints/{name}/versions"),
        200,
    )
    if reply is None:
        return None
    for fault in history.faults(known, reply.json["versions"]):
        place.record.complain(f"{name}: {fault}")
    return reply.json


class Caller:
    """Evaluates scripts and calls functions, as one of the users."""

    def __init__(self, place: Place, number: int) -> None:
        self._place = place
        self._chances = random.Random(number)
        user = [*USERS][number % len(USERS)]
        self._account: dict[str, Any] = {
            "user": user,
            "password": USERS[user],
            "timeout": PATIENCE,
        }

    def run(self) -> None:
        while not self._place.over.wait(0.02):
            self.call(self._chances.choice(NAMES))
            self.evaluate(self._chances.choice([*SCRIPTS]))

    def evaluate(self, kind: str) -> bool:
        """Run a script; True if its answer was right, else it was a documented error, or is on
        record."""
        text, rows = SCRIPTS[kind]
        x = self._chances.randrange(1_000_000)
        reply = self._ask(kind, lambda server: server.evaluate(text, [x] * rows, **self._account))
        return reply is not None and self._judge(kind, reply.json, [[x + 1] * rows])

    def call(self, name: str) -> bool:
        """Call a function, in a script or without one; True as for `evaluate`."""
        x = self._chances.randrange(1_000_000)
        in_script = self._chances.random() < 0.3
        history = self._place.histories[name]
        mark = history.mark()
        if in_script:
            script = f"return tabpy.query({name!r}, _arg1)"
            reply = self._ask(name, lambda server: server.evaluate(script, x, **self._account))
        else:
            reply = self._ask(name, lambda server: server.query(name, x, **self._account))
        size = SHARED if name == LARGE else 0
        right = [[number, x + 1, size] for number in history.possible(mark)]
        return reply is not None and self._judge(name, reply.json["response"], right)

    def _ask(self, what: str, send: Callable[[Server], Reply]) -> Reply | None:
        return self._place.record.ask(what, self._place.server, send, 200)

    def _judge(self, what: str, answer: object, right: Sequence[object]) -> bool:
        if answer in right:
            self._place.record.count_right(what)
            return True
        self._place.record.complain(f"{what}: {answer!r:.200}, and right was {right!r:.200}")
        return False
