"""What a script can find out: the server's secrets, and other people's data."""

import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress

import pytest

from tests.attacks.attack import (
    ALWAYS,
    ISOLATION,
    SERVER,
    Attack,
    Facts,
    logs,
    returns,
    tells,
)
from tests.attacks.house import BOB, SECRET, House, happens

SETTINGS: Mapping[str, str] = {}

MEMORY = """
def memory(pid):
    start = int(open(f"/proc/{pid}/maps").readline().split("-")[0], 16)
    with open(f"/proc/{pid}/mem", "rb", 0) as file:
        file.seek(start)
        return file.read(4).hex()
"""
ELF = b"\x7fELF".hex()
COPY = """
def copy(pid, *numbers):
    "Which descriptors of another process can be had."
    found = []
    for number in numbers:
        try:
            found.append(os.readlink(f"/proc/self/fd/{take_descriptor(pid, number)}"))
        except OSError as error:
            last = error
    if not found:
        raise last
    return "taken " + " ".join(found)
"""
SEIZE = """
def seize(pid):
    for request in (16, 0x4206):  # PTRACE_ATTACH, PTRACE_SEIZE: linux/ptrace.h
        if libc.ptrace(request, pid, None, None) == 0:
            if request == 16:
                os.waitpid(pid, 0x40000000)  # __WALL
            libc.ptrace(17, pid, None, None)  # PTRACE_DETACH
            return "attached"
    raise OSError(ctypes.get_errno(), "ptrace")
"""
VM = """
def read_vm(pid):
    start = int(open(f"/proc/{pid}/maps").readline().split("-")[0], 16)
    buffer = ctypes.create_string_buffer(4)
    here = struct.pack("QQ", ctypes.addressof(buffer), 4)
    call("process_vm_readv", pid, here, 1, struct.pack("QQ", start, 4), 1, 0)
    return buffer.raw.hex()
"""
SERVERS = "[facts['arbiter'], *facts['web']]"
OTHERS = "[pid for pid in facts['workers'] if pid != os.getpid()]"


def on_each(function: str, of: str) -> str:
    """A script that calls a function on processes; it fails if none of them lets it."""
    return f"""
result = None
for pid in {of}:
    try:
        result = {function}
        break
    except OSError as error:
        last = error
if result is None:
    raise last
return result
"""


def read(path: str) -> str:
    """A script that returns a file as text."""
    return f"return open(os.path.join({path}), 'rb').read(4000).decode('latin-1')"


def a_store(house: House) -> Facts:
    house.wait_for_store()
    return {}


def bobs_data(house: House) -> Facts:
    """Bob's script has run, and is over."""
    secrets = [f"former-secret-{number}" for number in range(100_000, 120_000)]
    assert house.as_user(BOB, "return len(_arg1)", secrets).json == 20_000
    return {}


def bobs_script(house: House) -> Facts:
    script = "password = 'in-bobs-script'\nreturn 1"
    assert house.as_user(BOB, script).json == 1
    return {}


def a_shell_with_the_secret(house: House) -> Facts:
    """As if `TABPY_PASSWORD=... make run` had started the server."""
    return {"shell": house.run_beside(["/bin/sleep", "60"], {"TABPY_PASSWORD": SECRET})}


def a_client_of_localhost(house: House, _: Facts, over: threading.Event) -> None:
    """Somebody who connects to [::1] as soon as anybody listens there."""
    while not over.wait(0.01):
        with (
            suppress(OSError),
            socket.create_connection(("::1", house.port), timeout=1) as connection,
        ):
            connection.sendall(b"GET / HTTP/1.0\r\nAuthorization: Basic Ym9iOg==\r\n\r\n")
            connection.recv(100)


SCAN = """
import re
found = set()
def look(content):
    found.update(each.decode() for each in re.findall(PATTERN, content))
"""
SCAN_OTHER = (
    SCAN.replace("PATTERN", "rb'running-secret-[0-9]{6}'")
    + """
for pid in OTHERS:
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            place, rights, *_ = line.split()
            if rights.startswith("rw"):
                start, end = (int(each, 16) for each in place.split("-"))
                memory.seek(start)
                look(memory.read(end - start))
return sorted(found)
""".replace("OTHERS", OTHERS)
)
SCAN_SELF = (
    SCAN.replace("PATTERN", "rb'former-secret-[0-9]{6}'")
    + """
with open("/proc/self/maps") as maps:
    regions = [line.split() for line in maps]
for place, rights, *_ in regions:
    if rights.startswith("rw"):
        start, end = (int(each, 16) for each in place.split("-"))
        look(ctypes.string_at(start, end - start))
return sorted(found)
"""
)
HOLDS_DATA = "secret = 'running-secret-' + str(123456)\nmeet.recv(1)\nreturn secret"

STEAL_PORT = """
with socket.socket(socket.AF_INET6) as thief:
    thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    thief.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    thief.bind(("::1", facts["port"]))
    thief.listen()
    thief.settimeout(3)
    connection, _ = thief.accept()
    return connection.recv(1000).decode()
"""

ATTACKS = [
    Attack(
        "A1",
        "the environment of every process",
        """
found = []
for pid in (facts["arbiter"], *facts["web"], facts["template"], *facts["workers"]):
    try:
        found.append(open(f"/proc/{pid}/environ").read())
    except OSError:
        pass
return found
""",
        tells(SECRET),
        ALWAYS,
    ),
    Attack(
        "A2",
        "memory of the fork server",
        MEMORY + "return memory(facts['template'])",
        tells(ELF),
        ALWAYS,
    ),
    Attack(
        "A2", "memory of the server", MEMORY + on_each("memory(pid)", SERVERS), tells(ELF), ALWAYS
    ),
    Attack(
        "A3",
        "bob's data while his script runs",
        SCAN_OTHER,
        tells("running-secret-123456"),
        ALWAYS,
        victim=HOLDS_DATA,
    ),
    Attack(
        "A4",
        "process_vm_readv of the fork server",
        VM + "return read_vm(facts['template'])",
        tells(ELF),
        ALWAYS,
    ),
    Attack(
        "A4",
        "process_vm_readv of the server",
        VM + on_each("read_vm(pid)", SERVERS),
        tells(ELF),
        ALWAYS,
    ),
    Attack(
        "A5",
        "ptrace of a worker",
        SEIZE + on_each("seize(pid)", OTHERS),
        returns("attached"),
        ALWAYS,
        victim=HOLDS_DATA,
    ),
    Attack(
        "A5",
        "ptrace of the server",
        SEIZE + on_each("seize(pid)", SERVERS),
        returns("attached"),
        ALWAYS,
    ),
    Attack(
        "A6",
        "bob's data when his script is over",
        SCAN_SELF,
        tells("former-secret-1"),
        ISOLATION,
        prepare=bobs_data,
    ),
    Attack(
        "A7",
        "the text of bob's script, in the cache",
        """
from tabpy.tabpy_server.workers.worker import script
return repr(gc.get_referents(script._compile))
""",
        tells("in-bobs-script"),
        ISOLATION,
        prepare=bobs_script,
    ),
    Attack(
        "A8",
        "inherited descriptors",
        """
links = {}
for number in range(256):
    try:
        links[number] = os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        pass
own = own_socket()
foreign = [link for number, link in links.items() if number != own and link != "/dev/null"]
return ["foreign", *foreign] if foreign else []
""",
        tells("foreign"),
        ALWAYS,
    ),
    Attack(
        "A9",
        "descriptors of the fork server",
        COPY + "return copy(facts['template'], *range(3, 32))",
        tells("taken"),
        ALWAYS,
    ),
    Attack(
        "A9",
        "descriptors of the server",
        COPY + on_each("copy(pid, *range(0, 32))", SERVERS),
        tells("taken"),
        ALWAYS,
    ),
    Attack("A10", "password hashes", read("facts['password_file']"), tells("bob $argon2id$")),
    Attack(
        "A11", "the store", read("facts['database']"), tells("SQLite format 3"), prepare=a_store
    ),
    Attack(
        "A12",
        "the arbiter starts anew, with its environment",
        "os.kill(facts['arbiter'], signal.SIGUSR2)",
        logs("Handling signal: usr2"),
        ALWAYS,
    ),
    Attack(
        "A15",
        "a line in a module that web processes import late",
        """
loot = facts["state"] + "/loot"
with open(facts["app"] + "/tabpy/tabpy_server/functions/store/database.py", "a") as module:
    module.write("\\nimport os; open(%r, 'w').write(str(dict(os.environ)))\\n" % loot)
for pid in facts["web"]:
    os.kill(pid, signal.SIGKILL)
""",
        lambda scene: happens(
            lambda: SECRET in (scene.house.state / "loot").read_text(), 4 * scene.patience
        ),
        leaves=SERVER,
    ),
    Attack(
        "A16",
        "[::1] beside 0.0.0.0, and the next client's password",
        STEAL_PORT,
        tells("Authorization"),
        meanwhile=a_client_of_localhost,
    ),
    Attack(
        "A16",
        "[::1] by MPTCP, which isn't TCP for everybody",
        STEAL_PORT.replace("AF_INET6)", "AF_INET6, socket.SOCK_STREAM, 262)"),
        tells("Authorization"),
        meanwhile=a_client_of_localhost,
    ),
    Attack(
        "A17",
        "the environment of the shell that started the server",
        "return open(f\"/proc/{facts['shell']}/environ\").read()",
        tells(SECRET),
        prepare=a_shell_with_the_secret,
    ),
    Attack(
        "F5",
        "bob's temporary files while his script runs",
        """
import glob
bobs = glob.glob(f"{os.environ['TMPDIR']}/**/bobs-*", recursive=True)
bobs += glob.glob(f"/proc/[0-9]*/root{os.path.dirname(os.environ['TMPDIR'])}/*/bobs-*")
for pid in facts["workers"]:
    folder = os.environ["TMPDIR"].replace(str(os.getpid()), str(pid))
    bobs += glob.glob(folder + "/bobs-*") + [folder + "/bobs-file"]
return [open(each).read() for each in bobs if os.path.exists(each)]
""",
        tells("bobs-temporary-secret"),
        victim="""
import os, tempfile
path = os.path.join(tempfile.gettempdir(), "bobs-file")
open(path, "w").write("bobs-temporary-secret")
meet.send(b"x")
meet.recv(1)
os.remove(path)
""",
    ),
    Attack("F5", "~/.netrc", read("facts['home'], '.netrc'"), tells(SECRET)),
    Attack("F5", "~/.ssh", read("facts['home'], '.ssh/id_ed25519'"), tells(SECRET)),
    Attack("F5", ".env", read("facts['app'], '.env'"), tells(SECRET)),
    Attack("F5", ".git", read("facts['app'], '.git/config'"), tells(SECRET)),
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_secrets_stay_secret(attack: Attack, attempt: Callable[[Attack], None]) -> None:
    attempt(attack)
