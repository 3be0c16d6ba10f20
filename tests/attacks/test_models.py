"""What a function does where it is loaded: in the check, and before its callers' workers exist."""

import itertools
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import cloudpickle
import pytest

from tests.attacks.attack import (
    ALWAYS,
    ISOLATION,
    PRELUDE,
    SERVER,
    Attack,
    Facts,
    Scene,
)
from tests.attacks.house import ALICE, BOB, PASSWORDS, SECRET, House, happens
from tests.deploying import FORM, archive_of, upload
from tests.running import Reply, until

SETTINGS: Mapping[str, str] = {}
NUMBERS = itertools.count()  # of functions, whose names have to be new
LARGE = 1_100_000  # bytes of an archive that is loaded before its callers' workers are forked


class Runs:
    """Runs a script when it's loaded, and is a function like any other after that."""

    def __init__(self, script: str, facts: Facts, padding: int = 0) -> None:
        self._script, self._facts, self._padding = script, facts, os.urandom(padding)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        run = loader(PRELUDE + self._script)
        return run, (dict(self._facts), self._padding)


def loader(script: str) -> Callable[[Facts, bytes], object]:
    """A function that runs a script, and returns one that does nothing."""

    def load(facts: Facts, padding: bytes) -> object:
        from contextlib import suppress

        from tabpy.tabpy_tools.custom_query_object import CustomQueryObject

        body = "\n".join(f"    {line}" for line in script.splitlines())
        names: dict[str, Any] = {}
        exec(f"def run(_arg1):\n{body}\n", names)
        with suppress(OSError):
            names["run"](facts)
        return CustomQueryObject(lambda *arguments: len(padding))

    return load


def deploy(house: House, user: str, name: str, code: Any) -> Reply:
    archive = code if isinstance(code, bytes) else cloudpickle.dumps(code)
    body = upload({"name": name}, archive)
    return house.request(
        "POST", "/endpoints", body, headers=FORM, user=user, password=PASSWORDS[user], timeout=3
    )


def by_a_function(script: str) -> Callable[[House], Facts]:
    """Alice deploys a function that runs a script when it's loaded."""

    def prepare(house: House) -> Facts:
        house.wait_for_store()
        name = f"alices {next(NUMBERS)}"
        with suppress(TimeoutError):
            reply = deploy(house, ALICE, name, Runs(script, house.facts()))
            assert reply.status != 409, reply.body
        return {}

    return prepare


def by_a_shared_function(script: str) -> Callable[[House], Facts]:
    """The same with a large one, which she calls until her workers come from where it is loaded."""

    def prepare(house: House) -> Facts:
        house.wait_for_store()
        name = f"alices {next(NUMBERS)}"
        assert deploy(house, ALICE, name, Runs(script, house.facts(), LARGE)).status == 201

        def is_shared() -> bool:
            assert house.query(name, user=ALICE, password=PASSWORDS[ALICE]).status == 200
            return any(each.children() for each in house.workers())

        until(is_shared, "her workers come from a process that has loaded it")
        return {}

    return prepare


SWAP = """
folders = [facts["state"] + "/incoming", facts["state"] + "/uploads"]
for folder in folders:
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            os.remove(path)
            REPLACE
"""


def serves_the_secret(scene: Scene) -> bool:
    """The store has kept what it shouldn't have seen."""
    files = scene.house.state.glob("tabpy.db*")
    return any(SECRET.encode() in each.read_bytes() for each in files)


def nobody_can_deploy(scene: Scene) -> bool:
    """Bob waits in vain for his own function."""
    try:
        return (
            deploy(scene.house, BOB, f"bobs {next(NUMBERS)}", archive_of(lambda: 1)).status != 201
        )
    except OSError:
        return True


def what_bobs_are(house: House, _: Facts, over: threading.Event) -> list[object]:
    """Bob deploys functions that answer "right", one after the other: what they answer."""
    answers: list[object] = []
    while not over.is_set():
        name = f"bobs {next(NUMBERS)}"
        if deploy(house, BOB, name, archive_of(lambda: "right")).status != 201:
            answers.append("refused")
        else:
            reply = house.query(name, user=BOB, password=PASSWORDS[BOB])
            answers.append(reply.json.get("response"))
    return answers


SWAPS = """
wrong = bytes.fromhex(facts["wrong"])
deadline = time.monotonic() + 2
folder = facts["state"] + "/incoming"
while time.monotonic() < deadline:
    try:
        for name in os.listdir(folder):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(wrong)
    except FileNotFoundError:
        pass
"""


def a_wrong_function(house: House) -> Facts:
    house.wait_for_store()
    return {"wrong": archive_of(lambda *_: "WRONG").hex()}


def bob_is_changed(scene: Scene) -> bool:
    """Bob's scripts run on workers in which alice's function has changed a module."""
    look = "import colorsys\nreturn colorsys.ONE_THIRD"
    return happens(lambda: scene.bob(look) == 0.0, 3.0 + scene.patience)


def leaves_a_file(*path: str) -> Callable[[Scene], bool]:
    def look(scene: Scene) -> bool:
        file = scene.house.own.joinpath(*path)
        return happens(file.exists, 2.5 + scene.patience)

    return look


def write(name: str) -> str:
    return f"open(os.path.join(facts['app'], {name!r}), 'w').write('alice')"


ATTACKS = [
    Attack(
        "A13",
        "an upload that becomes a link to the environment",
        "",
        serves_the_secret,
        ALWAYS,
        prepare=by_a_function(SWAP.replace("REPLACE", "os.symlink('/proc/self/environ', path)")),
    ),
    Attack(
        "A14",
        "an upload that becomes a link to the arbiter's environment",
        "",
        serves_the_secret,
        ALWAYS,
        prepare=by_a_function(
            SWAP.replace("REPLACE", "os.symlink(f\"/proc/{facts['arbiter']}/environ\", path)")
        ),
    ),
    Attack(
        "A14",
        "an upload that becomes a link to a file of secrets",
        "",
        serves_the_secret,
        ALWAYS,
        prepare=by_a_function(SWAP.replace("REPLACE", "os.symlink(facts['app'] + '/.env', path)")),
    ),
    Attack(
        "A18",
        "an upload that becomes a FIFO",
        "",
        nobody_can_deploy,
        ALWAYS,
        prepare=by_a_function(SWAP.replace("REPLACE", "os.mkfifo(path)")),
    ),
    Attack(
        "B8",
        "bob's upload, between check and store",
        SWAPS,
        lambda scene: set(scene.meanwhile) != {"right"},
        prepare=a_wrong_function,
        meanwhile=what_bobs_are,
        leaves=SERVER,
    ),
    Attack(
        "G2",
        "a file, written when a function is checked",
        "",
        leaves_a_file("app", "checked"),
        prepare=by_a_function(write("checked")),
        leaves=SERVER,
    ),
    Attack(
        "G2",
        "a file, written when a function is loaded for several workers",
        "",
        leaves_a_file("app", "loaded"),
        prepare=by_a_shared_function(
            "if os.getsid(0) != os.getpid():\n    " + write("loaded"),  # workers lead a session
        ),
        leaves=SERVER,
    ),
    Attack(
        "G1",
        "a module, changed when a function is loaded for several workers",
        "",
        bob_is_changed,
        ISOLATION,
        prepare=by_a_shared_function("import colorsys\ncolorsys.ONE_THIRD = 0.0"),
        leaves=SERVER,
    ),
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_a_function_harms_its_callers_only(
    attack: Attack, attempt: Callable[[Attack], None]
) -> None:
    attempt(attack)
