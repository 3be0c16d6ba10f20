"""On a node: the actor below which a script worker runs, one after the other.

The worker is no actor itself, but a process of the node's own fork server, as on any machine. So
what runs scripts has nothing of Ray's: neither its memory with the cluster's token, nor its
environment; it is confined as far as the node's kernel can, what it starts ends with it, and the
next one is there in the time of a fork. When the actor is killed, the fork server ends all.
"""

import dataclasses
import json
import os
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from tabpy.tabpy_server import own_python, script_rules
from tabpy.tabpy_server.errors import WorkerDiedError
from tabpy.tabpy_server.workers.fork_server import script_folders
from tabpy.tabpy_server.workers.fork_server.confining import NOT_CONFINED, Confining, frozen
from tabpy.tabpy_server.workers.fork_server.environment import visible
from tabpy.tabpy_server.workers.fork_server.linux import PR_SET_DUMPABLE, prctl
from tabpy.tabpy_server.workers.fork_server.process import ForkServerProcess
from tabpy.tabpy_server.workers.pool.hired import Worker
from tabpy.tabpy_server.workers.pool.launchers import ForkLauncher
from tabpy.tabpy_server.workers.pool.watch import Watch
from tabpy.tabpy_server.workers.protocol import Death, encode
from tabpy.tabpy_server.workers.ray import confinement_check
from tabpy.tabpy_server.workers.ray.node_archives import NodeArchives
from tabpy.tabpy_server.workers.ray.node_worker import NodeWorker
from tabpy.tabpy_server.workers.ray.plan import Plan

# Where Ray has its token, and the sockets and logs of the node.
TOKEN, TOKEN_NAMED = "~/.ray", "RAY_AUTH_TOKEN_PATH"
SESSIONS = "/tmp/ray"  # noqa: S108 # nosec B108 - Ray's, and only to be closed

# The groups of methods that wait for none of another group.
CONTROL, END = "control", "end"
CONCURRENCY = {CONTROL: 1, END: 2}


class Place(NamedTuple):
    """What the web process has to know of a seat: the folder of its archives, the parts of the
    confinement that the node has, in words, and why it lacks some."""

    archives: str
    confined: str
    missing: Sequence[str]


class Archive(NamedTuple):
    """An archive for the node: what `ray.put` has returned of its bytes, in a list so that it's
    fetched only where it isn't there. `anew`: the node's file of it isn't whole."""

    sha256: str
    held: Sequence[Any]
    anew: bool


class Seat:
    """Has at most one worker at a time."""

    def __init__(self, plan: Plan) -> None:
        prctl(PR_SET_DUMPABLE, 0)  # no script reads this process's memory
        self._memory_mb = plan.memory_mb
        self._archives = NodeArchives()
        confining = _confining(plan, self._archives.folder)
        self._parts = confining.parts
        self._fork_server = ForkServerProcess(
            plan.preload,
            plan.memory_mb,
            0.0,
            {**visible(os.environ), **plan.variables},
            confining,
        )
        self._fork_server.wait_until_ready()
        self._launcher = ForkLauncher(self._fork_server.requests, self._fork_server.state)
        self._watch = Watch(plan.memory_mb)
        self._worker: NodeWorker | None = None
        self._is_busy = False
        self._ended = threading.Event()
        threading.Thread(target=self._keep_watch, daemon=True).start()

    def hire(self) -> Place:
        """Have a fresh worker. Raises WorkerDiedError and OSError."""
        self._hire()
        self._ended.clear()
        return Place(str(self._archives.folder), self._parts.words, self._parts.missing)

    def ask(self, head: bytes, body: bytes, archive: Archive | None) -> tuple[bytes, bytes]:
        """Pass a frame on to the worker, its body apart, and return what it says next in the same
        way: a `Death` if it has ended, with the reason for the metrics as its body."""
        if archive is not None:
            self._keep(*archive)
        worker = self._worker
        assert worker is not None
        try:
            if not worker.used and worker.origin != self._launcher.origin:
                worker = self._hire()  # from the fork server that has imported what scripts need
            self._is_busy = True
            message, reply = worker.ask(head + body)
        except WorkerDiedError as error:
            message, reply = Death(error.how), worker.end.encode()
        except OSError as error:
            message, reply = Death(f"could not be started: {error.strerror}"), b"died"
        finally:
            self._is_busy = False
        return encode(message, len(reply)), reply

    def let_go(self) -> None:
        """End the worker, whatever it does. In the group CONTROL."""
        if self._worker is not None:
            self._worker.kill()
        self._ended.set()

    def wait_for_end(self) -> None:
        """Return when the worker has ended. In the group END."""
        self._ended.wait()

    def _hire(self) -> NodeWorker:
        if self._worker is not None:
            self._worker.close()
        self._fork_server.restart_if_dead()
        self._worker = NodeWorker(self._launcher, self._memory_mb)
        return self._worker

    def _keep_watch(self) -> None:
        while True:
            time.sleep(self._watch.pause(self._is_busy))
            worker = self._worker
            if worker is None or not worker.alive:
                continue
            watched = [cast("Worker", worker)]  # as far as `Watch` looks
            busy, idle = (watched, []) if self._is_busy else ([], watched)
            for _, end, because in self._watch.look(busy, idle):
                worker.end = end
                worker.kill(because)
            if not self._is_busy and not worker.is_quiet() and worker is self._worker:
                worker.kill()
                self._ended.set()

    def _keep(self, sha256: str, held: Sequence[Any], anew: bool) -> None:
        import ray

        self._archives.keep(sha256, lambda: ray.get(held[0]), anew=anew)


def _confining(plan: Plan, archives: Path) -> Confining:
    """Return what workers may touch on this node, as far as its kernel can keep them to it."""
    if not plan.confine:
        return NOT_CONFINED
    closed = (TOKEN, SESSIONS, os.environ.get(TOKEN_NAMED, TOKEN))
    rules = script_rules.rules_of_node(
        plan.read,
        plan.write,
        closed=[os.path.expanduser(each) for each in closed],  # noqa: PTH111
        models=str(archives),
        network=plan.network,
    )
    folder = script_folders.make_root()
    command = own_python.command(
        confinement_check.MODULE, json.dumps(dataclasses.asdict(rules)), str(folder)
    )
    said = subprocess.run(command, capture_output=True, check=True)  # noqa: S603 # nosec B603
    parts = script_rules.InForce(**frozen(json.loads(said.stdout)))
    if parts.landlock:
        return Confining(rules, parts, str(folder))
    folder.rmdir()
    return Confining(rules, parts, "")
