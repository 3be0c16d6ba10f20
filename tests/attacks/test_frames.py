"""What a script writes to its worker's socket, or another's: the web process believes nothing."""

import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from tests.attacks.attack import ALWAYS, Attack, Facts, Scene
from tests.attacks.house import ALICE, BOB, PASSWORDS, House
from tests.deploying import FORM, archive_of, upload

SETTINGS: Mapping[str, str] = {"TABPY_SCRIPT_MEMORY_MB": "64", "TABPY_EVALUATE_TIMEOUT": "5"}
STALL = 0.5  # seconds
WAITS = "return meet.recv(1).decode()"

FORGE_REPLY = """
from tabpy.tabpy_server.workers import protocol
FORGED = protocol.encode(protocol.Reply(), 8) + b'"FORGED"' + protocol.END
"""
TAKE_ALL = """
def sockets(pid):
    "Copies of the sockets that another process has."
    found = []
    for number in range(3, 32):
        try:
            found.append(take_descriptor(pid, number))
        except OSError as error:
            last = error
    if not found:
        raise last
    return found
"""
SEND_ALL = """
def send_all(*pieces):
    own = socket.socket(fileno=os.dup(own_socket()))
    for piece in pieces:
        own.sendall(piece)
"""


def peak_mb(pid: int) -> int:
    """The most that a process ever had in memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    assert found
    return int(found[1]) >> 10


def peaks(house: House) -> Facts:
    return {"peaks": {each.pid: peak_mb(each.pid) for each in house.web_processes()}}


def takes_memory(scene: Scene) -> bool:
    """A web process has grown by more than scripts may, or is gone."""
    before: Mapping[int, int] = scene.facts["peaks"]
    now = {each.pid for each in scene.house.web_processes()}
    if now != set(before):
        return True
    return any(peak_mb(pid) > mb + 100 for pid, mb in before.items())


def is_not_answered_well(scene: Scene) -> bool:
    """Alice's own request isn't answered in time, or with something that is no answer of ours."""
    reply = scene.reply
    if reply is None:
        return True
    return not 400 <= reply.status < 600 or set(reply.json) != {"message", "info"}


def bob_is_deceived(scene: Scene) -> bool:
    return scene.bobs_reply is not None and b"FORGED" in scene.bobs_reply.body


def slowest(house: House, _: Facts, over: threading.Event) -> float:
    """Somebody asks /healthz all the time: the seconds that the slowest answer took."""
    worst = 0.0
    while not over.wait(0.01):
        began = time.monotonic()
        with suppress(OSError):
            house.request("GET", "/healthz", user=None, timeout=5)
        worst = max(worst, time.monotonic() - began)
    return worst


def stalls(scene: Scene) -> bool:
    """Everybody had to wait."""
    return bool(scene.meanwhile > STALL)


def etag_forger(house: House) -> Facts:
    """A function that writes a reply of its own, whose etag would begin another header."""

    def forge() -> None:
        import gc
        import os

        from tabpy.tabpy_server.workers import protocol
        from tabpy.tabpy_server.workers.worker.connection import Connection

        own = next(each for each in gc.get_objects() if type(each) is Connection)._socket
        reply = protocol.Reply('x"\r\nSet-Cookie: a=b\r\nX: "')
        os.write(own.fileno(), protocol.encode(reply, 2) + b"{}" + protocol.END)

    house.wait_for_store()
    body = upload({"name": "forger"}, archive_of(forge))
    house.request("POST", "/endpoints", body, headers=FORM, user=ALICE, password=PASSWORDS[ALICE])
    return {}


def sends_headers(scene: Scene) -> bool:
    reply = scene.house.query("forger", user=ALICE, password=PASSWORDS[ALICE])
    return "Set-Cookie" in reply.headers


def failure(number: str, meta: str) -> Attack:
    """A frame that says what went wrong, in a way that our worker wouldn't."""
    return Attack(
        number,
        f"a failure that is none: {meta[:60]}",
        f"os.write(own_socket(), frame(b'F', {meta.encode()!r}))\ntime.sleep(0.5)",
        is_not_answered_well,
        ALWAYS,
        patience=3.0,
    )


ATTACKS = [
    Attack(
        "C22",
        "a reply by the socket of bob's worker",
        TAKE_ALL
        + FORGE_REPLY
        + """
for pid in facts["workers"]:
    if pid != os.getpid():
        for each in sockets(pid):
            os.write(each, FORGED)
""",
        bob_is_deceived,
        ALWAYS,
        victim=WAITS,
    ),
    Attack(
        "C23",
        "the fork server's memory, and so all later workers",
        """
old, new = b"Request body is not a JSON ob" + b"ject.", b"Request body: ALICE WAS HERE...."
with open(f"/proc/{facts['template']}/maps") as maps:
    regions = [line.split() for line in maps]
with open(f"/proc/{facts['template']}/mem", "r+b", 0) as memory:
    for place, rights, *_ in regions:
        if rights.startswith("rw"):
            start, end = (int(each, 16) for each in place.split("-"))
            memory.seek(start)
            content = memory.read(end - start)
            found = content.find(old)
            while found >= 0:
                memory.seek(start + found)
                memory.write(new)
                found = content.find(old, found + 1)
""",
        lambda scene: workers_say(scene, b"ALICE"),
        ALWAYS,
    ),
    Attack(
        "C24",
        "the fork server's socket of requests, to be the worker",
        TAKE_ALL
        + """
others = [pid for pid in facts["workers"] if pid != os.getpid()]
for each in sockets(facts["template"]):
    for _ in range(50):
        try:
            os.kill(others.pop(), signal.SIGKILL)
        except (OSError, IndexError):
            pass
        try:
            message, fds, _, _ = socket.recv_fds(socket.socket(fileno=os.dup(each)), 65536, 1)
        except OSError:
            continue
        if fds:
            return "a worker's socket"
""",
        lambda scene: scene.result == "a worker's socket",
        ALWAYS,
    ),
    Attack(
        "E7",
        "a body of 2^60 bytes",
        SEND_ALL
        + """
zeros = bytes(1 << 20)
send_all(struct.pack("!cIQ", b"R", 2, 1 << 60) + b"{}", *[zeros] * 300)
""",
        takes_memory,
        ALWAYS,
        prepare=peaks,
        patience=6.0,
    ),
    Attack(
        "E7",
        "a body without an end",
        SEND_ALL
        + """
zeros = bytes(1 << 20)
send_all(struct.pack("!cIQ", b"R", 2, 600 << 20) + b"{}", *[zeros] * 300)
""",
        takes_memory,
        ALWAYS,
        prepare=peaks,
        patience=6.0,
    ),
    Attack(
        "E10",
        "100 MB of meta",
        SEND_ALL
        + """
piece = b" " * (1 << 20)
send_all(struct.pack("!cIQ", b"R", 100 << 20, 0), *[piece] * 100)
""",
        takes_memory,
        ALWAYS,
        prepare=peaks,
    ),
    Attack(
        "E11",
        "meta that takes long to parse",
        SEND_ALL
        + """
meta = b'{"etag":[' + b"[]," * 300_000 + b"[]]}"
send_all(frame(b"R", meta))
""",
        stalls,
        ALWAYS,
        meanwhile=slowest,
    ),
    Attack(
        "E12",
        "a flood of questions",
        SEND_ALL
        + """
need = frame(b"N", b'{"name":"no such function","damaged":""}')
deadline = time.monotonic() + 1
while time.monotonic() < deadline:
    send_all(need * 50)
""",
        stalls,
        ALWAYS,
        meanwhile=slowest,
    ),
    failure("E13", '{"error_name":"TabPyError","facts":[]}'),
    failure("E14", '{"error_name":"InvalidInputError","facts":[204, 100]}'),
    failure("E15", '{"error_name":"JobTimeoutError","facts":["abc", 200000000, null]}'),
    failure("E16", '{"error_name":"InvalidInputError","facts":["' + "x" * 1000 + '", {"a": []}]}'),
    failure("E17", '{"error_name":"KeyboardInterrupt","facts":[]}'),
    failure("E20", '{"error_name":"AllBusyError","facts":[1e308]}'),
    failure("E20", '{"error_name":"AllBusyError","facts":[NaN]}'),
    Attack(
        "E19", "headers in the etag of a function", "", sends_headers, ALWAYS, prepare=etag_forger
    ),
]


def workers_say(scene: Scene, word: bytes) -> bool:
    """What a fresh worker answers to nonsense has the word in it."""
    scene.house.renew_workers()
    reply = scene.house.request("POST", "/evaluate", "[]", user=BOB, password=PASSWORDS[BOB])
    return word in reply.body


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_the_web_process_believes_nothing(
    attack: Attack, attempt: Callable[[Attack], None]
) -> None:
    attempt(attack)
