"""Who is killed, stopped, outlived or crowded out by a script."""

import platform
import threading
from collections.abc import Callable, Mapping

import pytest

from tests.attacks.attack import (
    ALWAYS,
    CONFINEMENT,
    SERVER,
    WEB,
    WORKER,
    Attack,
    Facts,
    Scene,
    dies,
    logs,
)
from tests.attacks.house import BOB, PASSWORDS, House, happens

SETTINGS: Mapping[str, str] = {"TABPY_EVALUATE_TIMEOUT": "1"}

# Every call that sends a signal
SENDERS = {
    "kill": "os.kill(pid, number)",
    "tgkill": "call('tgkill', pid, pid, number)",
    "pidfd_send_signal": "signal.pidfd_send_signal(os.pidfd_open(pid), number)",
    "sigqueue": "call('sigqueue', pid, number, None)",
    "killpg": "os.killpg(os.getpgid(pid), number)",
}


def send(number: str, role: str, by: str = "kill") -> str:
    """A script that sends a signal to all processes of a role."""
    return f"""
number = signal.{number}
pids = facts["{role}"]
for pid in pids if isinstance(pids, list) else [pids]:
    {SENDERS[by]}
"""


OUTLIVES = """
def hold():
    "Runs in whoever is to stay: holds a connection, and does nothing but stay."
    own = beacon()
    deadline = time.monotonic() + 8
    while time.monotonic() < deadline:
        time.sleep(0.05)
    os._exit(0)
"""


# The call itself: it has the same number of arguments everywhere, and flags and stack come first
CLONE = f"""
def clone(flags):
    if libc.syscall({56 if platform.machine() == "x86_64" else 220}, flags, None, None, None, None):
        time.sleep(0.2)
    else:
        os.setsid()
        hold()
"""


def stays(seconds: float = 1.5) -> Callable[[Scene], bool]:
    """Somebody of the attacker's lives that long after his script's time is over."""
    return lambda scene: scene.beacon.burns(seconds)


def bob_is_robbed(house: House, _: Facts, __: threading.Event) -> bool:
    """Bob asks again and again: whether somebody else answers, who has got his password."""

    def ask() -> bool:
        reply = house.request("GET", "/info", user=BOB, password=PASSWORDS[BOB], timeout=1)
        return b"thief" in reply.body

    return happens(ask, 4.0)


def bobs_script_died(scene: Scene) -> bool:
    return scene.bobs_reply is None or scene.bobs_reply.status != 200


ATTACKS = [
    *(
        Attack("D1", f"SIGKILL to web processes by {by}", send("SIGKILL", "web", by), dies("web"))
        for by in SENDERS
        if by != "killpg"
    ),
    Attack(
        "D2",
        "SIGKILL to the arbiter",
        send("SIGKILL", "arbiter"),
        dies("arbiter"),
        CONFINEMENT,
        SERVER,
    ),
    *(
        Attack(
            "D3",
            f"SIGKILL to the fork server by {by}",
            send("SIGKILL", "template", by),
            dies("template"),
        )
        for by in SENDERS
    ),
    Attack(
        "D4",
        "SIGKILL to bob's worker",
        "for pid in facts['workers']:\n    if pid != os.getpid():\n        os.kill(pid, 9)",
        bobs_script_died,
        victim="import time\ntime.sleep(0.3)\nreturn 1",
        leaves=WORKER,
    ),
    Attack(
        "D5",
        "SIGSTOP to the arbiter",
        send("SIGSTOP", "arbiter"),
        dies("arbiter"),
        CONFINEMENT,
        SERVER,
    ),
    Attack(
        "D6",
        "SIGTERM to the arbiter",
        send("SIGTERM", "arbiter"),
        logs("Handling signal: term"),
        CONFINEMENT,
        SERVER,
    ),
    Attack(
        "D7",
        "SIGSTOP to web processes",
        send("SIGSTOP", "web"),
        dies("web"),
        CONFINEMENT,
        WEB,
        patience=1.5,
    ),
    Attack(
        "D8",
        "kill(-1)",
        "os.kill(-1, signal.SIGKILL)",
        dies("arbiter", "web", "template"),
        CONFINEMENT,
        SERVER,
        needs_user=True,
    ),
    Attack(
        "D9",
        "stopping the fork server, which kills",
        OUTLIVES + "os.kill(facts['template'], signal.SIGSTOP)\nhold()",
        stays(),
        CONFINEMENT,
        SERVER,
    ),
    Attack(
        "D10",
        "a double fork",
        OUTLIVES
        + """
if os.fork() == 0:
    if os.fork() == 0:
        os.setsid()
        hold()
    os._exit(0)
os.wait()
time.sleep(0.1)
""",
        stays(5.0),
        ALWAYS,
    ),
    Attack(
        "D10",
        "a double fork by one that isn't a subreaper any more",
        OUTLIVES
        + """
libc.prctl(36, 0, 0, 0, 0)
if os.fork() == 0:
    if os.fork() == 0:
        os.setsid()
        hold()
    os._exit(0)
os.wait()
time.sleep(0.1)
""",
        stays(5.0),
        ALWAYS,
    ),
    Attack(
        "D10",
        "a sibling instead of a child",
        OUTLIVES + CLONE + "clone(0x8000 | signal.SIGCHLD)",  # CLONE_PARENT
        stays(5.0),
        ALWAYS,
    ),
    Attack(
        "D10",
        "a child that waitpid doesn't see",
        OUTLIVES + CLONE + "clone(0)",
        stays(5.0),
        ALWAYS,
    ),
    Attack(
        "D11",
        "a fork, and the death of the fork server",
        OUTLIVES
        + """
if os.fork() == 0:
    libc.prctl(1, 0, 0, 0, 0)
    os.setsid()
    hold()
time.sleep(0.1)
os.kill(facts["template"], signal.SIGKILL)
""",
        stays(),
        CONFINEMENT,
        SERVER,
    ),
    Attack(
        "D12",
        "forking faster than it's killed",
        """
own = beacon()
deadline = time.monotonic() + 6
while time.monotonic() < deadline:
    if os.fork():
        os._exit(0)
    os.setsid()
os._exit(0)
""",
        stays(5.0),
        ALWAYS,
    ),
    Attack(
        "D16",
        "a hidden thread in an idle worker",
        """
import _thread
own = beacon()
def burn():
    held = own
    while True:
        pass
_thread.start_new_thread(burn, ())
""",
        stays(5.0),
        ALWAYS,
    ),
    *(
        Attack(
            "D17",
            f"{name} to the arbiter",
            f"os.kill(facts['arbiter'], signal.{name})",
            logs(f"Handling signal: {name[3:].lower()}"),
            ALWAYS,
        )
        for name in ("SIGTTIN", "SIGTTOU", "SIGHUP", "SIGUSR1", "SIGWINCH")
    ),
    Attack(
        "D18",
        "an orphan takes the port, and the next client's password",
        """
if os.fork() == 0:
    os.setsid()
    libc.prctl(1, 0, 0, 0, 0)
    os.kill(facts["template"], signal.SIGKILL)
    os.kill(facts["arbiter"], signal.SIGKILL)
    for pid in facts["web"]:
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        try:
            thief = socket.create_server(("", facts["port"]))
            break
        except OSError:
            time.sleep(0.01)
    while time.monotonic() < deadline + 1:
        client, _ = thief.accept()
        client.recv(10000)
        client.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\nthief")
        client.close()
    os._exit(0)
time.sleep(1)
""",
        lambda scene: scene.meanwhile,
        CONFINEMENT,
        SERVER,
        meanwhile=bob_is_robbed,
    ),
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_nobody_but_the_script_ends(attack: Attack, attempt: Callable[[Attack], None]) -> None:
    attempt(attack)
