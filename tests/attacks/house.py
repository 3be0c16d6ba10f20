"""A server in a house of its own: what an attack may break is a copy, and so is who it belongs to.

The server's user owns the house: a checkout with our code and its state, a home folder, and an
environment with the interpreter's site-packages, as on a dyno. Started by root, the house has a
user whom nobody else is, so not even `kill(-1)` gets out of it; else it is the present user's, and
attacks that would reach further are left out.
"""

import atexit
import compileall
import ctypes
import functools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from tests.running import Reply, Server, children, is_dead, until

ROOT = Path(__file__).parents[2]
ALICE, BOB = "alice", "bob"  # who attacks, and who is attacked
PASSWORDS = {ALICE: "made-up-of-alice", BOB: "made-up-of-bob"}
SECRET = "made-up-secret-of-the-environment"
USERS_OF_NOBODY = range(61_184, 65_520)  # systemd's, for the time that a service runs
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
LANDLOCK_CREATE_RULESET, LANDLOCK_CREATE_RULESET_VERSION = 444, 1  # linux/landlock.h
AS_USER = """
import os, sys
uid, folder, *command = sys.argv[1:]
for place, folders, files in os.walk(folder):
    for each in (place, *(os.path.join(place, name) for name in files)):
        os.chown(each, int(uid), int(uid), follow_symlinks=False)
os.setgroups([])
os.setgid(int(uid))
os.setuid(int(uid))
os.execv(command[0], command)
"""

libc = ctypes.CDLL(None, use_errno=True)


def landlock_abi() -> int:
    """The version of Landlock that this kernel has; 0 for none."""
    flag = ctypes.c_uint32(LANDLOCK_CREATE_RULESET_VERSION)
    return max(0, int(libc.syscall(LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), flag)))


def is_root() -> bool:
    return os.geteuid() == 0


class House(Server):
    """A server of a house that was made for it; `pages` below it are what attacks are after."""

    def __init__(self, settings: Mapping[str, str], *, rules: str = "") -> None:
        """`rules`: Python that its first process runs before it becomes the server."""
        self.place = Path(tempfile.mkdtemp(prefix="tabpy-attacked-"))
        self.place.chmod(0o755)  # mkdtemp's is closed to the user it is for
        self.uid = unused_user() if is_root() else os.geteuid()
        self.own = self.place / "house"
        self.app, self.home = self.own / "app", self.own / "home"
        interpreter = _interpreter()
        self.site_packages = _environment(self.own / "venv", interpreter)
        _checkout(self.app)
        _home(self.home)
        (self.own / "tmp").mkdir()
        self.guests: list[subprocess.Popen[bytes]] = []
        self.before = {each.pid for each in psutil.Process().children(recursive=True)}
        command = [str(self.own / "venv" / "bin" / "python"), "-m", "tabpy"]
        if is_root():
            script = f"{rules}\n{AS_USER}"
            command = [sys.executable, "-c", script, str(self.uid), str(self.own), *command]
        super().__init__(
            self.app,
            {
                "HOME": str(self.home),
                "PATH": f"{self.own / 'venv' / 'bin'}:/usr/local/bin:/usr/bin:/bin",
                "TMPDIR": str(self.own / "tmp"),
                "PYTHONPATH": str(self.app),
                "LD_LIBRARY_PATH": str(interpreter / "lib"),
                "TABPY_ADDRESS": "0.0.0.0",  # so that [::1] is there to be taken
                "TABPY_USERNAME": "carol",
                "TABPY_PASSWORD": SECRET,
                "TABPY_EVALUATE_TIMEOUT": "10",
                **dict.fromkeys(("VIRTUAL_ENV", "XDG_DATA_HOME", "XDG_CACHE_HOME"), "-"),
                **settings,
            },
            command=command,
            users=PASSWORDS,
        )

    def wait_until_ready(self) -> "House":
        super().wait_until_ready()
        return self

    def wait_for_store(self) -> None:
        """Wait until functions can be deployed, which is later."""
        until(self._has_store, "the store is open")

    def _has_store(self) -> bool:
        return self.request("GET", "/endpoints", user=BOB, password=PASSWORDS[BOB]).status == 200

    # What attacks are about

    @property
    def password_file(self) -> Path:
        return self.app / "pwd.txt"

    @property
    def state(self) -> Path:
        return self.app / "state"

    @property
    def database(self) -> Path:
        return self.state / "tabpy.db"

    def facts(self) -> dict[str, Any]:
        """What an attacker could find out by himself, for a script's `_arg1`."""
        template, web = self.template(), self.web_processes()
        return {
            "arbiter": self.process.pid,
            "web": sorted(each.pid for each in web),
            "template": template.pid,
            "workers": [each.pid for each in children(template)],
            "uid": self.uid,
            "port": self.port,
            "app": str(self.app),
            "home": str(self.home),
            "site_packages": str(self.site_packages),
            "password_file": str(self.password_file),
            "state": str(self.state),
            "database": str(self.database),
        }

    def workers(self) -> list[psutil.Process]:
        return children(self.template())

    def as_user(self, user: str, script: str, *columns: Any, **options: Any) -> Reply:
        """What a script answers to one of the users."""
        return self.evaluate(script, *columns, user=user, password=PASSWORDS[user], **options)

    def answers_right(self) -> bool:
        """Whether bob gets the right answer now."""
        try:
            return bool(self.as_user(BOB, "return _arg1[0] + 1", [1], timeout=3).json == 2)
        except (OSError, ValueError):
            return False

    def renew_workers(self) -> None:
        """Have nothing left in a worker of what a script did there."""
        self._replace(self.workers())

    def renew_web_processes(self) -> None:
        """Have other web processes, with workers of their own."""
        self._replace(self.web_processes())

    def _replace(self, old: Sequence[psutil.Process]) -> None:
        for each in old:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        until(lambda: all(map(is_dead, old)), "the old processes are gone")
        until(self.answers_right, "others answer")

    def run_beside(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """Start a process of the server's user that isn't the server's; its pid."""
        user = {"user": self.uid, "group": self.uid, "extra_groups": ()} if is_root() else {}
        self.guests.append(subprocess.Popen(command, env=environment, **user))  # type: ignore[call-overload]
        return self.guests[-1].pid

    # The end

    def inhabitants(self) -> list[psutil.Process]:
        """All processes that the server started, and those that have run away from it."""
        children = [
            each
            for each in psutil.Process().children(recursive=True)
            if each.pid not in self.before
        ]
        if not is_root():
            return children
        strays = [each for each in psutil.process_iter() if self.uid in _users_of(each)]
        return list({each.pid: each for each in (*children, *strays)}.values())

    def kill(self) -> None:
        """End all of it, and remove the house."""
        until(self._nobody_is_left, "nobody is left in the house")
        shutil.rmtree(self.place)

    def _nobody_is_left(self) -> bool:
        left = [
            each
            for each in self.inhabitants()
            if each.pid == self.process.pid or self._is_mine(each)
        ]
        alive = [each for each in left if not is_dead(each)]
        for each in alive:
            each.send_signal(signal.SIGKILL)
        for guest in (self.process, *self.guests):
            guest.poll()
        for each in left:
            _bury(each)
        return not alive

    def _is_mine(self, process: psutil.Process) -> bool:
        return not is_root() or self.uid in _users_of(process)


def unused_user() -> int:
    """The number of a user of whom there's no process."""
    taken = {uid for each in psutil.process_iter() for uid in _users_of(each)}
    return random.choice([uid for uid in USERS_OF_NOBODY if uid not in taken])


def _users_of(process: psutil.Process) -> tuple[int, ...]:
    try:
        return tuple(process.uids())
    except psutil.NoSuchProcess:
        return ()


@contextmanager
def adopting_orphans() -> Iterator[None]:
    """Be who gets processes whose parent dies: how one that has run away is found again."""
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    yield
    libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _bury(process: psutil.Process) -> None:
    with suppress(ChildProcessError):  # its own parent does that
        os.waitpid(process.pid, os.WNOHANG)


@functools.cache
def _interpreter() -> Path:
    """The interpreter's folder; if strangers may not enter it, one with links to the same files.

    They stay root's, so the house's user may run them and not change them.
    """
    found = Path(sys.base_prefix)
    if not is_root() or all(each.stat().st_mode & 0o5 == 0o5 for each in (found, *found.parents)):
        return found
    copy = _shared_folder() / "python"
    try:
        shutil.copytree(found, copy, symlinks=True, copy_function=os.link, ignore=_not_needed)
    except shutil.Error:  # another file system
        shutil.rmtree(copy)
        shutil.copytree(found, copy, symlinks=True, ignore=_not_needed)
    return copy


@functools.cache
def _shared_folder() -> Path:
    """What all houses have in common: root's, if the houses aren't."""
    folder = Path(tempfile.mkdtemp(prefix="tabpy-houses-"))
    folder.chmod(0o755)
    atexit.register(shutil.rmtree, folder)
    return folder


def _not_needed(folder: str, names: list[str]) -> set[str]:
    return {"test", "idlelib", "include", "share", "site-packages"} & set(names)


def _environment(venv: Path, interpreter: Path) -> Path:
    """Make a virtual environment with this one's packages; its site-packages."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site_packages = venv / "lib" / version / "site-packages"
    site_packages.mkdir(parents=True)
    (venv / "bin").mkdir()
    (venv / "bin" / "python").symlink_to(interpreter / "bin" / version)
    (venv / "pyvenv.cfg").write_text(
        f"home = {interpreter / 'bin'}\ninclude-system-site-packages = false\n"
    )
    theirs = [each for each in sys.path if each.endswith("-packages")]
    (site_packages / "theirs.pth").write_text("".join(f"{each}\n" for each in theirs))
    return site_packages


@functools.cache
def _compiled() -> Path:
    """A copy of our package with its bytecode: servers that are started often start quickly."""
    package = _shared_folder() / "tabpy"
    shutil.copytree(ROOT / "tabpy", package, ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(package, quiet=2)
    return package


def _checkout(app: Path) -> None:
    """What `git push heroku` would have brought, as far as a server needs it."""
    app.mkdir(parents=True)
    shutil.copytree(_compiled(), app / "tabpy")
    for name in ("pyproject.toml", "Procfile", "requirements.txt"):
        shutil.copyfile(ROOT / name, app / name)
    (app / "models").mkdir()
    (app / "models" / "weights.txt").write_text("a file of the fork's")
    (app / ".env").write_text(f"TABPY_PASSWORD={SECRET}\n")
    (app / ".git").mkdir()
    (app / ".git" / "config").write_text(f"[remote]\n\turl = https://x:{SECRET}@example.com\n")


def _home(home: Path) -> None:
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "id_ed25519").write_text(SECRET)
    (home / ".netrc").write_text(f"machine example.com login x password {SECRET}\n")


def happens(condition: Callable[[], Any], seconds: float) -> bool:
    """Whether something comes true in a time in which it would have, had an attack worked."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return True
        except (psutil.NoSuchProcess, OSError, ValueError):
            pass  # a file that isn't there, a server that doesn't answer
        time.sleep(0.01)
    return False
