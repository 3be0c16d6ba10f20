"""Which process is killed when, and how: by chance, the same in each run with the same seed."""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import psutil

from tests.running import Server

Processes = list[psutil.Process]


def _below_fork_server(server: Server) -> Processes:
    found: Processes = server.template().children(recursive=True)
    return found


def _has_session(process: psutil.Process) -> bool:
    """A worker leads a session of its own, or is in one; no fork server's copy does."""
    with suppress(ProcessLookupError):
        return os.getsid(process.pid) == process.pid
    return False


def workers(server: Server) -> Processes:
    return [each for each in _below_fork_server(server) if _has_session(each)]


def copies(server: Server) -> Processes:
    """Of the fork server: those that load models, or have loaded them and fork in its place."""
    found = _below_fork_server(server)
    return [each for each in found if not _has_session(each)]


# How often in a hundred, who, and whether all of them at once.
VICTIMS: dict[str, tuple[int, Callable[[Server], Processes], bool]] = {
    "worker": (25, workers, False),
    "all workers": (10, workers, True),
    "web process": (25, Server.web_processes, False),
    "both web processes": (5, Server.web_processes, True),
    "fork server": (12, lambda server: [server.template()], False),
    "copy of the fork server": (13, copies, False),
    "arbiter": (6, lambda server: [server.psutil], False),
    "everybody": (4, Server.tree, True),
}
END_THE_SERVER = ("arbiter", "everybody")
HEED_SIGTERM = ("web process", "both web processes", *END_THE_SERVER)
# How often in a hundred, and the signals in their order, with a pause between two.
WAYS: dict[str, tuple[int, Sequence[signal.Signals]]] = {
    "SIGKILL": (60, [signal.SIGKILL]),
    "SIGTERM": (10, [signal.SIGTERM]),
    "SIGSTOP, SIGCONT": (15, [signal.SIGSTOP, signal.SIGCONT]),
    "SIGSTOP, SIGKILL": (15, [signal.SIGSTOP, signal.SIGKILL]),
}


@dataclass(frozen=True)
class Strike:
    """Signals to processes of one kind. `chance`: which one of them, from 0 to 1; `delay` before,
    and `pause` between two signals, in seconds."""

    kind: str
    way: str
    chance: float = 0.0
    delay: float = 0.0
    pause: float = 0.5

    def __str__(self) -> str:
        return f"{self.kind}: {self.way}"

    @property
    def kills(self) -> bool:
        return signal.SIGKILL in WAYS[self.way][1]

    @property
    def ends_its_victims(self) -> bool:
        """Those that run scripts ignore SIGTERM: it comes from platforms, to every process."""
        return self.kills or (self.way == "SIGTERM" and self.kind in HEED_SIGTERM)

    @property
    def ends_the_server(self) -> bool:
        return self.kind in END_THE_SERVER and self.ends_its_victims

    @property
    def breaks_connections(self) -> bool:
        """Whether clients may get no answer at all."""
        return self.ends_the_server or (self.kills and "web process" in self.kind)

    def victims(self, server: Server) -> Processes:
        _, find, all_of_them = VICTIMS[self.kind]
        found = sorted(find(server), key=lambda each: each.pid)
        return found if all_of_them else found[int(self.chance * len(found)) :][:1]

    def carry_out(self, victims: Processes) -> None:
        for number, each in enumerate(WAYS[self.way][1]):
            if number:
                time.sleep(self.pause)
            for victim in victims:
                with suppress(psutil.NoSuchProcess):
                    victim.send_signal(each)


def strikes(seed: int, rounds: int) -> Iterator[Strike]:
    """As many as there are rounds."""
    chances = random.Random(seed)
    for _ in range(rounds):
        yield Strike(
            chances.choices([*VICTIMS], [each[0] for each in VICTIMS.values()])[0],
            chances.choices([*WAYS], [each[0] for each in WAYS.values()])[0],
            chances.random(),
            chances.uniform(0, 0.4),
            chances.uniform(0.05, 1.5),
        )
