"""The flight process: answering web processes, which get tables for scripts and give results."""

import asyncio
import logging
import os
import socket
import uuid
from collections.abc import Callable

from tabpy.tabpy_server.errors import InternalError, TabPyError
from tabpy.tabpy_server.flight import messages
from tabpy.tabpy_server.flight.memory import Memory
from tabpy.tabpy_server.flight.messages import Answer, Question
from tabpy.tabpy_server.flight.store import Key, Store

logger = logging.getLogger(__name__)


class Desk:
    """Takes questions from the socket that all web processes share, and answers on threads."""

    def __init__(
        self, source: socket.socket, store: Store, inspect: Callable[[Memory], int]
    ) -> None:
        """`inspect` returns the rows of a table that a script made, or raises BadTableError."""
        self._source = source
        self._store = store
        self._inspect = inspect

    def open(self) -> None:
        """Answer from now on, in the running loop."""
        self._source.setblocking(False)
        asyncio.get_running_loop().add_reader(self._source, self._readable)

    def _readable(self) -> None:
        try:
            fields, descriptors = messages.receive(self._source)
        except BlockingIOError:
            return
        ends = [Memory(each) for each in descriptors]  # closed in any case
        if len(fields) != len(Question._fields) or not ends:
            return
        question = Question(*map(str, fields))
        loop = asyncio.get_running_loop()
        loop.run_in_executor(None, self._answer, question, ends[0], ends[1:])

    def _answer(self, question: Question, end: Memory, tables: list[Memory]) -> None:
        given: list[Memory] = []
        try:
            answer = self._do(question, tables, given)
        except TabPyError as error:
            answer = Answer("", type(error).__name__, tuple(map(str, error.args)))
        except Exception:
            logger.exception("flight")
            answer = Answer("", InternalError.__name__)
        with socket.socket(fileno=os.dup(end.descriptor)) as asker:
            try:
                messages.send(asker, answer, *(each.descriptor for each in given))
            except OSError:
                return  # the web process has gone, or has given up

    def _do(self, question: Question, tables: list[Memory], given: list[Memory]) -> Answer:
        owner, key = question.owner, Key((question.path.encode(),))
        found = self._store.find(owner, key)
        if question.ask == messages.GET:
            assert isinstance(found.content, Memory)
            given.append(found.content)
            return Answer(question.path)
        path = ""
        if tables:
            path = str(uuid.uuid4())
            self._keep(owner, path, tables[0])
        self._store.remove(found)
        return Answer(path)

    def _keep(self, owner: str, path: str, table: Memory) -> None:
        with self._store.room(owner) as room:
            room.grow(table.size)  # before it is read
            self._store.put(room, Key((path.encode(),)), table, self._inspect(table))
