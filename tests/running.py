"""A real server in real processes, for tests that talk to it as its users do."""

import base64
import contextlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from tabpy.tabpy_server.access.password_hashes import CHEAPEST, hash_password
from tabpy.tabpy_tools.client import Client

USER, PASSWORD = "paolo", "not: a real pässword"
PATIENCE = 20.0  # seconds that a condition may take on a slow machine
# Signals to the tests, or the console, aren't the server's.
OWN_GROUP: dict[str, Any] = {"start_new_session": True}
if sys.platform == "win32":
    OWN_GROUP = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
ELSEWHERE = "SETTINGS_OF_TESTS"  # a variable: settings of all servers, as a JSON object
MEASURED = "coverage" in sys.modules  # by tests/measured

# For a server whose own folders lie around its notes: scripts may write to none of them.
ALONE = {"TABPY_SCRIPT_WRITE": ""}


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """The condition's first true value; fails when it doesn't come true in time."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if value := condition():
                return value
        except psutil.NoSuchProcess:
            pass  # it ended while it was looked at
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.01)


@dataclass(frozen=True)
class Reply:
    status: int
    headers: http.client.HTTPMessage  # finds names in any case
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, str, str]:
        """Status, message and info of an error, of a function that failed its text."""
        assert set(self.json) == {"message", "info"}
        info = self.json["info"]
        text = info["error"] if isinstance(info, dict) else info
        return self.status, self.json["message"], text


class Server:
    """`tabpy` started as a command, with its settings in the environment."""

    prefix = ""  # the path below which all routes lie
    headers: Mapping[str, str] = {}  # what a router in front adds to each request

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str] | None = None,
        *,
        arguments: Sequence[str] = (),
        command: Sequence[str] = (sys.executable, "-m", "tabpy"),
        users: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.log_file = folder / "log.txt"
        self.notes = folder / "notes"  # the one folder of ours that scripts may write to
        self.notes.mkdir(exist_ok=True)
        (folder / "tabpypwd.txt").touch()  # the default, found before that of the checkout
        password_file = folder / "pwd.txt"
        users = {USER: PASSWORD} if users is None else users
        password_file.write_text(
            "".join(
                f"{name} {hash_password(name, password, CHEAPEST)}\n"
                for name, password in users.items()
            )
        )
        self.environment = {
            **clean_environment(),
            "TABPY_PORT": str(self.port),
            "TABPY_PWD_FILE": str(password_file),
            "TABPY_STATE_PATH": str(folder / "state"),
            "TABPY_PRELOAD": "",
            "TABPY_SCRIPT_WRITE": str(self.notes),
            **json.loads(os.environ.get(ELSEWHERE, "{}")),
            **(settings or {}),
        }
        self.environment = {key: value for key, value in self.environment.items() if value != "-"}
        with self.log_file.open("w") as log:
            self.process = subprocess.Popen(
                [*command, *arguments],
                cwd=folder,
                env=self.environment,
                stdin=stdin,
                stdout=log,
                stderr=subprocess.STDOUT,
                **OWN_GROUP,
            )
        self.psutil = psutil.Process(self.process.pid)

    def wait_until_ready(self) -> "Server":
        until(
            self._answers,
            "the server answers",
            4 * PATIENCE if ELSEWHERE in os.environ else PATIENCE,
        )
        return self

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended: {self.log}")
        try:
            return self.request("GET", "/healthz", user=None).status == 200
        except OSError:
            return False

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def log_lines(self, *parts: str) -> list[str]:
        return [line for line in self.log.splitlines() if all(part in line for part in parts)]

    def connect(self, timeout: float) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | str | Iterable[bytes] | None = None,
        *,
        user: str | None = USER,
        password: str = PASSWORD,
        headers: Mapping[str, str] | None = None,
        timeout: float = 60.0,
    ) -> Reply:
        connection = self.connect(timeout)
        try:
            own = {**self.headers, **(headers or {})}
            if user is not None:
                own["Authorization"] = basic(user, password)
            connection.request(method, self.prefix + path, body, own)
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())
        finally:
            connection.close()

    def evaluate(self, script: str, *columns: Any, **options: Any) -> Reply:
        data = {f"_arg{number}": column for number, column in enumerate(columns, 1)}
        body = json.dumps({"script": script, "data": data})
        return self.request("POST", "/evaluate", body, **options)

    def client(self) -> Client:
        """Ours, signed in."""
        made = Client(f"http://127.0.0.1:{self.port}{self.prefix}")
        made.set_credentials(USER, PASSWORD)
        return made

    def query(self, name: str, *arguments: Any, **options: Any) -> Reply:
        """Call a deployed function, over a connection of its own."""
        path = f"/query/{quote(name)}"
        return self.request("POST", path, json.dumps({"data": arguments}), **options)

    # The processes, as the kernel sees them

    def tree(self) -> list[psutil.Process]:
        return [self.psutil, *self.psutil.children(recursive=True)]

    def template(self) -> psutil.Process:
        """The process that forks workers: a child of the arbiter that has been given modules."""
        found: psutil.Process = until(
            lambda: next(filter(_is_fork_server, children(self.psutil)), None),
            "a template process is there",
        )
        return found

    def web_processes(self) -> list[psutil.Process]:
        return [each for each in children(self.psutil) if not _is_fork_server(each)]

    def workers(self) -> list[psutil.Process]:
        found: list[psutil.Process] = self.template().children()
        return found

    def end(self) -> tuple[int, str]:
        """Exit code and output, once it has ended by itself."""
        return self.process.wait(PATIENCE), self.log

    def stop(self) -> int:
        """SIGTERM, as a platform does; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        """End it, at the end of a test, and nothing may be left of it."""
        everybody = self._everybody()
        if MEASURED:
            self._let_leave(everybody)
        self._kill(everybody)

    def crash(self) -> None:
        """SIGKILL to the whole tree, at once."""
        self._kill(self._everybody())

    def _everybody(self) -> list[psutil.Process]:
        try:
            return self.tree()
        except psutil.NoSuchProcess:
            return []

    def _let_leave(self, everybody: Sequence[psutil.Process]) -> None:
        """Ctrl-C, and a moment: a process that is killed can't save what was measured."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        with contextlib.suppress(AssertionError):
            until(lambda: all(map(is_dead, everybody)), "the server leaves", seconds=5.0)

    def _kill(self, everybody: Sequence[psutil.Process]) -> None:
        for each in everybody:
            try:
                each.kill()
            except psutil.NoSuchProcess:
                continue
        self.process.wait(PATIENCE)
        until(lambda: all(map(is_dead, everybody)), "nothing is left of the server")


def children(process: psutil.Process) -> list[psutil.Process]:
    """What its main thread has forked; on Linux without a look at all processes there are."""
    try:
        pids = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    except OSError:
        found: list[psutil.Process] = process.children()
        return found
    made = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            made.append(psutil.Process(int(pid)))
    return made


def _is_fork_server(process: psutil.Process) -> bool:
    try:
        return "fork_server" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


def is_dead(process: psutil.Process) -> bool:
    """Gone, or waiting for init to notice: that can take a while in a container."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def free_port() -> int:
    """One that nobody listens on, below those that the kernel gives to clients: a connection of
    another test can't take it before the server does."""
    while True:
        port = random.randrange(10_000, 30_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def clean_environment() -> dict[str, str]:
    """This process's environment without what would set the server."""
    return {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("TABPY_", "GUNICORN_"))
        and key not in ("PORT", "DYNO", "WEB_CONCURRENCY", "DATABASE_URL")
    }
