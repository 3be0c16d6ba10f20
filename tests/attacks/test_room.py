"""What a script takes up: memory that isn't in its own process, and processes."""

from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.attacks.attack import ALWAYS, MODES, NOTHING, WORKER, Attack, outcome, returns
from tests.attacks.house import House, adopting_orphans, is_root

MEMORY_MB = 64
SETTINGS: Mapping[str, str] = {"TABPY_SCRIPT_MEMORY_MB": str(MEMORY_MB)}

TAKE = """
PAGE = 4096
def fill(memory, megabytes):
    "Write to each page, so that it is really there."
    for start in range(0, megabytes << 20, PAGE):
        memory[start] = 1
def keep():
    "As long as it takes to be noticed."
    time.sleep(0.5)
    return "kept"
"""
KEPT = returns("kept")


ATTACKS = [
    Attack(
        "E1",
        "memory of child processes",
        TAKE
        + """
for _ in range(4):
    if os.fork() == 0:
        own = bytearray(40 << 20)
        fill(own, 40)
        time.sleep(5)
        os._exit(0)
return keep()
""",
        KEPT,
        ALWAYS,
        leaves=WORKER,
    ),
    Attack(
        "E2",
        "memfd",
        TAKE
        + """
descriptor = os.memfd_create("alice")
for _ in range(150):
    os.write(descriptor, bytes(1 << 20))
return keep()
""",
        KEPT,
        NOTHING,
        leaves=WORKER,
    ),
    Attack(
        "E2",
        "memfd in child processes",
        TAKE
        + """
for _ in range(3):
    if os.fork() == 0:
        descriptor = os.memfd_create("alice")
        for _ in range(50):
            os.write(descriptor, bytes(1 << 20))
        time.sleep(5)
        os._exit(0)
return keep()
""",
        KEPT,
        NOTHING,
        leaves=WORKER,
    ),
    Attack(
        "E3",
        "shared memory that is mapped",
        TAKE + "shared = mmap.mmap(-1, 150 << 20)\nfill(shared, 150)\nreturn keep()",
        KEPT,
        ALWAYS,
    ),
    Attack(
        "E4",
        "/dev/shm",
        TAKE
        + """
path = f"/dev/shm/alice-{os.getpid()}"
try:
    with open(path, "wb") as file:
        for _ in range(150):
            file.write(bytes(1 << 20))
        return keep()
finally:
    os.remove(path)
""",
        KEPT,
        NOTHING,
        leaves=WORKER,
    ),
    Attack(
        "E5",
        "buffers of sockets",
        TAKE
        + """
pairs = []
for _ in range(400):
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    ours.setblocking(False)
    try:
        while True:
            ours.send(bytes(1 << 16))
    except BlockingIOError:
        pass
    pairs.append((ours, theirs))
return keep()
""",
        KEPT,
        NOTHING,
    ),
    Attack(
        "E6",
        "plain memory",
        TAKE + "own = bytearray(150 << 20)\nfill(own, 150)\nreturn keep()",
        KEPT,
        ALWAYS,
    ),
    Attack(
        "E8",
        "a result larger than what a script may take",
        "return 'a' * 120_000_000",
        lambda scene: scene.reply is None or "SIGSEGV" in scene.text or scene.reply.status == 200,
        ALWAYS,
    ),
    Attack(
        "E9",
        "many small objects",
        TAKE + "own = [[each] for each in range(2_000_000)]\nreturn keep()",
        KEPT,
        ALWAYS,
    ),
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_a_script_takes_no_more_than_it_may(
    attack: Attack, attempt: Callable[[Attack], None]
) -> None:
    attempt(attack)


PROCESSES = 100  # that the user of a server may have: a small dyno has 256


@pytest.fixture(scope="module")
def narrow_house(mode: str) -> Iterator[House]:
    """A server whose user may have a hundred processes."""
    if not is_root():
        pytest.skip("only root can give the server a user whose processes are counted")
    limit = f"({PROCESSES}, {PROCESSES})"
    rules = f"import resource; resource.setrlimit(resource.RLIMIT_NPROC, {limit})"
    settings = {"WEB_CONCURRENCY": "1", "TABPY_WORKERS": "2", **MODES[mode]}
    with adopting_orphans():
        house = House(settings, rules=rules)
        house.wait_until_ready()
        yield house
        house.kill()


BOMB = """
count = 0
for _ in range(200):
    try:
        if os.fork() == 0:
            time.sleep(5)
            os._exit(0)
        count += 1
    except OSError:
        break
"""
BOMBS = [
    Attack(
        "D13",
        "all processes that there may be",
        BOMB + "return count",
        lambda scene: scene.result is not None and scene.result > 0.85 * PROCESSES,
        needs_user=True,
    ),
    Attack(
        "D14",
        "the fork server, which can't fork any more",
        BOMB
        + """
deadline = time.monotonic() + 0.5
while time.monotonic() < deadline:
    for pid in facts["workers"]:
        if pid != os.getpid():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
    time.sleep(0.05)
""",
        lambda scene: scene.house.template().pid != scene.facts["template"],
        ALWAYS,
        needs_user=True,
    ),
]


@pytest.mark.parametrize("attack", BOMBS, ids=lambda attack: attack.name)
def test_a_script_leaves_room_for_processes(attack: Attack, narrow_house: House, mode: str) -> None:
    outcome(attack, narrow_house, mode)
