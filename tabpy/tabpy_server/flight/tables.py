"""A web process's side: getting tables for scripts, and giving what scripts make of them."""

import asyncio
import os
import socket

from tabpy.tabpy_server import memfd
from tabpy.tabpy_server.errors import (
    BadTableError,
    FlightUnavailableError,
    InternalError,
    TabPyError,
    UnknownTableError,
)
from tabpy.tabpy_server.flight import messages
from tabpy.tabpy_server.flight.messages import Answer, Question
from tabpy.tabpy_server.flight.store import LONGEST_KEY
from tabpy.tabpy_server.memfd import Memory

PATIENCE = 10.0  # seconds that an answer may take: a flight process starts in one
LARGE_PATIENCE = 120.0  # seconds that looking at a result may take


class FlightTables:
    """Asks the flight process, on the socket that all web processes share."""

    def __init__(self, asked: socket.socket, largest: int) -> None:
        """`largest`: bytes that a table may have."""
        self._asked = asked
        self._largest = largest

    def of(self, owner: str) -> "OwnTables":
        """Return the tables of a user."""
        return OwnTables(self, owner)

    def new(self) -> Memory:
        """Return memory for a result."""
        return memfd.bounded("tabpy-table", self._largest)

    async def ask(
        self, question: Question, table: Memory | None = None
    ) -> tuple[Answer, list[Memory]]:
        """Return the answer and what came with it. Raises TabPyError: what the answer says, or
        FlightUnavailableError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            ours.setblocking(False)
            with theirs:
                given = [] if table is None else [table.descriptor]
                try:
                    messages.send(self._asked, question, theirs.fileno(), *given)
                except OSError:  # so much waits there that nobody can have answered for long
                    raise FlightUnavailableError from None
            try:
                await _readable(ours, PATIENCE if table is None else LARGE_PATIENCE)
            except TimeoutError:
                raise FlightUnavailableError from None
            fields, descriptors = messages.receive(ours)
        came = [Memory(each) for each in descriptors]
        if not fields:  # it died before it had answered
            raise FlightUnavailableError
        path, error, facts = fields
        answer = Answer(str(path), str(error), tuple(facts))  # type: ignore[arg-type] # a list
        if answer.error:
            raise TabPyError.by_name.get(answer.error, InternalError)(*answer.facts)
        return answer, came


class OwnTables:
    """One user's tables, for one job."""

    def __init__(self, tables: FlightTables, owner: str) -> None:
        self._tables = tables
        self._owner = owner
        self._path: str | None = None
        self._result: Memory | None = None

    async def get(self, path: str) -> tuple[Memory, Memory]:
        """Return the table of that path, and memory for what becomes of it. Raises TabPyError."""
        name = path[:LONGEST_KEY].encode("utf-8", "replace").decode()
        if name != path:  # too long, or no text that could be a path
            raise UnknownTableError(name)
        _, came = await self._tables.ask(Question(messages.GET, self._owner, path))
        self._path, self._result = path, self._tables.new()
        return came[0], self._result

    async def exchange(self) -> str | None:
        """Keep what the script wrote in place of the table that it got; return its path. None if
        it wrote none, or got none. Raises TabPyError."""
        if self._path is None or self._result is None:
            return None
        question = Question(messages.EXCHANGE, self._owner, self._path)
        if self._result.size == 0:
            await self._tables.ask(question)
            return None
        self._seal()
        answer, _ = await self._tables.ask(question, self._result)
        return answer.path

    def _seal(self) -> None:
        assert self._result is not None
        try:
            self._result.seal()
        except OSError as error:
            raise BadTableError(
                f"The script still has its result open ({os.strerror(error.errno or 0)})."
            ) from None


async def _readable(source: socket.socket, seconds: float) -> None:
    """Wait until there is something to read. Raises TimeoutError."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(source, _settle, ready)
    try:
        async with asyncio.timeout(seconds):
            await ready
    finally:
        loop.remove_reader(source)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
