"""HTTP/1.1 over raw keep-alive sockets; requests are rendered once, replies framed by length."""

import base64
import json
import socket
from collections.abc import Callable
from dataclasses import dataclass

Address = tuple[str, int]
RECEIVE = 1 << 16
RECEIVE_LARGE = 1 << 20  # each read allocates all it may receive: no waste on small replies
PATIENCE = 60.0  # seconds without a single byte from the server before it counts as hung


class WrongReply(Exception):  # noqa: N818 - what the server did, not what went wrong here
    """The server answered, but not with the status or the body it owes."""


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes


Check = Callable[[Reply], None]


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def request(method: str, path: str, authorization: str, payload: object = None) -> bytes:
    """One HTTP/1.1 request, ready to send; `payload` becomes a JSON body."""
    body = b"" if payload is None else json.dumps(payload).encode()
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {authorization}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def answers(right: Callable[[object], bool]) -> Check:
    """A check that a reply is 200 and that its JSON is `right`."""
    known: set[bytes] = set()

    def check(reply: Reply) -> None:
        if reply.status == 200 and reply.body in known:
            return
        try:
            good = reply.status == 200 and right(json.loads(reply.body))
        except (ValueError, LookupError, TypeError):  # no JSON, or not of the shape `right` reads
            good = False
        if not good:
            raise WrongReply(f"{reply.status} {reply.body[:300]!r}")
        if len(reply.body) < 10_000 and len(known) < 100:
            known.add(reply.body)

    return check


class Connection:
    """A keep-alive connection that has at most one request on its way.

    `ask` sends and waits. With a non-blocking socket: `begin`, then `send_some` and `receive_some`
    when the socket is ready.
    """

    def __init__(self, address: Address) -> None:
        self.socket = socket.create_connection(address, timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()
        self._unsent = memoryview(b"")
        self._whole = 0  # length of head and body, known once the head has come

    def close(self) -> None:
        self.socket.close()

    def ask(self, rendered: bytes) -> Reply:
        self.begin(rendered)
        return self.finish()

    def finish(self) -> Reply:
        """Wait for the reply to what was begun, on a blocking socket."""
        while self._unsent:
            self.send_some()
        while True:
            reply = self.receive_some()
            if reply is not None:
                return reply

    def begin(self, rendered: bytes) -> bool:
        """Send what the socket takes at once; True when that was all of it."""
        self._unsent = memoryview(rendered)
        return self.send_some()

    def send_some(self) -> bool:
        try:
            self._unsent = self._unsent[self.socket.send(self._unsent) :]
        except BlockingIOError:
            return False
        return not self._unsent

    def receive_some(self) -> Reply | None:
        """One read; the reply when that completed it."""
        missing = self._whole - len(self._received)
        chunk = self.socket.recv(RECEIVE_LARGE if missing > RECEIVE else RECEIVE)
        if not chunk:
            raise WrongReply("the server closed the connection before its reply was complete")
        self._received += chunk
        if not self._whole:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return None
            self._whole = end + 4 + _content_length(bytes(self._received[:end]))
        if len(self._received) < self._whole:
            return None
        with memoryview(self._received) as view:
            body = bytes(view[self._received.find(b"\r\n\r\n") + 4 : self._whole])
        reply = Reply(int(self._received[9:12]), body)
        del self._received[: self._whole]
        self._whole = 0
        return reply


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise WrongReply(f"a reply without Content-Length: {head[:200]!r}")
