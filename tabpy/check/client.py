"""One HTTP request at a time, each within its time, with the body still unjudged."""

import base64
import http.client
import json
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from email.message import Message

from tabpy.check.target import Target

_MAX_REPLY = 16 * 1024 * 1024


class UnansweredError(Exception):
    """Why no HTTP reply came, in one line; `late` tells that the time ran out."""

    def __init__(self, said: str, *, late: bool = False) -> None:
        super().__init__(said)
        self.late = late


@dataclass(frozen=True)
class Reply:
    """`seconds` runs from before the connection to the last byte; `at` is local Unix time."""

    status: int
    headers: Message
    body: bytes
    seconds: float
    at: float

    def json(self) -> object:
        """Return the body's JSON value, or None when it is no JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def object(self) -> dict[str, object]:
        """Return the body's JSON object, or an empty one when it is anything else."""
        value = self.json()
        return value if isinstance(value, dict) else {}


def basic(user: str, password: str) -> str:
    """Return the value of an Authorization header, UTF-8 as RFC 7617 has it."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


def send(
    target: Target,
    trust: ssl.SSLContext,
    request: tuple[str, str, object],
    *,
    authorization: str | None,
    timeout: float,
) -> Reply:
    """Send `request`, a (method, path, JSON value or None), over a connection of its own.

    Redirects aren't followed and proxies aren't used, since Tableau is told a host and a port.
    Raises UnansweredError, also when the reply isn't complete after `timeout` seconds.
    """
    method, path, value = request
    body = None if value is None else json.dumps(value).encode()
    headers = {} if body is None else {"Content-Type": "application/json"}
    if authorization:
        headers["Authorization"] = authorization
    connection = (
        http.client.HTTPSConnection(target.host, target.port, timeout=timeout, context=trust)
        if target.ssl
        else http.client.HTTPConnection(target.host, target.port, timeout=timeout)
    )
    start = time.monotonic()
    # A socket's timeout starts anew with each byte, so a trickle of bytes never reaches it.
    guard = threading.Timer(timeout, _cut, [connection])
    guard.daemon = True
    guard.start()
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        content = response.read(_MAX_REPLY)
    except (OSError, http.client.HTTPException) as error:
        late = time.monotonic() - start >= timeout or isinstance(error, TimeoutError)
        said = f"no answer within {timeout:g} s" if late else _described(error)
        raise UnansweredError(f"{method} {path}: {said}", late=late) from error
    finally:
        guard.cancel()
        connection.close()
    return Reply(response.status, response.msg, content, time.monotonic() - start, time.time())


def _cut(connection: http.client.HTTPConnection) -> None:
    sock = connection.sock
    if sock is not None:
        try:
            # The plain socket's own method: an SSLSocket's would drop its TLS state under the
            # thread that is reading.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        except OSError:
            return  # closed already: the reply came just in time


def _described(error: Exception) -> str:
    match error:
        case http.client.RemoteDisconnected() | ConnectionError():
            return "the connection was closed without an answer"
        case http.client.BadStatusLine():
            return "what answers is not HTTP"
        case ssl.SSLError():
            return f"TLS failed ({error.reason})"
        case http.client.HTTPException():
            return f"the answer is broken HTTP ({type(error).__name__})"
        case _:
            return str(error)
