"""One web process: its loop, its pool and its HTTP server, from the first request to the last."""

import asyncio
import logging
import socket
from collections.abc import Sequence

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream

from tabpy.tabpy_server.application import make_application
from tabpy.tabpy_server.auth import Gate, OpenGate
from tabpy.tabpy_server.context import Context
from tabpy.tabpy_server.handlers.base import DRAIN_FACTOR
from tabpy.tabpy_server.proxy import TrustedProxies
from tabpy.tabpy_server.service import Service
from tabpy.tabpy_server.settings import Settings
from tabpy.tabpy_server.workers.pool import Pool
from tabpy.tabpy_server.workers.process import Launcher

logger = logging.getLogger(__name__)

KEEP_ALIVE = 95.0  # seconds; Heroku's router keeps idle connections for 90
BODY_TIMEOUT = 300.0  # seconds in which a request's body has to have come
CHUNK_SIZE = (
    1 << 18
)  # bytes; a million numbers are 20 MB, and 64 KiB would be 300 turns of the loop
MAX_BUFFER = 1 << 23  # bytes of a request held before a handler takes them; headers fit easily


class WebProcess:
    """Everything that lives as long as the event loop of one web process."""

    def __init__(
        self, settings: Settings, service: Service, gate: Gate | OpenGate, launcher: Launcher
    ) -> None:
        self._context = Context(
            settings=settings,
            service=service,
            gate=gate,
            proxies=TrustedProxies(settings.trusted_proxies),
            pool=Pool(launcher, settings.workers),
        )
        self._server = HTTPServer(
            make_application(self._context),
            decompress_request=settings.gzip_enable,
            idle_connection_timeout=KEEP_ALIVE,
            body_timeout=BODY_TIMEOUT,
            # The handlers' own limit answers in JSON; tornado's only cuts.
            max_body_size=2 * DRAIN_FACTOR * self._context.max_request_size,
        )

    async def serve(self, sockets: Sequence[socket.socket], stop: asyncio.Event) -> None:
        """Answer requests until `stop`, then finish those that have begun."""
        await self._context.pool.start()
        loop = asyncio.get_running_loop()
        for listener in sockets:
            loop.add_reader(listener, self._accept, listener)
        logger.info("ready", extra={"fields": {"workers": self._context.settings.workers}})
        await stop.wait()
        for listener in sockets:
            loop.remove_reader(listener)
        self._context.pool.refuse_waiting()
        await self._context.traffic.drained()
        self._context.pool.close()
        await self._server.close_all_connections()

    def _accept(self, listener: socket.socket) -> None:
        """One connection at a time: tornado takes all that wait, and of a burst one web process
        would get everything and the others nothing."""
        try:
            connection, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # another web process was faster, or the client has given up
        except OSError as problem:  # no file descriptor left, for one
            logger.error("A connection can't be accepted: %s", problem)
            loop = asyncio.get_running_loop()
            loop.remove_reader(listener)
            loop.call_later(1.0, loop.add_reader, listener, self._accept, listener)
            return
        stream = IOStream(connection, read_chunk_size=CHUNK_SIZE, max_buffer_size=MAX_BUFFER)
        self._server.handle_stream(stream, address)
