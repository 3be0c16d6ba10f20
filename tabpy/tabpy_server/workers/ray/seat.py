"""On a node: the actor below which a script worker runs, one after the other.

The worker is no actor itself, but a process of the node's own fork server, as on any machine. So
what runs scripts has nothing of Ray's: neither its memory with the cluster's token, nor its
environment; it is confined as far as the node's kernel can, what it starts ends with it, and the
next one is there in the time of a fork. When the actor is killed, the fork server ends all.
"""

import asyncio
import dataclasses
import json
import os
import subprocess
import threading
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tabpy.tabpy_server import own_python, script_rules
from tabpy.tabpy_server.errors import WorkerDiedError
from tabpy.tabpy_server.workers.fork_server import script_folders
from tabpy.tabpy_server.workers.fork_server.confining import NOT_CONFINED, Confining, frozen
from tabpy.tabpy_server.workers.fork_server.environment import visible
from tabpy.tabpy_server.workers.fork_server.linux import PR_SET_DUMPABLE, prctl
from tabpy.tabpy_server.workers.fork_server.process import ForkServerProcess
from tabpy.tabpy_server.workers.pool.hired import ENDED, Received
from tabpy.tabpy_server.workers.pool.launchers import ForkLauncher
from tabpy.tabpy_server.workers.pool.watch import Watch
from tabpy.tabpy_server.workers.pool.worker import LocalWorker
from tabpy.tabpy_server.workers.protocol import (
    Answer,
    CheckArchive,
    Death,
    Job,
    Load,
    Message,
    Query,
)
from tabpy.tabpy_server.workers.ray import confinement_check
from tabpy.tabpy_server.workers.ray.node_archives import NodeArchives
from tabpy.tabpy_server.workers.ray.plan import Plan

Result = TypeVar("Result")

# Where Ray has its token, and the sockets and logs of the node.
TOKEN, TOKEN_NAMED = "~/.ray", "RAY_AUTH_TOKEN_PATH"
SESSIONS = "/tmp/ray"  # noqa: S108 # nosec B108 - Ray's, and only to be closed

# Which methods wait for none of the others.
CONCURRENCY = {"control": 1, "end": 2}


@dataclasses.dataclass(frozen=True)
class Archive:
    """An archive for the node: what `ray.put` has returned of its bytes, in a list so that it's
    fetched only where it isn't there. `anew`: the node's file of it isn't whole."""

    sha256: str
    held: Sequence[Any]
    anew: bool = False


class Seat:
    """Has at most one worker at a time."""

    def __init__(self, plan: Plan) -> None:
        prctl(PR_SET_DUMPABLE, 0)  # no script reads this process's memory
        self._memory_mb = plan.memory_mb
        self._archives = NodeArchives()
        environment = {**visible(os.environ), **plan.variables}
        confining = _confining(plan, self._archives.folder)
        self._fork_server = ForkServerProcess(
            plan.preload, plan.memory_mb, 0.0, environment, confining
        )
        self.confined = confining.parts.words
        self._fork_server.wait_until_ready()
        self._launcher = ForkLauncher(self._fork_server.requests, self._fork_server.state)
        self._watch = Watch(plan.memory_mb)
        self._worker: LocalWorker | None = None
        self._is_busy = False
        self._ended = threading.Event()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._run(self._keep_watch())

    # What the web process calls

    def hire(self) -> str:
        """Have a fresh worker; return how it is confined. Raises WorkerDiedError and OSError."""
        self._do(self._hire())
        return self.confined

    def ask(self, message: Message, body: bytes, archive: Archive | None) -> Received:
        """Pass a message on to the worker and return what it says next: a `Death` if it has ended,
        with the reason for the metrics as its body."""
        if archive is not None:
            self._keep(archive)
        try:
            return self._do(self._ask(self._with_paths(message, archive), body))
        except WorkerDiedError as error:
            return Death(error.how), (self._worker.end if self._worker else "died").encode()

    def let_go(self) -> None:
        """End the worker, whatever it does. In the group `control`."""
        self._do(self._let_go())

    def wait_for_end(self) -> None:
        """Return when the worker has ended. In the group `end`."""
        self._ended.wait()

    # In the loop

    async def _hire(self) -> None:
        await self._let_go()
        self._fork_server.restart_if_dead()
        self._ended.clear()
        self._worker = LocalWorker(self._launcher.launch, self._ended.set, self._memory_mb)
        await self._worker.ready()

    async def _ask(self, message: Message, body: bytes) -> Received:
        worker = self._worker
        if worker is None or not worker.alive:
            raise WorkerDiedError(ENDED)
        if not worker.used and worker.origin != self._launcher.origin:
            await self._hire()  # from the fork server that has imported what scripts need
            assert self._worker is not None
            worker = self._worker
        if isinstance(message, Job):
            worker.begin(None)
        self._is_busy = True
        try:
            return await worker.ask(message, [body] if body else [])
        finally:
            self._is_busy = False

    async def _let_go(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            self._ended.set()

    async def _keep_watch(self) -> None:
        while True:
            await asyncio.sleep(self._watch.pause(self._is_busy))
            worker = self._worker
            if worker is None or not worker.alive or not worker.pid:
                continue
            if not self._is_busy and not worker.is_quiet():
                worker.kill()
                self._ended.set()
                continue
            busy, idle = ([worker], []) if self._is_busy else ([], [worker])
            for found, end, because in self._watch.look(busy, idle):
                found.end = end
                found.kill(because)
                self._ended.set()

    def _run(self, work: Coroutine[Any, Any, Result]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _do(self, work: Coroutine[Any, Any, Result]) -> Result:
        result: Result = self._run(work).result()
        return result

    # Archives

    def _keep(self, archive: Archive) -> None:
        import ray

        self._archives.keep(archive.sha256, lambda: ray.get(archive.held[0]), anew=archive.anew)

    def _with_paths(self, message: Message, archive: Archive | None) -> Message:
        """Return a message with this node's paths in place of the web process's."""
        match message:
            case Answer(reference):
                path = str(self._archives.path(reference.sha256))
                return Answer(dataclasses.replace(reference, path=path))
            case Job(Query(reference) | Load(reference) as task):
                path = str(self._archives.path(reference.sha256))
                here = type(task)(dataclasses.replace(reference, path=path))
                return dataclasses.replace(message, task=here)
            case Job(CheckArchive() as check) if archive is not None:
                path = str(self._archives.path(archive.sha256))
                return dataclasses.replace(message, task=dataclasses.replace(check, path=path))
        return message


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
