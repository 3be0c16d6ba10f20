"""The script worker: reads a job from its socket, runs it, writes the reply, waits for the next.

Nothing that a script does may reach the next one, so what a job leaves behind that can be put
back is put back, and where something can't (threads, child processes) the worker asks to be
recycled. What a script raises is caught where it is called; what our own code raises is a `Crash`,
and never looks like the script's fault.
"""

import os
import socket
import sys
import traceback
from collections.abc import Mapping

from tabpy.tabpy_server.errors import TabPyError
from tabpy.tabpy_server.process_memory import trim
from tabpy.tabpy_server.workers import protocol
from tabpy.tabpy_server.workers.protocol import (
    TRACE_LIMIT,
    Answer,
    CheckArchive,
    Collect,
    Crash,
    Evaluate,
    Failure,
    Load,
    MemoryFollows,
    Need,
    NeedMemory,
    NeedTable,
    ProtocolError,
    Query,
    Reference,
    Refusal,
    Reply,
    TableFollows,
)
from tabpy.tabpy_server.workers.worker import function, script
from tabpy.tabpy_server.workers.worker.archive_check import check
from tabpy.tabpy_server.workers.worker.collect import collect
from tabpy.tabpy_server.workers.worker.connection import Connection
from tabpy.tabpy_server.workers.worker.memory import Memory
from tabpy.tabpy_server.workers.worker.models import Key, Model, Models
from tabpy.tabpy_server.workers.worker.output import Printed
from tabpy.tabpy_server.workers.worker.reply_body import ReplyBody
from tabpy.tabpy_server.workers.worker.request import Request
from tabpy.tabpy_server.workers.worker.request_body import Body
from tabpy.tabpy_server.workers.worker.surroundings import Surroundings, ignore_signals
from tabpy.tabpy_server.workers.worker.tables import Tables

LARGE = 1_000_000  # bytes of a job's body after which freed memory is handed back to the system


def serve(
    own: socket.socket,
    memory_mb: float,
    origin: str = "",
    preloaded: Mapping[Key, Model] | None = None,
) -> None:
    """Run jobs until the web process closes its end of the socket `own`.

    `memory_mb`: what it may take. `origin`: of the fork server that forked it. `preloaded`: models
    it starts with, by name and SHA-256.
    """
    ignore_signals()
    detach_standard_streams()
    connection = Connection(own)
    worker = Worker(connection, memory_mb, preloaded or {})
    connection.send(protocol.Hello(os.getpid(), origin))
    while (received := connection.receive()) is not None:
        job, body = received
        size = len(body)
        if not isinstance(job, protocol.Job):
            raise ProtocolError("expected a job")
        try:
            answer, result = worker.do(job, body)
        except Exception:  # noqa: BLE001 - ours: a script's own are caught where it is called
            connection.send(Crash.of(traceback.format_exc()))
            return  # whatever state this process is in now
        connection.send(answer, result)
        if size + len(result) + (answer.in_memory if isinstance(answer, Reply) else 0) > LARGE:
            del body, received, result
            trim()


class Worker:
    """Does jobs, one after the other, in the surroundings that it finds when it is made."""

    def __init__(
        self, connection: Connection, memory_mb: float, preloaded: Mapping[Key, Model]
    ) -> None:
        self._connection = connection
        self._printed = Printed()
        sys.stdout = sys.stderr = self._printed
        self._surroundings = Surroundings()
        self._models = Models(self._ask, preloaded)
        self._memory = Memory(memory_mb)
        self._memory.limit()

    def do(self, job: protocol.Job, body: Body) -> tuple[Reply | Failure, bytes]:
        """Do a job, and put back what it changed around it; return what to send."""
        self._printed.start()
        error: TabPyError | None = None
        etag, result = "", b""
        request, reply_body = Request(job.headers), ReplyBody(self._ask_for_memory)
        try:
            self._models.start(job.change_token, job.model_memory)
            etag, result = self._surroundings.run(self._run, job.task, body, request, reply_body)
        except TabPyError as raised:
            error = raised
        self._models.finish()
        printed = self._printed.text() if job.want_printed else ""
        recycle, trouble = self._clean_up()
        if error is None:
            in_memory = reply_body.in_memory
            return Reply(etag, printed, recycle, trouble, request.lines, in_memory), result
        recycle = recycle or error.out_of_memory
        trace = error.trace if job.want_printed else ""
        error = self._memory.explain(error)
        return Failure.of(error, Reply("", printed, recycle, trouble, request.lines), trace), b""

    def _run(
        self, task: protocol.Task, body: Body, request: Request, reply_body: ReplyBody
    ) -> tuple[str, bytes]:
        """Return the reply's etag and body, or what isn't in memory of it. Raises TabPyError."""
        match task:
            case Evaluate(has_tables, as_numpy):
                tables = Tables(self._ask_for_table) if has_tables else None
                form = script.Form(reply_body.take, as_numpy)
                return "", script.evaluate(body, self._models, request, tables, form)
            case Query(reference):
                answer, etag = function.query(body, reference, self._models, reply_body.take)
                return f"{etag}-{reference.version}", answer
            case Load(reference):
                self._models.load(reference)
                return "", b""
            case CheckArchive():
                return "", check(task, memoryview(body))
            case Collect():
                return "", collect(task)

    def _clean_up(self) -> tuple[bool, str]:
        """Return whether to recycle this worker, and the traceback of what failed here."""
        try:
            left_something = self._surroundings.restore()
            return left_something or self._memory.should_recycle(self._models.size), ""
        except Exception:  # noqa: BLE001 - a result that is there must not be lost
            return True, traceback.format_exc()[-TRACE_LIMIT:]

    def _ask(self, name: str, damaged: str = "") -> Reference:
        """Ask the web process what a name stands for. Raises TabPyError."""
        self._connection.send(Need(name, damaged))
        received = self._connection.receive()
        if received is None:
            raise SystemExit  # the web process is gone
        match received[0]:
            case Answer(reference):
                return reference
            case Refusal():
                raise received[0].error()
            case other:
                raise ProtocolError(f"{type(other).__name__} is no answer")

    def _ask_for_table(self, path: str) -> list[int]:
        """Ask the web process for a table, and for memory for the result. Raises TabPyError."""
        self._connection.send(NeedTable(path))
        received = self._connection.receive()
        if received is None:
            raise SystemExit  # the web process is gone
        match received[0]:
            case TableFollows():
                return self._connection.receive_descriptors(2)
            case Refusal():
                raise received[0].error()
            case other:
                raise ProtocolError(f"{type(other).__name__} is no table")

    def _ask_for_memory(self) -> int | None:
        """Ask the web process for memory for the reply's body; None if it has none."""
        with self._models.asking:  # threads that the script has left may ask for functions
            self._connection.send(NeedMemory())
            received = self._connection.receive()
            if received is None:
                raise SystemExit  # the web process is gone
            match received[0]:
                case MemoryFollows():
                    return next(iter(self._connection.receive_descriptors(1)), None)
                case Refusal():
                    return None
                case other:
                    raise ProtocolError(f"{type(other).__name__} is no memory")


def detach_standard_streams() -> None:
    """What a script reads from and writes to descriptors 0 to 2 is nobody's: not the log's."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
