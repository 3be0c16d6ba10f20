"""The web process: one script worker, as seen from here, and the ways to start one.

To let go of a worker is to kill it: the template process kills the worker's whole process group as
soon as our end of its socket is closed, so a web process that dies in any way leaves none behind.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence

from tabpy.tabpy_server.json_codec import loads
from tabpy.tabpy_server.process_memory import resident
from tabpy.tabpy_server.workers import protocol
from tabpy.tabpy_server.workers.pool.launchers import Launcher

ENDED = "ended"
READ_SIZE = 1 << 20  # bytes
JOIN_BELOW = 1 << 18  # bytes: one copy is cheaper than one more call


class WorkerDiedError(Exception):
    """The worker is gone; the text says how, as far as it is known."""


class Worker:
    """A script worker and the private socket to it; runs one job at a time."""

    def __init__(self, launcher: Launcher, on_death: Callable[["Worker"], None]) -> None:
        """`on_death` is called when it has died by itself, not when it's killed from here."""
        self._on_death = on_death
        self._loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with theirs:
            self._kill_process = launcher.launch(theirs)
        ours.setblocking(False)
        self._socket = ours
        self._received = bytearray()
        self._frame: asyncio.Future[protocol.Frame] = self._loop.create_future()
        self._expecting_nothing: asyncio.Future[protocol.Frame] = self._loop.create_future()
        self._expecting_nothing.cancel()  # done, so that a frame without a question is noticed
        self._death = ENDED
        self._loop.add_reader(ours, self._readable)
        self.alive = True
        self.grown_too_much = False
        self.outdated = False  # a better one is there: no more jobs for it
        self.pid = 0
        self._size_at_start = 0

    async def ready(self) -> bool:
        """Until it can take a job; false if it lacks the preload. Raises WorkerDiedError."""
        hello = (await self._frame).meta
        self._frame = self._expecting_nothing
        self.pid = hello["pid"]
        self._size_at_start = resident(self.pid)
        return not hello["cold"]

    async def run(self, meta: dict[str, object], body: Sequence[bytes]) -> protocol.Frame:
        """The worker's RESULT, ERROR or NEED frame. Raises WorkerDiedError."""
        head = protocol.head(protocol.JOB, meta, sum(map(len, body)))
        return await self._exchange([head, *body])

    async def answer(self, meta: dict[str, object]) -> protocol.Frame:
        """Answer a NEED frame; the worker's next frame. Raises WorkerDiedError."""
        return await self._exchange([protocol.head(protocol.ANSWER, meta, 0)])

    async def _exchange(self, parts: Sequence[bytes]) -> protocol.Frame:
        self._frame = self._loop.create_future()
        if not self.alive:
            raise WorkerDiedError(self._death)
        # A worker that dies in mid-message also ends the wait for its reply, with a better reason.
        with contextlib.suppress(ConnectionError):
            await self._send(parts)
        frame = await self._frame
        self._frame = self._expecting_nothing
        return frame

    @property
    def grown(self) -> int:
        """Bytes in memory beyond what it started with."""
        return resident(self.pid) - self._size_at_start

    def kill(self, because: str = ENDED) -> None:
        """Now, whatever it does: see the module's text."""
        if not self.alive:
            return
        self.alive = False
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        self._kill_process()
        if self._death == ENDED:
            self._death = because
        if not self._frame.done():
            self._frame.set_exception(WorkerDiedError(self._death))
            self._frame.exception()  # nobody may be waiting, which is no error of its own

    async def _send(self, parts: Sequence[bytes]) -> None:
        if sum(map(len, parts)) < JOIN_BELOW:
            parts = [b"".join(parts)]
        for part in parts:
            view = memoryview(part)
            while view and self.alive:
                try:
                    view = view[self._socket.send(view) :]
                except BlockingIOError:
                    await self._writable()

    async def _writable(self) -> None:
        """Until the socket takes more, or there's no more use in it."""
        ready: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_writer(self._socket, _resolve, ready)
        try:
            await asyncio.wait((ready, self._frame), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if self.alive:
                self._loop.remove_writer(self._socket)

    def _readable(self) -> None:
        try:
            data = self._socket.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.kill()
            self._on_death(self)
            return
        self._received += data
        while self.alive and self._take_frame():
            pass

    def _take_frame(self) -> bool:
        """Take the first frame of what has been received; false if it's not complete yet."""
        if len(self._received) < protocol.HEADER.size:
            return False
        kind, meta_length, body_length = protocol.sizes(self._received[: protocol.HEADER.size])
        body_start = protocol.HEADER.size + meta_length
        body_end = body_start + body_length
        closing = b"" if kind == protocol.DEATH else protocol.END
        end = body_end + len(closing)
        if len(self._received) < end:
            return False
        received = self._received
        self._received = received[end:]
        meta = loads(received[protocol.HEADER.size : body_start])
        if kind == protocol.DEATH:
            self._death = meta["reason"]
        elif received[body_end:end] != closing or self._frame.done():
            self.kill()  # not our protocol: a script wrote to the socket, or was killed writing
        else:
            with memoryview(received) as view:
                self._frame.set_result(protocol.Frame(kind, meta, bytes(view[body_start:body_end])))
        return True


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
