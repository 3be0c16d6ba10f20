"""Makes connections of accepted sockets, and ends them all."""

import asyncio
import socket
from typing import Any

from tabpy.tabpy_server.tls.served import ServedCertificate
from tabpy.tabpy_server.web.connections import Connections
from tabpy.tabpy_server.web.http1.connection import Connection
from tabpy.tabpy_server.web.http1.exchange import Entrance
from tabpy.tabpy_server.web.http1.wire import Caller

BUFFER = 1 << 18  # bytes; a million numbers are 20 MB: 64 KiB would be 300 turns of the loop
WITHOUT_ADDRESS = "0.0.0.0"  # noqa: S104 - of those who call by a socket file # nosec B104


class Server:
    """Serves what lies behind an entrance over HTTP/1.1; to be made on the event loop."""

    def __init__(
        self,
        entrance: Entrance,
        connections: Connections,
        certificate: ServedCertificate | None = None,
    ) -> None:
        """With a `certificate` it speaks https."""
        self._entrance = entrance
        self._connections = connections
        self._buffer = memoryview(bytearray(BUFFER))
        self._certificate = certificate
        self._open: dict[Connection, asyncio.Task[None]] = {}

    def take(self, accepted: socket.socket, address: Any) -> None:
        """Serve a new connection, which `address` has made."""
        is_named = accepted.family in (socket.AF_INET, socket.AF_INET6) and address
        caller = Caller(
            address[0] if is_named else WITHOUT_ADDRESS, "https" if self._certificate else "http"
        )
        session = self._certificate.session() if self._certificate else None
        connection = Connection(self._entrance, self._connections, self._buffer, caller, session)
        self._open[connection] = asyncio.ensure_future(_connect(connection, accepted))
        connection.lost.add_done_callback(lambda _: self._open.pop(connection))

    async def close(self, seconds: float = 0.0) -> None:
        """Close all connections. The clients of replies that are made have so long to take them."""
        connections = [*self._open]
        for each in connections:
            each.end()
        await _lost(connections, seconds)
        for each in connections:
            each.close()
        await _lost(connections, None)


async def _connect(connection: Connection, accepted: socket.socket) -> None:
    try:
        await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, accepted)
    except OSError:  # it has ended already
        accepted.close()
        connection.connection_lost(None)


async def _lost(connections: list[Connection], seconds: float | None) -> None:
    """Wait until they have ended, but no longer than `seconds`."""
    if connections:
        await asyncio.wait([each.lost for each in connections], timeout=seconds)
