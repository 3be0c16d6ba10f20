"""The script worker: its socket to the web process."""

import socket
import sys

from tabpy.tabpy_server.workers import protocol
from tabpy.tabpy_server.workers.protocol import Message
from tabpy.tabpy_server.workers.worker.request_body import Body, mapped

JOIN_BELOW = 1 << 16  # bytes: one copy is cheaper than two more calls


class Connection:
    """Sends and receives whole messages, and blocks meanwhile."""

    def __init__(self, own: socket.socket) -> None:
        self._socket = own

    def receive(self) -> tuple[Message, Body] | None:
        """Return the next message and its body, which may have come as memory; None when the web
        process has let go."""
        header = self._read(protocol.HEADER.size)
        if header is None:
            return None
        kind, meta_length, body_length = protocol.HEADER.unpack(header)
        rest = self._read(meta_length + body_length)
        if rest is None:
            return None
        message = protocol.decode(kind, rest[:meta_length])
        if isinstance(message, protocol.Job) and message.in_memory:
            descriptors = self.receive_descriptors(1)
            return (message, mapped(descriptors[0])) if descriptors else None
        return message, rest[meta_length:]

    def receive_descriptors(self, count: int) -> list[int]:
        """Return the descriptors that come after a message; fewer than `count` when the web process
        has let go."""
        if sys.platform != "linux":
            raise NotImplementedError("It needs memfd_create(2).")
        return socket.recv_fds(self._socket, 1, count, socket.MSG_CMSG_CLOEXEC)[1]

    def send(self, message: Message, body: bytes = b"") -> None:
        """Send a message. Raises OSError when the web process has let go."""
        head = protocol.encode(message, len(body))
        if len(body) < JOIN_BELOW:
            self._socket.sendall(head + body + protocol.END)
        else:
            self._socket.sendall(head)
            self._socket.sendall(body)
            self._socket.sendall(protocol.END)

    def _read(self, length: int) -> memoryview | None:
        buffer = memoryview(bytearray(length))
        done = 0
        while done < length:
            count = self._socket.recv_into(buffer[done:], length - done, socket.MSG_WAITALL)
            if count == 0:
                return None
            done += count
        return buffer
