"""The web process: one script worker of this machine, as seen from here.

To let go of a worker is to kill it: the fork server kills the worker's whole process group as soon
as our end of its socket is closed, so a web process that dies in any way leaves none behind.
"""

import asyncio
import contextlib
import socket
import sys
from collections.abc import Callable, Mapping, Sequence

from tabpy.tabpy_server import memfd
from tabpy.tabpy_server.errors import WorkerDiedError
from tabpy.tabpy_server.memfd import Memory
from tabpy.tabpy_server.process_memory import resident
from tabpy.tabpy_server.workers import protocol
from tabpy.tabpy_server.workers.pool.frame_reader import FrameReader
from tabpy.tabpy_server.workers.pool.hired import ENDED, Received, Worker
from tabpy.tabpy_server.workers.pool.source import Source
from tabpy.tabpy_server.workers.protocol import (
    Crash,
    Death,
    Failure,
    Hello,
    MemoryFollows,
    Message,
    Need,
    NeedMemory,
    NeedTable,
    ProtocolError,
    Reply,
    TooLargeError,
)

Launch = Callable[[socket.socket, str], Callable[[], None]]  # see `launchers.SocketLauncher`

# Where what comes is put: all workers share it, since it is taken at once, and room made anew for
# each message would cost more than the message.
BUFFER = memoryview(bytearray(1 << 18))
JOIN_BELOW = 1 << 18  # bytes: one copy is cheaper than one more call

UNASKED: Mapping[type[Message], int] = {
    Death: 0
}  # what may come at any time: the fork server says it


class LocalWorker(Worker):
    """A script worker and the private socket to it; runs one job at a time."""

    def __init__(
        self,
        launch: Launch,
        on_death: Callable[[], None],
        memory_mb: float,
        source: Source | None = None,
    ) -> None:
        """Start one. Raises OSError.

        `on_death` is called when it has died by itself, not when it's killed from here.
        `memory_mb`: what a script may take, and so its result, too. `source`: the shelf that it
        comes from; it is that owner's and nobody else's, whatever it says.
        """
        super().__init__(source)
        self._memory_mb = memory_mb
        self.largest = int(memory_mb * (1 << 20))  # bytes of a reply's body
        self._asked = may_say(memory_mb)
        self._result: Memory | None = None  # what it has for its reply's body
        self._on_death = on_death
        self._loop = asyncio.get_running_loop()
        ours, theirs = socket_pair()
        try:
            with theirs:
                self._kill_process = launch(theirs, source.key if source else "")
        except OSError:
            ours.close()
            raise
        ours.setblocking(False)
        self._socket = ours
        self._reader = FrameReader()
        self._next: asyncio.Future[Received] = self._loop.create_future()
        self._nothing_asked: asyncio.Future[Received] = self._loop.create_future()
        self._nothing_asked.cancel()
        self._death = ENDED
        self._loop.add_reader(ours, self._readable)

    async def ready(self) -> None:
        """Wait until it can take a job. Raises WorkerDiedError."""
        hello, _ = await self._next
        if not isinstance(hello, Hello):
            self.kill("did not say hello")
            raise WorkerDiedError(self._death)
        self.pid = hello.pid
        self.origin = self.source.origin if self.source else hello.origin
        self.size_at_start = resident(self.pid)

    async def ask(
        self,
        message: Message,
        body: Sequence[bytes] = (),
        descriptors: Sequence[int] = (),
        on_sent: Callable[[], None] | None = None,
    ) -> Received:
        """Send it a message, and `descriptors` with a byte after it, and return what it says next.
        `on_sent` is called in between. Raises WorkerDiedError."""
        self._next = self._loop.create_future()
        if not self.alive:
            raise WorkerDiedError(self._death)
        # A worker that dies in mid-message also ends the wait for its reply, with a better reason.
        with contextlib.suppress(ConnectionError):
            await self._send([protocol.encode(message, sum(map(len, body))), *body])
            if descriptors:
                await self._send_descriptors(descriptors)
        if on_sent is not None:
            on_sent()
        received = await self._next
        self._next = self._nothing_asked  # a large reply would live on until the next job
        return received

    def is_quiet(self) -> bool:
        """Say whether it lives and has said nothing, by the socket as it is now.

        An idle worker that isn't has died, or a script has written what might be taken for the
        next job's reply.
        """
        if not self.alive or self._reader.held:
            return False
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    @property
    def held(self) -> int:
        """Return the bytes that it has sent of a message that isn't complete, or has written to
        memory of ours."""
        return self._reader.held + (0 if self._result is None else self._result.taken)

    async def give_memory(self) -> tuple[Received, Memory]:
        """Give it memory for a large reply; return what it says next, and the memory.
        Raises WorkerDiedError, and OSError if there is none."""
        memory = self._result = memfd.bounded("tabpy-result", self.largest)
        try:
            return await self.ask(MemoryFollows(), (), (memory.descriptor,)), memory
        except BaseException:
            memory.close()  # at once: an error has this frame with it, and may live on
            raise
        finally:
            self._result = None

    def kill(self, because: str = ENDED) -> None:
        """End it now, whatever it does: see the module's text."""
        if not self.alive:
            return
        self.alive = False
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        self._reader.clear()
        self._kill_process()
        if self._death == ENDED:
            self._death = because
        if not self._next.done():
            self._next.set_exception(WorkerDiedError(self._death))
            self._next.exception()  # nobody may be waiting, which is no error of its own

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

    async def _send_descriptors(self, descriptors: Sequence[int]) -> None:
        if sys.platform == "win32":
            raise NotImplementedError("There is no such memory on Windows.")
        while self.alive:
            try:
                socket.send_fds(self._socket, [b"\0"], descriptors)
            except BlockingIOError:
                await self._writable()
            else:
                return

    async def _writable(self) -> None:
        """Wait until the socket takes more, or there's no more use in it."""
        ready: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_writer(self._socket, _resolve, ready)
        try:
            await asyncio.wait((ready, self._next), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if self.alive:
                self._loop.remove_writer(self._socket)

    def _readable(self) -> None:
        try:
            size = self._socket.recv_into(BUFFER)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            size = 0
        if not size:
            self._lost()
            return
        try:
            limits = UNASKED if self._next.done() else self._asked
            for message, body in self._reader.feed(BUFFER[:size], limits):
                self._take(message, body)
        except TooLargeError:
            self._lost(too_large(self._memory_mb))
        except ProtocolError as error:
            self._lost(f"was stopped: {error}")

    def _take(self, message: Message, body: bytes) -> None:
        if isinstance(message, Death):
            self._death = message.reason
        elif self._next.done():
            raise ProtocolError("a message that nobody asked for")
        else:
            self._next.set_result((message, body))

    def _lost(self, because: str = ENDED) -> None:
        if self.alive:
            self.kill(because)
            self._on_death()


def may_say(memory_mb: float) -> Mapping[type[Message], int]:
    """Return what a worker may say when it's asked, and how large the body may be. `memory_mb`:
    what a script may take."""
    return {
        **dict.fromkeys((Hello, Failure, Crash, Need, NeedTable, NeedMemory, Death), 0),
        Reply: int(memory_mb * (1 << 20)),
    }


def too_large(memory_mb: float) -> str:
    """Return how a worker ended that says more."""
    return f"was stopped, as its result is larger than {memory_mb:.0f} MB (TABPY_SCRIPT_MEMORY_MB),"


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Return two ends of a connection: the web process's and the worker's. Raises OSError.

    On Windows it is TCP on 127.0.0.1. Python's `socketpair` doesn't look who has connected there
    (CVE-2024-3219, open in the last 3.11 that Windows has), and would wait for fuller packets.
    """
    ours, theirs = socket.socketpair()
    if ours.family == socket.AF_INET:
        for one, other in ((ours, theirs), (theirs, ours)):
            if one.getsockname() != other.getpeername():
                ours.close()
                theirs.close()
                raise ConnectionError("somebody else has connected to its socket")
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ours, theirs


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
