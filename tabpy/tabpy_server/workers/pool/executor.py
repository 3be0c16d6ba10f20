"""The web process: having a worker do one job, from the question to the answer."""

import logging
from collections.abc import Callable
from typing import Protocol

from tabpy.tabpy_server.errors import InternalError, TabPyError, WorkerDiedError
from tabpy.tabpy_server.memfd import Memory
from tabpy.tabpy_server.workers import protocol
from tabpy.tabpy_server.workers.pool.hired import Received, Worker
from tabpy.tabpy_server.workers.pool.job import Job, Outcome
from tabpy.tabpy_server.workers.pool.tables import Tables
from tabpy.tabpy_server.workers.protocol import (
    Answer,
    Crash,
    Failure,
    Load,
    Message,
    Need,
    NeedMemory,
    NeedTable,
    ProtocolError,
    Query,
    Reference,
    Refusal,
    Reply,
    TableFollows,
    Task,
)

logger = logging.getLogger(__name__)

# Questions a job. A script may look for functions that aren't there, row by row. An archive is
# said to be damaged once for each function, and is then fetched from the store.
NEEDS_LIMIT, DAMAGED_LIMIT = 10_000, 100


class Functions(Protocol):
    """Who knows the deployed functions (`functions.catalog`), as far as a job needs them."""

    @property
    def change_token(self) -> str:
        """Return what differs after every change."""

    async def reference(self, name: str, *, damaged: str = "") -> Reference:
        """Return what a name stands for. Raises TabPyError.

        `damaged`: the SHA-256 of an archive whose file isn't whole, and has to be fetched anew.
        """


class Executor:
    """Does jobs on workers that it is given."""

    def __init__(
        self,
        functions: Functions,
        model_memory: int,
        note: Callable[[str | None, str], None] = lambda *_: None,
    ) -> None:
        """`model_memory`: bytes of models that a worker keeps loaded. `note` is told a worker's
        owner, and the name of a model that a job on it calls."""
        self._functions = functions
        self._note = note
        self._model_memory = model_memory

    async def run(self, worker: Worker, task: Task, job: Job) -> Outcome:
        """Have the worker do it, and tell it what it wants to know on the way.

        Raises WorkerDiedError, also for a worker that doesn't keep to the protocol, and
        InternalError for a failure of our own code there, which is logged.
        """
        question = protocol.Job(
            task,
            self._functions.change_token,
            self._model_memory,
            job.want_printed,
            job.headers,
            0 if job.memory is None else job.memory.size,
        )
        if isinstance(task, Query | Load):
            worker.versions[task.reference.name] = task.reference.sha256
        if isinstance(task, Query):
            self._note(worker.owner, task.reference.name)
        message, body, result = await self._converse(worker, question, job)
        try:
            return self._outcome(worker, job, message, body, result)
        except BaseException:
            if result is not None:
                result.close()  # at once: an error has this frame with it, and may live on
            raise

    def _outcome(
        self, worker: Worker, job: Job, message: Message, body: bytes, result: Memory | None
    ) -> Outcome:
        if isinstance(message, Crash):
            _log("A script worker failed.", message.trace, job)
            raise InternalError
        if not isinstance(message, Reply | Failure) or not _is_right(message):
            raise _stopped(worker, "wrote to its connection")
        if message.trouble:
            _log("A script worker failed after its job.", message.trouble, job)
        if isinstance(message, Failure) or not message.in_memory:
            return Outcome(message, body)
        if result is None or body or not _fits(result, message.in_memory):
            raise _stopped(worker, "wrote to its connection")
        return Outcome(message, b"", result)

    async def _converse(
        self, worker: Worker, question: protocol.Job, job: Job
    ) -> tuple[Message, bytes, Memory | None]:
        """Return what the worker says in the end, and the memory that it got on the way."""
        message, body = await self._hand_over(worker, question, job)
        needs = damaged = 0
        asked_for_table = asked_for_memory = False
        result: Memory | None = None
        try:
            while isinstance(message, Need | NeedTable | NeedMemory):
                if isinstance(message, NeedMemory):
                    if asked_for_memory:
                        raise _stopped(worker, "asked for memory without end")
                    asked_for_memory = True
                    (message, body), result = await _give_memory(worker)
                    continue
                if isinstance(message, NeedTable):
                    if job.tables is None or asked_for_table:
                        raise _stopped(worker, "asked for a table that isn't there for it")
                    asked_for_table = True
                    message, body = await self._give_table(worker, message, job.tables)
                    continue
                needs += 1
                damaged += bool(message.damaged)
                if needs > NEEDS_LIMIT or damaged > DAMAGED_LIMIT:
                    raise _stopped(worker, "asked for deployed functions without end")
                message, body = await self._answer(worker, message)
        except BaseException:
            if result is not None:
                result.close()  # see `run`
            raise
        return message, body, result

    async def _hand_over(self, worker: Worker, question: protocol.Job, job: Job) -> Received:
        if job.memory is None:
            return await worker.ask(question, job.body)
        job.memory.seal()
        given = (job.memory.descriptor,)
        # The worker has it then, and lets go of it when it has read it.
        return await worker.ask(question, (), given, on_sent=job.memory.close)

    async def _answer(self, worker: Worker, need: Need) -> Received:
        answer: Answer | Refusal
        try:
            reference = await self._functions.reference(need.name, damaged=need.damaged)
            worker.versions[reference.name] = reference.sha256
            answer = Answer(reference)
            self._note(worker.owner, reference.name)
        except TabPyError as error:
            answer = Refusal.of(error)
        return await worker.ask(answer)

    async def _give_table(self, worker: Worker, need: NeedTable, tables: Tables) -> Received:
        try:
            table, result = await tables.get(need.path)
        except TabPyError as error:
            return await worker.ask(Refusal.of(error))
        return await worker.ask(TableFollows(), (), (table.descriptor, result.descriptor))


async def _give_memory(worker: Worker) -> tuple[Received, Memory | None]:
    try:
        return await worker.give_memory()
    except OSError:  # no descriptor is left: then the reply comes through the socket
        return await worker.ask(Refusal.of(InternalError())), None


def _fits(result: Memory, size: int) -> bool:
    """Say whether a worker has cut its result to `size` bytes, from now on for good."""
    try:
        result.stop_shrinking()
    except OSError:  # it has sealed its seals
        return False
    return result.size == size


def _is_right(message: Reply | Failure) -> bool:
    """Say whether a worker of ours can have meant it."""
    if not all(map(_is_line, message.logged)):
        return False
    if isinstance(message, Reply):
        return protocol.ETAG.fullmatch(message.etag) is not None
    try:
        message.error()
    except ProtocolError:
        return False
    return True


def _is_line(logged: object) -> bool:
    """Say whether it's a level and a text."""
    return isinstance(logged, list | tuple) and [type(each) for each in logged] == [int, str]


def _log(what: str, trace: str, job: Job) -> None:
    fields = {"request_id": job.request_id, "trace": trace[: protocol.TRACE_LIMIT]}
    logger.error(what, extra={"fields": fields})


def _stopped(worker: Worker, because: str) -> WorkerDiedError:
    """End a worker that does what no worker of ours does: a script has written to its socket."""
    worker.kill()
    return WorkerDiedError(f"{because}, and was stopped,")
