"""An attack: a script of alice's, and how somebody outside sees whether it worked."""

import ctypes
import functools
import os
import select
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any

import psutil

from tests.attacks.house import ALICE, BOB, House, happens, is_root
from tests.running import Reply, until

Facts = Mapping[str, Any]

# What stops an attack. The first two are always there, whatever the settings say.
ALWAYS = "what is always on"
ISOLATION = "TABPY_SCRIPT_ISOLATION=user"
CONFINEMENT = "TABPY_SCRIPT_CONFINEMENT=required"
NOTHING = "nothing"  # SECURITY.md says so

# What an attack that worked leaves behind
CLEAN = "nothing that others would notice, or that doesn't heal by itself"
WORKER, WEB, SERVER = "bad workers", "bad web processes", "a bad server"

OFF, REQUIRED = "off", "required"
MODES: Mapping[str, Mapping[str, str]] = {
    OFF: {"TABPY_SCRIPT_CONFINEMENT": "off", "TABPY_SCRIPT_ISOLATION": "off"},
    REQUIRED: {"TABPY_SCRIPT_CONFINEMENT": "required", "TABPY_SCRIPT_ISOLATION": "user"},
}

PRELUDE = """
import ctypes, gc, mmap, os, signal, socket, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
facts = _arg1
def call(name, *arguments):
    "A function of libc's; raises OSError when it fails."
    function = getattr(libc, name)
    function.restype = ctypes.c_long
    result = function(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result
def own_socket():
    "The descriptor that this worker has of its socket to the web process."
    from tabpy.tabpy_server.workers.worker.connection import Connection
    return next(e for e in gc.get_objects() if type(e) is Connection)._socket.fileno()
def frame(kind, meta, body=b""):
    return struct.pack("!cIQ", kind, len(meta), len(body)) + meta + body + b"\\xff"
def take_descriptor(pid, number):
    "A copy of another process's descriptor."
    return call("syscall", 438, os.pidfd_open(pid), number, 0)  # pidfd_getfd
def beacon():
    "A connection that stays open as long as a process that has it lives."
    return socket.create_connection(("127.0.0.1", facts["beacon"]))
"""


@dataclass
class Scene:
    """What there is to see when the script has ended: `reply` is None if there was none."""

    house: House
    facts: Facts
    reply: Reply | None
    beacon: "Beacon"
    bobs_reply: Reply | None = None
    meanwhile: Any = None
    patience: float = 0.5  # seconds that a success may take to be seen

    @property
    def text(self) -> str:
        """What alice got."""
        return self.reply.body.decode() if self.reply is not None else ""

    @property
    def result(self) -> Any:
        return self.reply.json if self.reply is not None and self.reply.status == 200 else None

    def bob(self, script: str, *columns: Any) -> Any:
        """What bob's script returns, or the error he gets."""
        return self.house.as_user(BOB, script, *columns).json


@dataclass(frozen=True)
class Attack:
    """`number`: that of the security review. `prepare`: what is done before, and found out for the
    script. `victim`: what bob runs meanwhile, until the attack is over; `meanwhile`: what somebody
    else does on a thread, told by an event when it is over. `needs_user`: it may only be tried by a
    user whom nobody else is. `is_race`: where nothing stops it, it succeeds often, not always."""

    number: str
    what: str
    script: str
    succeeded: Callable[[Scene], Any]
    stopped_by: str = CONFINEMENT
    leaves: str = CLEAN
    victim: str = ""
    needs_user: bool = False
    is_race: bool = False
    needs_namespaces: bool = False
    patience: float = 15.0  # seconds that alice waits for her reply
    prepare: Callable[[House], Facts] = field(default=lambda _: {})
    meanwhile: Callable[[House, Facts, threading.Event], Any] = field(default=lambda *_: None)

    @property
    def name(self) -> str:
        return f"{self.number} {self.what}"

    def works(self, mode: str) -> bool:
        """Whether it is expected to succeed."""
        return self.stopped_by == NOTHING or (mode == OFF and self.stopped_by != ALWAYS)

    def try_on(self, house: House, mode: str) -> tuple[bool, str]:
        """Carry it out; whether it succeeded, and what alice got.

        A success that is expected may take long, on a slow machine; what isn't expected would be
        there at once.
        """
        with Beacon() as beacon:
            facts = {**house.facts(), "beacon": beacon.port, **self.prepare(house)}
            if not self.victim:
                scene = self._carry_out(house, facts, beacon)
            else:
                with bob_runs(house, self.victim) as bob:
                    facts = {**facts, "workers": house.facts()["workers"]}
                    scene = self._carry_out(house, facts, beacon)
                scene.bobs_reply = bob.reply
            scene.patience = 5.0 if self.works(mode) else 0.5
            return bool(self.succeeded(scene)), scene.text

    def _carry_out(self, house: House, facts: Facts, beacon: "Beacon") -> Scene:
        over = threading.Event()
        with ThreadPoolExecutor(1) as threads:
            others = threads.submit(self.meanwhile, house, facts, over)
            reply = self._run(house, facts)
            over.set()
            return Scene(house, facts, reply, beacon, meanwhile=others.result())

    def _run(self, house: House, facts: Facts) -> Reply | None:
        try:
            return house.as_user(ALICE, PRELUDE + self.script, facts, timeout=self.patience)
        except (OSError, HTTPException):
            return None  # nobody is left who would answer


class Beacon:
    """Sees whether a process lives that an attack started: it holds a connection open."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._connections: list[socket.socket] = []

    def __enter__(self) -> "Beacon":
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._listener, *self._connections):
            each.close()

    def goes_out(self, seconds: float) -> bool:
        """Whether all who have connected are gone, or none ever came."""
        self._listener.settimeout(0.2)
        while True:
            try:
                self._connections.append(self._listener.accept()[0])
            except TimeoutError:
                break
            self._listener.settimeout(0.0)
            if not _has_waiting(self._listener):
                break
        return happens(lambda: all(map(_is_closed, self._connections)), seconds)

    def burns(self, seconds: float) -> bool:
        """Whether somebody lives that long after the script has ended."""
        return not self.goes_out(seconds)


def _has_waiting(listener: socket.socket) -> bool:
    return bool(select.select([listener], [], [], 0)[0])


def _is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


class Bob:
    reply: Reply | None = None


@contextmanager
def bob_runs(house: House, script: str) -> Iterator[Bob]:
    """Bob's script is running, as far as it says on `meet`, if it does; there it also hears when it
    may end."""
    bob = Bob()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        port = listener.getsockname()[1]
        whole = f"import socket\nmeet = socket.create_connection(('127.0.0.1', {port}))\n{script}"

        def run() -> None:
            try:
                bob.reply = house.as_user(BOB, whole)
            except (OSError, ValueError):
                bob.reply = None

        thread = threading.Thread(target=run)
        thread.start()
        meeting = listener.accept()[0]
        if "meet.send" in script:
            meeting.settimeout(10)
            meeting.recv(1)
        try:
            yield bob
        finally:
            meeting.close()
            thread.join(20)


def skip_reason(attack: Attack) -> str:
    """Why an attack can't be tried here; "" if it can."""
    if attack.needs_user and not is_root():
        return "only root can give the server a user whom this attack may do harm to"
    if attack.needs_namespaces and not has_namespaces():
        return "here (in a chroot, say) nobody may make namespaces, confined or not"
    return ""


@functools.cache
def has_namespaces() -> bool:
    """Whether a user without privileges may make a user namespace."""
    clone_newuser, nobody = 0x10000000, 65534
    pid = os.fork()
    if pid == 0:
        try:
            if is_root():
                os.setuid(nobody)
            os._exit(0 if ctypes.CDLL(None).unshare(clone_newuser) == 0 else 1)
        finally:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


# How somebody outside sees that an attack has succeeded


def tells(secret: str) -> Callable[[Scene], bool]:
    """Alice reads it in her reply."""
    return lambda scene: secret in scene.text


def returns(value: Any) -> Callable[[Scene], bool]:
    """Alice's script got as far as returning that, which it does only after success."""
    return lambda scene: bool(scene.result == value)


def dies(*roles: str) -> Callable[[Scene], bool]:
    """A process that was there is no more, or is stopped."""
    return lambda scene: happens(
        lambda: any(is_out_of_action(pid) for pid in pids(scene.facts, *roles)), scene.patience
    )


def pids(facts: Facts, *roles: str) -> list[int]:
    found: list[int] = []
    for role in roles:
        found += facts[role] if isinstance(facts[role], list) else [facts[role]]
    return found


def is_out_of_action(pid: int) -> bool:
    try:
        status = psutil.Process(pid).status()
    except psutil.NoSuchProcess:
        return True
    return status in (psutil.STATUS_ZOMBIE, psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)


def logs(words: str) -> Callable[[Scene], bool]:
    return lambda scene: happens(lambda: words in scene.house.log, scene.patience)


def signs_in(user: str, password: str) -> Callable[[Scene], bool]:
    """Somebody can sign in who shouldn't, since the password file has him now."""

    def look(scene: Scene) -> bool:
        if user not in scene.house.password_file.read_text():
            return False  # and no failed sign-in, which would slow down the next ones
        info = scene.house.request("GET", "/info", user=user, password=password)
        return info.status == 200

    return lambda scene: happens(lambda: look(scene), 2 * scene.patience)


def outcome(attack: Attack, house: House, mode: str) -> None:
    """Carry an attack out; fails unless it ends as the table says, and the server goes on."""
    succeeded, text = attack.try_on(house, mode)
    is_as_expected = succeeded == attack.works(mode) or (attack.is_race and attack.works(mode))
    assert is_as_expected, (
        f"{attack.name} {'succeeded' if succeeded else 'failed'} with {mode}; "
        f"the table says that {attack.stopped_by} stops it. "
        f"Alice got: {text[:2000]}"
    )
    if not succeeded:
        until(house.answers_right, "the server goes on answering")
