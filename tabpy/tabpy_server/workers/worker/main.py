"""The script worker: reads a job from its socket, runs it, writes the reply, waits for the next.

Nothing that a script does may reach the next one, so what a job leaves behind that can be put
back is put back, and where something can't (threads, child processes) the worker asks to be
replaced. Whatever a script raises is caught here and becomes an error frame.
"""

import os
import socket
import sys
from collections.abc import Mapping
from typing import Any

from tabpy.tabpy_server.errors import InvalidInputError, RequestError, TabPyError
from tabpy.tabpy_server.json_codec import loads
from tabpy.tabpy_server.machine import trim
from tabpy.tabpy_server.workers import wire
from tabpy.tabpy_server.workers.protocol import Reference
from tabpy.tabpy_server.workers.worker import function, results, script
from tabpy.tabpy_server.workers.worker.archive_check import check
from tabpy.tabpy_server.workers.worker.collect import collect
from tabpy.tabpy_server.workers.worker.memory import Memory
from tabpy.tabpy_server.workers.worker.models import Key, Model, Models
from tabpy.tabpy_server.workers.worker.output import Printed
from tabpy.tabpy_server.workers.worker.surroundings import Surroundings, ignore_signals

LARGE = 1_000_000  # bytes of a job's body after which freed memory is handed back to the system


def serve(
    connection: socket.socket,
    memory_mb: float,
    shared: Mapping[Key, Model],
    *,
    cold: bool = False,
) -> None:
    """Run jobs until the web process closes its end of `connection`.

    `memory_mb`: what it may take. `shared`: models it starts with, by SHA-256. `cold`: the modules
    to preload aren't imported here, and another worker would have them.
    """
    ignore_signals()
    detach_standard_streams()
    printed = Printed()
    sys.stdout = sys.stderr = printed
    surroundings = Surroundings()
    models = Models(lambda name, damaged: _ask(connection, name), shared)
    memory = Memory(memory_mb)
    memory.limit()
    _send(connection, wire.HELLO, {"pid": os.getpid(), "cold": cold})
    while (job := _receive(connection)) is not None:
        printed.start()
        kind, meta, body = surroundings.run(_run, job, models, memory)
        models.finish()
        if job.meta.get("want_printed"):
            meta["printed"] = printed.text()
        if surroundings.restore() or memory.should_recycle(models.size) or meta.pop("spent", False):
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
                body, etag = function.query(job.body, Reference(**meta["model"]), models)
                return wire.RESULT, {"etag": etag}, body
            case "check":
                return wire.RESULT, {}, results.encode(check(**meta["archive"]))
            case "collect":
                return wire.RESULT, {}, results.encode(collect(**meta["folders"]))
            case unknown:
                raise ValueError(f"no such job: {unknown}")
    except RequestError as error:  # of archive_check
        reason = {"status": error.status, "message": error.message, "info": error.info}
        return wire.ERROR, reason, b""
    except TabPyError as error:
        told = memory.explain(error)
        status = 400 if isinstance(error, InvalidInputError) else 500
        reason = {"status": status, "message": told.message, "info": told.info}
        return wire.ERROR, reason | {"spent": error.out_of_memory}, b""


class _ToldError(TabPyError):
    def __init__(self, message: str, info: str) -> None:
        self.message, self.info = message, info


def _ask(connection: socket.socket, name: str) -> Reference:
    """What the web process knows of a function. Raises TabPyError for one that isn't there."""
    _send(connection, wire.NEED, {"name": name})
    answer = _receive(connection)
    if answer is None:
        raise SystemExit  # the web process is gone
    if "reference" not in answer.meta:
        raise _ToldError(answer.meta["message"], answer.meta["info"])
    return Reference(**answer.meta["reference"])


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


def detach_standard_streams() -> None:
    """What a script reads from and writes to descriptors 0 to 2 is nobody's: not the log's."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
