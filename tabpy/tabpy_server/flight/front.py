"""The flight process: the port that clients see.

Takes connections, makes TLS of them, and passes their bytes on to where pyarrow listens. pyarrow
itself couldn't take up a renewed certificate, knows no minimum version, no pass phrases, and no
port that is open already.
"""

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

MOST_CONNECTIONS = 200
HANDSHAKE_SECONDS = 10.0
PIECE = 1 << 18  # bytes
PAUSE = 0.1  # seconds, while no connection can be accepted
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Front:
    """Passes what comes on `listener` on to a port of this machine's."""

    def __init__(
        self,
        listener: socket.socket,
        port: int,
        idle_seconds: float,
        context: Callable[[], ssl.SSLContext | None] = lambda: None,
    ) -> None:
        """`idle_seconds`: a connection over which nothing came for so long is closed; clients
        connect anew for their next call. `context`: what a handshake is made with, None for none.
        """
        self._listener = listener
        self._port = port
        self._idle_seconds = idle_seconds
        self._context = context
        self._passing: dict[asyncio.Task[None], float] = {}  # when something last came

    async def serve(self) -> None:
        """Take connections, for ever."""
        loop = asyncio.get_running_loop()
        self._listener.setblocking(False)
        sweeping = loop.create_task(self._sweep())
        try:
            while True:
                try:
                    connection, _ = await loop.sock_accept(self._listener)
                except OSError as error:  # no descriptor left, for one
                    logger.error("A Flight connection can't be accepted: %s", error)
                    await asyncio.sleep(PAUSE)
                    continue
                if len(self._passing) >= MOST_CONNECTIONS:
                    min(self._passing, key=lambda each: self._passing[each]).cancel()
                task = loop.create_task(self._pass(connection))
                self._passing[task] = time.monotonic()
                task.add_done_callback(lambda ended: self._passing.pop(ended, None))
        finally:
            sweeping.cancel()
            passing = [*self._passing]
            for each in passing:
                each.cancel()
            await asyncio.gather(*passing, return_exceptions=True)

    async def _sweep(self) -> None:
        """Close connections that are idle for too long."""
        while True:
            await asyncio.sleep(min(10.0, self._idle_seconds))
            old = time.monotonic() - self._idle_seconds
            for task in [each for each, last in self._passing.items() if last < old]:
                task.cancel()

    async def _pass(self, connection: socket.socket) -> None:
        """Pass on what both sides send, until one of them ends."""
        writers: list[asyncio.StreamWriter] = []
        task = asyncio.current_task()
        assert task is not None
        try:
            client = await self._greet(connection)
            writers.append(client[1])
            service = await asyncio.open_connection("127.0.0.1", self._port, limit=PIECE)
            writers.append(service[1])
            ways = [
                asyncio.ensure_future(self._copy(client[0], service[1], task)),
                asyncio.ensure_future(self._copy(service[0], client[1], task)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
            for writer in writers:
                writer.close()  # when all is sent
                await writer.wait_closed()
        except (OSError, TimeoutError):
            return  # no handshake, or the client has gone
        finally:
            for writer in writers:
                writer.transport.abort()  # who reads nothing would keep a connection for ever

    async def _greet(self, connection: socket.socket) -> Stream:
        """Return the client's streams, of what is in TLS if there is any. Raises OSError."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=PIECE)
        protocol = asyncio.StreamReaderProtocol(reader)
        context = self._context()
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol,
            connection,
            ssl=context,
            ssl_handshake_timeout=HANDSHAKE_SECONDS if context is not None else None,
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def _copy(
        self, source: asyncio.StreamReader, to: asyncio.StreamWriter, task: asyncio.Task[None]
    ) -> None:
        while piece := await source.read(PIECE):
            if task in self._passing:
                self._passing[task] = time.monotonic()
            to.write(piece)
            await to.drain()
