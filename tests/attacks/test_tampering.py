"""What a script can change for good: users, code, functions, and files of the server."""

import os
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from tabpy.tabpy_server.access.password_hashes import CHEAPEST, hash_password
from tests.attacks.attack import ALWAYS, NOTHING, SERVER, Attack, Facts, Scene, dies, signs_in
from tests.attacks.house import BOB, PASSWORDS, House, happens, libc
from tests.deploying import FORM, archive_of, upload

SETTINGS: Mapping[str, str] = {}
MALLORY = "made-up-of-mallory"


def a_user_more(_: House) -> Facts:
    return {"line": f"mallory {hash_password('mallory', MALLORY, CHEAPEST)}\n"}


def append(path: str, line: str) -> str:
    return f"with open({path}, 'a') as file:\n    file.write({line})"


def create(path: str) -> str:
    return f"path = os.path.join({path})\nwith open(path, 'w') as file:\n    file.write('alice')"


def exists(*path: str) -> Callable[[Scene], bool]:
    """A file of alice's lies in the house; it's removed."""

    def look(scene: Scene) -> bool:
        file = scene.house.own.joinpath(*path)
        found = file.exists() and file.read_text() == "alice"
        file.unlink(missing_ok=True)
        return found

    return look


def ends_with(*path: str) -> Callable[[Scene], bool]:
    """A file has a line more at its end; it's taken away again."""

    def look(scene: Scene) -> bool:
        file = scene.house.own.joinpath(*path)
        content = file.read_bytes()
        if not content.endswith(b"\n# alice\n"):
            return False
        file.write_bytes(content.removesuffix(b"\n# alice\n"))
        return True

    return look


def has_mode(mode: int, *path: str) -> Callable[[Scene], bool]:
    def look(scene: Scene) -> bool:
        file = scene.house.own.joinpath(*path)
        changed = file.stat().st_mode & 0o777 == mode
        file.chmod(0o600)
        return changed

    return look


def bobs_function(house: House) -> Facts:
    """Bob has deployed a function, which answers "right"."""
    house.wait_for_store()
    name = f"bobs {len(list_endpoints(house))}"
    body = upload({"name": name}, archive_of(lambda: "right"))
    reply = house.request(
        "POST", "/endpoints", body, headers=FORM, user=BOB, password=PASSWORDS[BOB]
    )
    assert reply.status in (200, 201), reply.body
    assert ask_bobs(house, name) == "right"
    wrong = archive_of(lambda *_: "WRONG")
    return {"name": name, "wrong": wrong.hex()}


def a_store(house: House) -> Facts:
    house.wait_for_store()
    return {}


def looks_at_metrics(house: House) -> bool:
    """Whether bob sees them; web processes map their files at the first look."""
    try:
        return house.request("GET", "/metrics", user=BOB, password=PASSWORDS[BOB]).status == 200
    except (OSError, HTTPException):
        return False


def list_endpoints(house: House) -> Facts:
    found: Facts = house.request("GET", "/endpoints", user=BOB, password=PASSWORDS[BOB]).json
    return found


def ask_bobs(house: House, name: str) -> Any:
    return house.query(name, user=BOB, password=PASSWORDS[BOB]).json.get("response")


def bobs_function_is_wrong(scene: Scene) -> bool:
    return happens(
        lambda: ask_bobs(scene.house, scene.facts["name"]) != "right", 2 * scene.patience
    )


def bobs_function_is_wrong_in_new_workers(scene: Scene) -> bool:
    scene.house.renew_workers()
    return bool(ask_bobs(scene.house, scene.facts["name"]) != "right")


def stays_after_its_worker(scene: Scene) -> bool:
    file = Path(scene.result)
    assert file.exists()
    scene.house.renew_workers()
    gone = happens(lambda: not file.exists(), 3.0)
    file.unlink(missing_ok=True)
    return not gone


def segment_stays(scene: Scene) -> bool:
    """A segment of the house's user is there when the worker has gone; it's removed."""
    scene.house.renew_workers()
    lines = Path("/proc/sysvipc/shm").read_text().splitlines()
    names = lines[0].split()
    segments = [dict(zip(names, line.split(), strict=False)) for line in lines[1:]]
    left = [int(each["shmid"]) for each in segments if int(each["uid"]) == scene.house.uid]
    for each in left:
        libc.shmctl(each, 0, None)  # IPC_RMID
    return bool(left)


SQL = """
import hashlib, json, sqlite3
store = sqlite3.connect(facts["database"], isolation_level=None)
store.execute("BEGIN IMMEDIATE")
"""
COUNT_UP = """
store.execute("UPDATE tabpy_state SET revision = revision + 1")
store.execute("COMMIT")
"""

ATTACKS = [
    Attack(
        "B1",
        "a user in the password file",
        append("facts['password_file']", "facts['line']"),
        signs_in("mallory", MALLORY),
        prepare=a_user_more,
        leaves=SERVER,
    ),
    Attack(
        "B2",
        "the password file that is found by default",
        append("facts['app'] + '/tabpypwd.txt'", "'\\n# alice\\n'"),
        ends_with("app", "tabpypwd.txt"),
    ),
    Attack(
        "B3",
        ".pth in the interpreter's packages",
        create("facts['site_packages'], 'alice.pth'"),
        lambda scene: exists(
            "venv",
            "lib",
            Path(scene.facts["site_packages"]).parent.name,
            "site-packages",
            "alice.pth",
        )(scene),
    ),
    Attack(
        "B4",
        "the server's code",
        append("facts['app'] + '/tabpy/__main__.py'", "'\\n# alice\\n'"),
        ends_with("app", "tabpy", "__main__.py"),
    ),
    Attack(
        "B4",
        "a module beside the server's code",
        create("facts['app'], 'alice.py'"),
        exists("app", "alice.py"),
    ),
    Attack(
        "B4",
        "a file of models/",
        create("facts['app'], 'models', 'alice.py'"),
        exists("app", "models", "alice.py"),
    ),
    Attack(
        "B5",
        "another function in the store",
        SQL
        + """
wrong = bytes.fromhex(facts["wrong"])
sha = hashlib.sha256(wrong).hexdigest()
store.execute("INSERT INTO tabpy_archives VALUES (?, ?, ?)", (sha, len(wrong), int(time.time())))
store.execute("INSERT INTO tabpy_archive_parts VALUES (?, 0, ?)", (sha, wrong))
store.execute(
    "UPDATE tabpy_versions SET sha256 = ?, code = replace(code, sha256, ?)", (sha, sha)
)
"""
        + COUNT_UP,
        bobs_function_is_wrong,
        prepare=bobs_function,
    ),
    Attack(
        "B6",
        "no function in the store",
        SQL + 'store.execute("DELETE FROM tabpy_endpoints")' + COUNT_UP,
        bobs_function_is_wrong,
        prepare=bobs_function,
        leaves=SERVER,
    ),
    Attack(
        "B7",
        "damaged working copies",
        """
folder = facts["state"] + "/archives"
for name in os.listdir(folder):
    with open(os.path.join(folder, name), "r+b") as file:
        file.write(b"damaged")
""",
        bobs_function_is_wrong_in_new_workers,
        ALWAYS,
        prepare=bobs_function,
    ),
    Attack(
        "B7",
        "a damage to working copies that is seen",
        """
folder = facts["state"] + "/archives"
for name in os.listdir(folder):
    open(os.path.join(folder, name), "ab").write(b"damaged")
return "written"
""",
        lambda scene: scene.result == "written",
        prepare=bobs_function,
    ),
    Attack(
        "B7",
        "a lease of working copies: whoever opens one waits until it is given back",
        """
import fcntl
folder = facts["state"] + "/archives"
for name in os.listdir(folder):
    with open(os.path.join(folder, name)) as file:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        return "leased"
""",
        lambda scene: scene.result == "leased",
        prepare=bobs_function,
    ),
    Attack(
        "F4",
        "truncating the metrics that web processes have mapped",
        """
folder = f"{facts['state']}/metrics-{facts['port']}"
for name in os.listdir(folder):
    os.truncate(os.path.join(folder, name), 0)
""",
        lambda scene: happens(lambda: not looks_at_metrics(scene.house), 0.1) or dies("web")(scene),
        prepare=lambda house: {"numbers": looks_at_metrics(house)},
    ),
    Attack(
        "F6",
        "a state.ini of TabPy's, to be imported at the next start",
        create("facts['state'], 'state.ini'"),
        exists("app", "state", "state.ini"),
    ),
    Attack(
        "F10",
        "chmod of the password file",
        "os.chmod(facts['password_file'], 0)",
        has_mode(0, "app", "pwd.txt"),
    ),
    Attack(
        "F10",
        "chmod of the store",
        "os.chmod(facts['database'], 0)",
        has_mode(0, "app", "state", "tabpy.db"),
        prepare=a_store,
    ),
    Attack(
        "F10",
        "renaming the store",
        "os.rename(facts['database'], facts['database'] + '.old')",
        lambda scene: not scene.house.database.exists(),
        prepare=a_store,
        leaves=SERVER,
    ),
    Attack(
        "F10",
        "a link in place of the password file",
        "os.symlink('/dev/null', facts['app'] + '/new')\n"
        "os.replace(facts['app'] + '/new', facts['password_file'])",
        lambda scene: scene.house.password_file.is_symlink(),
        leaves=SERVER,
    ),
    Attack(
        "F10",
        "a hard link to the store, from a folder of one's own",
        "import tempfile\n"
        "target = os.path.join(tempfile.mkdtemp(), 'mine')\n"
        "os.link(facts['database'], target)\n"
        "return open(target, 'rb').read(6).decode()",
        lambda scene: scene.result == "SQLite",
        prepare=a_store,
    ),
    Attack(
        "F10",
        "removing the password file",
        "os.remove(facts['password_file'])",
        lambda scene: not scene.house.password_file.exists(),
        leaves=SERVER,
    ),
    Attack(
        "F10",
        "the home folder",
        create("facts['home'], '.profile'"),
        exists("home", ".profile"),
    ),
    Attack(
        "D15",
        "files that stay when the worker has gone",
        """
import tempfile
path = os.path.join(tempfile.mkdtemp(), "filler")
with open(path, "wb") as file:
    file.write(bytes(10_000_000))
return path
""",
        stays_after_its_worker,
    ),
    Attack(
        "D15",
        "files in the state folder",
        create("facts['state'], 'filler'"),
        exists("app", "state", "filler"),
    ),
    Attack(
        "D15",
        "files in /dev/shm",
        """
path = f"/dev/shm/alice-{facts['port']}"
with open(path, "wb") as file:
    file.write(bytes(1_000_000))
return path
""",
        stays_after_its_worker,
        NOTHING,
    ),
    Attack(
        "D15",
        "System V's shared memory, which nobody owns",
        "return call('shmget', 0, ctypes.c_size_t(1_000_000), 0o1600)",  # IPC_CREAT
        segment_stays,
    ),
    Attack(
        "F10",
        "the times of the password file",
        "os.utime(facts['password_file'], (7, 7))",
        lambda scene: scene.house.password_file.stat().st_mtime == 7,
        NOTHING,  # without harm: the file is read again
    ),
    Attack(
        "F10",
        "an attribute of the password file",
        "os.setxattr(facts['password_file'], 'user.alice', b'here')",
        lambda scene: "user.alice" in os.listxattr(scene.house.password_file),
        leaves=SERVER,
    ),
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_nothing_of_the_server_is_changed(
    attack: Attack, attempt: Callable[[Attack], None]
) -> None:
    attempt(attack)
