"""The script worker: reads a job from its socket, runs it, writes the reply, waits for the next.

Nothing that a script does may reach the next one, so what a job leaves behind that can be put
back is put back, and where something can't (threads, child processes) the worker asks to be
replaced. Whatever a script raises is caught here and becomes an error frame.
"""

import builtins
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from typing import Any

from tabpy.tabpy_server.errors import RequestError, TabPyError
from tabpy.tabpy_server.json_codec import loads
from tabpy.tabpy_server.machine import trim
from tabpy.tabpy_server.workers import wire
from tabpy.tabpy_server.workers.protocol import CheckArchive, Collect, Failure, Refusal
from tabpy.tabpy_server.workers.worker import function, script
from tabpy.tabpy_server.workers.worker.archive_check import check
from tabpy.tabpy_server.workers.worker.collect import collect
from tabpy.tabpy_server.workers.worker.memory import Memory
from tabpy.tabpy_server.workers.worker.models import Model, Models
from tabpy.tabpy_server.workers.worker.output import Printed

LARGE = 1_000_000  # bytes of a job's body after which freed memory is handed back to the system
IGNORED = ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2")


def serve(
    connection: socket.socket,
    memory_mb: float,
    shared: Mapping[str, Model],
    *,
    cold: bool = False,
) -> None:
    """Run jobs until the web process closes its end of `connection`.

    `memory_mb`: what it may take. `shared`: models it starts with, by SHA-256. `cold`: the modules
    to preload aren't imported here, and another worker would have them.
    """
    _ignore_signals()
    detach_standard_streams()
    printed = Printed()
    sys.stdout = sys.stderr = printed
    surroundings = _Surroundings()
    models = Models(lambda name: _ask(connection, name), shared)
    memory = Memory(memory_mb)
    memory.limit()
    _send(connection, wire.HELLO, {"pid": os.getpid(), "cold": cold})
    while (job := _receive(connection)) is not None:
        printed.start()
        kind, meta, body = _run(job, models, memory)
        models.finish()
        if job.meta.get("want_printed"):
            meta["printed"] = printed.text()
        if surroundings.restore() or memory.worn_out(models.size) or meta.pop("spent", False):
            meta["retire"] = True
        _send(connection, kind, meta, body)
        if len(job.body) + len(body) > LARGE:
            del job, body
            trim()


def _run(job: wire.Frame, models: Models, memory: Memory) -> tuple[bytes, dict[str, Any], bytes]:
    meta = job.meta
    try:
        models.start(meta["change_token"], meta.get("model_memory", 0))
        match meta["do"]:
            case "evaluate":
                return wire.RESULT, {}, script.evaluate(job.body, models)
            case "query":
                body, etag = function.query(job.body, meta["model"], models)
                return wire.RESULT, {"etag": etag}, body
            case "check":
                return wire.RESULT, {}, check(CheckArchive(**meta["task"]), job.body)
            case "collect":
                return wire.RESULT, {}, collect(Collect(**meta["task"]))
            case unknown:
                raise ValueError(f"no such job: {unknown}")
    except TabPyError as failure:
        return wire.ERROR, dict(vars(Failure.of(failure))), b""
    except RequestError as error:
        reason: dict[str, Any] = {"status": error.status, "message": error.message}
        reason["info"] = error.info
        if "MemoryError" in error.info.partition(":")[0]:
            allowed = f"{memory.allowed_mb:.0f} MB"
            reason["info"] += f"\nOne script may take {allowed} here (TABPY_SCRIPT_MEMORY_MB)."
            reason["spent"] = True
        return wire.ERROR, reason, b""


def _ask(connection: socket.socket, name: str) -> dict[str, Any]:
    """What the web process knows of a function. Raises RequestError for one that isn't there."""
    _send(connection, wire.NEED, {"name": name})
    answer = _receive(connection)
    if answer is None:
        raise SystemExit  # the web process is gone
    if "reference" not in answer.meta:
        raise Refusal(**answer.meta).error()
    reference: dict[str, Any] = answer.meta["reference"]
    return reference


def _receive(connection: socket.socket) -> wire.Frame | None:
    header = _read(connection, wire.HEADER.size)
    if header is None:
        return None
    kind, meta_length, body_length = wire.sizes(header)
    rest = _read(connection, meta_length + body_length)
    if rest is None:
        return None
    return wire.Frame(kind, loads(rest[:meta_length]), rest[meta_length:])


def _read(connection: socket.socket, length: int) -> memoryview | None:
    buffer = memoryview(bytearray(length))
    done = 0
    while done < length:
        count = connection.recv_into(buffer[done:], length - done, socket.MSG_WAITALL)
        if count == 0:
            return None
        done += count
    return buffer


def _send(
    connection: socket.socket, kind: bytes, meta: Mapping[str, Any], body: bytes = b""
) -> None:
    head = wire.head(kind, meta, len(body))
    if len(body) < 65536:
        connection.sendall(head + body + wire.END)
    else:
        connection.sendall(head)
        connection.sendall(body)
        connection.sendall(wire.END)


class _Surroundings:
    """What a script can change outside its own variables, as it was when the worker started."""

    def __init__(self) -> None:
        self._builtins = dict(builtins.__dict__)
        self._folder = os.getcwd()  # noqa: PTH109 - a string to compare, not a path to use
        self._environment = dict(os.environ)
        self._streams = (sys.stdout, sys.stderr)
        self._path = list(sys.path)
        self._recursion_limit = sys.getrecursionlimit()

    def restore(self) -> bool:
        """Put back what can be put back; true when something is left that can't."""
        builtins.__dict__.update(self._builtins)  # first: all of our code needs them
        for name in builtins.__dict__.keys() - self._builtins.keys():
            del builtins.__dict__[name]
        try:
            if os.getcwd() != self._folder:  # noqa: PTH109
                os.chdir(self._folder)
        except OSError:
            os.chdir(self._folder)
        if os.environ != self._environment:
            os.environ.clear()
            os.environ.update(self._environment)
        sys.stdout, sys.stderr = self._streams
        sys.path[:] = self._path
        sys.setrecursionlimit(self._recursion_limit)
        for timer in ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF"):  # alarm() uses the first
            if hasattr(signal, timer):
                signal.setitimer(getattr(signal, timer), 0)
        if hasattr(signal, "SIGALRM"):
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
        gc.enable()
        _ignore_signals()
        return threading.active_count() > 1 or _has_children()


def _has_children() -> bool:
    if not hasattr(os, "WNOHANG"):
        return False
    try:
        pid, _ = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return pid == 0 or _has_children()


def _ignore_signals() -> None:
    # A stopping dyno sends SIGTERM to every process, but the web process is the one to drain.
    for name in IGNORED:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def detach_standard_streams() -> None:
    """What a script reads from and writes to descriptors 0 to 2 is nobody's: not the log's."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
