"""Asking a fork server for workers and shelves, as a web process does, but with blocking calls."""

import contextlib
import hashlib
import pickle
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import psutil

from tabpy.tabpy_server.workers import protocol
from tabpy.tabpy_server.workers.fork_server.process import ForkServerProcess
from tabpy.tabpy_server.workers.pool.frame_reader import FrameReader
from tabpy.tabpy_server.workers.pool.launchers import ForkLauncher
from tabpy.tabpy_server.workers.protocol import (
    Death,
    Evaluate,
    Hello,
    Message,
    Query,
    Reference,
    Reply,
    shelf_key,
    shelf_request,
)
from tests.running import until

Start = Callable[..., ForkServerProcess]
SAID: Mapping[type[Message], int] = {
    Hello: 0,
    Reply: 1 << 20,
    Death: 0,
}  # by workers here, with the bytes of the body


class Line:
    """A worker."""

    def __init__(self, server: ForkServerProcess, shelf: str = "") -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(10)
        with theirs:
            ForkLauncher(server.requests, server.state).launch(theirs, shelf)
        self._reader = FrameReader()
        hello, _ = self.receive()
        assert isinstance(hello, Hello)
        self.hello = hello
        self.process = psutil.Process(hello.pid)

    def receive(self) -> tuple[Message, bytes]:
        while True:
            data = self.socket.recv(1 << 16)
            assert data, "it ended"
            for each in self._reader.feed(data, SAID):
                return each

    def ask(self, task: protocol.Task, body: bytes) -> Any:
        """The value that the worker replies."""
        self.begin(body, task)
        reply, answer = self.receive()
        assert isinstance(reply, Reply), reply
        return orjson.loads(answer)

    def begin(self, body: bytes, task: protocol.Task | None = None) -> None:
        """Give it a job, by default a script."""
        asked = protocol.Job(task or Evaluate(), "token", model_memory=1 << 30)
        self.socket.sendall(protocol.encode(asked, len(body)) + body)

    def evaluate(self, script: str) -> Any:
        return self.ask(Evaluate(), orjson.dumps({"script": script, "data": {}}))

    def query(self, reference: Reference, *arguments: object) -> Any:
        """What a function answers."""
        body = orjson.dumps({"data": arguments})
        return self.ask(Query(reference), body)["response"]

    def close(self) -> None:
        self.socket.close()


@contextlib.contextmanager
def line(server: ForkServerProcess, shelf: str = "") -> Iterator[Line]:
    opened = Line(server, shelf)
    try:
        yield opened
    finally:
        opened.close()


def reference(folder: Path, name: str, model: object, size: int = 1 << 20) -> Reference:
    """What stands for a model, whose file is in the folder."""
    data = pickle.dumps(model)
    file = folder / name
    file.write_bytes(data)
    return Reference(name, 1, hashlib.sha256(data).hexdigest(), str(file), "", size)


def ask(server: ForkServerProcess, *references: Reference) -> str:
    """Ask for a shelf with these; its key."""
    ForkLauncher(server.requests, server.state).ask_for_shelf(shelf_request(references))
    return shelf_key(references)


def shelve(server: ForkServerProcess, *references: Reference) -> str:
    """Have a shelf with these, and wait until it is there; its key."""

    def is_there() -> bool:
        return bool(server.state.shelf_origin(ask(server, *references)))

    until(is_there, "there is such a shelf")
    return shelf_key(references)


def shelf_of(worker: Line) -> psutil.Process:
    """The process that a worker was forked from."""
    parent = worker.process.parent()
    assert parent is not None
    return parent
