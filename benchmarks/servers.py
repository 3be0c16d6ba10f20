"""Starting and stopping the servers under test, both in the same way.

Each start gets a free port, a working directory, a home and a state folder of its own, the same
configuration file and the same environment. Nothing of the caller's environment but PATH reaches a
server, so that no TABPY_* or DATABASE_URL lying about changes one side.
"""

import os
import secrets
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.connection import Address, Check, Connection, WrongReply, basic

USER = "benchmark"
WEB_PROCESSES = 2  # as Heroku sets it on a dyno of 512 MB; TabPy has one, whatever is set
START_LIMIT = 60.0
STOP_LIMIT = 15.0
POLL = 0.005


class ServerDied(Exception):  # noqa: N818 - an event, like StopIteration
    """The server ended by itself, or never became ready; the text is the end of its log."""


@dataclass(frozen=True)
class Kind:
    """A server that can be started: its environment's folder of commands, and an account on it."""

    name: str
    commands: Path
    password_file: Path
    password: str

    @classmethod
    def prepare(cls, name: str, commands: Path, folder: Path) -> "Kind":
        """Make the account with the server's own `tabpy-user`, so each hashes as it does."""
        kind = cls(name, commands, folder / f"{name}-passwords.txt", secrets.token_urlsafe(12))
        kind.password_file.touch(mode=0o600)
        # TabPy's command takes a password no other way, and this one is worthless in a minute.
        account = ["-u", USER, "-p", kind.password, "-f", str(kind.password_file)]
        made = subprocess.run(
            [commands / "tabpy-user", "add", *account],
            env=_environment(commands, folder),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode or not kind.password_file.stat().st_size:
            raise ServerDied(f"{commands / 'tabpy-user'} made no account: {made.stderr[-300:]}")
        return kind


@dataclass(frozen=True)
class Server:
    kind: Kind
    address: Address
    process: subprocess.Popen[bytes]
    log: Path
    started: float  # time.perf_counter() just before the process was made

    @property
    def authorization(self) -> str:
        return basic(USER, self.kind.password)

    @property
    def url(self) -> str:
        return f"http://{self.address[0]}:{self.address[1]}/"

    def tree(self) -> list[psutil.Process]:
        """The server's process and all its descendants."""
        try:
            root = psutil.Process(self.process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def wait_until(self, request: bytes, check: Check) -> float:
        """Seconds from the process's start to its first right reply to `request`."""
        while True:
            try:
                connection = Connection(self.address)
                try:
                    check(connection.ask(request))
                    return time.perf_counter() - self.started
                finally:
                    connection.close()
            except (OSError, WrongReply) as trouble:
                late = time.perf_counter() > self.started + START_LIMIT
                if late or self.process.poll() is not None:
                    end = self.log.read_text(errors="replace")[-1000:]
                    raise ServerDied(f"{self.kind.name}: {trouble}; its log ends: {end}") from None
            time.sleep(POLL)

    def stop(self) -> None:
        """End the whole tree: SIGTERM to the server, SIGKILL to whatever outlives it."""
        processes = self.tree()
        self.process.terminate()
        try:
            self.process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            processes += self.tree()
        for process in processes:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self.process.wait()


@contextmanager
def running(
    kind: Kind, more: Mapping[str, str] | None = None, command: Sequence[str] = ()
) -> Iterator[Server]:
    """A started server, perhaps not ready yet; gone with its whole tree at the end. `more`
    settings than the usual; `command` in place of `tabpy`, which gets the port as last argument."""
    with tempfile.TemporaryDirectory(prefix=f"bench-{kind.name}-") as name:
        folder = Path(name)
        (folder / "state").mkdir()
        address = ("127.0.0.1", free_port())
        settings = {
            "TABPY_PORT": str(address[1]),
            "TABPY_PWD_FILE": str(kind.password_file),
            "TABPY_STATE_PATH": str(folder / "state"),
            **(more or {}),
        }
        config = folder / "tabpy.conf"
        lines = "".join(f"{key} = {value}\n" for key, value in settings.items())
        config.write_text("[TabPy]\n" + lines)
        log = folder / "server.log"
        tabpy = [str(kind.commands / "tabpy"), "--config", str(config)]
        with log.open("wb") as output:
            started = time.perf_counter()
            process = subprocess.Popen(
                [*command, str(address[1])] if command else tabpy,
                env=_environment(kind.commands, folder) | settings,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        server = Server(kind, address, process, log, started)
        try:
            yield server
        finally:
            server.stop()


def exit_on_sigterm() -> None:
    """Turn SIGTERM into an exception, so that the servers are stopped then, too."""

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)


def _environment(commands: Path, home: Path) -> dict[str, str]:
    return {
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "WEB_CONCURRENCY": str(WEB_PROCESSES),
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
