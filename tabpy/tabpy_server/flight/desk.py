"""The flight process: answering web processes, which get tables for scripts and give results."""

import asyncio
import logging
import socket
import uuid
from collections.abc import Callable

from tabpy.tabpy_server.errors import InternalError, TabPyError
from tabpy.tabpy_server.flight import messages
from tabpy.tabpy_server.flight.messages import Answer, Question
from tabpy.tabpy_server.flight.store import Key, Store
from tabpy.tabpy_server.memfd import Memory

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
        tables = [Memory(each) for each in descriptors[1:]]  # closed in any case
        if not descriptors:
            return
        asker = socket.socket(fileno=descriptors[0])
        if len(fields) != len(Question._fields) or fields[0] not in messages.ASKS:
            asker.close()
            return
        question = Question(*map(str, fields))
        asyncio.get_running_loop().run_in_executor(None, self._answer, question, asker, tables)

    def _answer(self, question: Question, asker: socket.socket, tables: list[Memory]) -> None:
        given: list[Memory] = []
        try:
            answer = self._do(question, tables, given)
        except TabPyError as error:
            answer = Answer("", type(error).__name__, tuple(map(str, error.args)))
        except Exception:
            logger.exception("failure")
            answer = Answer("", InternalError.__name__)
        with asker:
            try:
                messages.send(asker, answer, *(each.descriptor for each in given))
            except OSError:
                return  # the web process has gone, or has given up

    def _do(self, question: Question, tables: list[Memory], given: list[Memory]) -> Answer:
        found = self._store.find(question.owner, _key(question.path))
        if question.ask == messages.GET:
            assert isinstance(found.content, Memory)
            given.append(found.content)
            return Answer(question.path)
        if not tables:
            self._store.remove(found)
            return Answer()
        path = str(uuid.uuid4())
        with self._store.room(question.owner) as room:
            room.grow(tables[0].size)  # before it is read
            rows = self._inspect(tables[0])
            self._store.put(room, _key(path), tables[0], rows, instead=found)
        return Answer(path)


def _key(path: str) -> Key:
    return Key((path.encode(),))
