"""Three readers of requests: ours, tornado's and llhttp, which is Node's.

Each says which requests some bytes are, and whether it refuses what comes after them.
"""

import asyncio
import contextlib
import socket
from dataclasses import dataclass
from typing import Any

from tornado.http1connection import HTTP1ServerConnection
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPInputError,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import IOStream, UnsatisfiableReadError

from tabpy.tabpy_server.web.http1.head import Head
from tabpy.tabpy_server.web.http1.parser import End, Parser


@dataclass
class Request:
    """What came whole: headers by their names in small letters, lines of a name joined."""

    method: str
    target: str
    version: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Read:
    """`requests` that are whole. `is_refused`: the next one is none. `is_begun`: the next one's
    head is there."""

    requests: list[Request]
    is_refused: bool = False
    is_begun: bool = False


def by_ours(*pieces: bytes) -> Read:
    """Read as our server does."""
    parser = Parser()
    read = Read([])
    request: Request | None = None
    try:
        for piece in pieces:
            parser.feed(piece)
            while (event := parser.next()) is not None:
                if isinstance(event, Head):
                    request = _request(event.start_line, event.headers)
                    keeps_alive = event.keeps_alive
                    continue
                assert request is not None
                if event is End.OF_REQUEST:
                    read.requests.append(request)
                    request = None
                    if not keeps_alive:
                        return read
                else:
                    request.body += event
    except HTTPInputError:
        read.is_refused = True
    read.is_begun = request is not None
    return read


def by_tornado(text: bytes) -> Read:
    """Read as tornado's server does."""
    return asyncio.run(_by_tornado(text))


async def _by_tornado(text: bytes) -> Read:
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.setblocking(False)
        recorder = _Recorder()
        stream = IOStream(ours)
        serving = HTTP1ServerConnection(stream)
        serving.start_serving(recorder)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(theirs, text)
        theirs.shutdown(socket.SHUT_WR)
        said = b""
        with contextlib.suppress(ConnectionResetError):
            while more := await loop.sock_recv(theirs, 1 << 16):
                said += more
        await serving.close()
    is_endless = isinstance(stream.error, UnsatisfiableReadError)  # which it says nothing to
    recorder.read.is_refused = b"HTTP/1.1 400" in said or is_endless
    return recorder.read


class _Recorder(HTTPServerConnectionDelegate):
    """Answers every request, and notes it."""

    def __init__(self) -> None:
        self.read = Read([])

    def start_request(self, _: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        return _Noting(self.read, request_conn)


class _Noting(HTTPMessageDelegate):
    def __init__(self, read: Read, connection: HTTPConnection) -> None:
        self._read, self._connection = read, connection

    def headers_received(self, start_line: Any, headers: HTTPHeaders) -> None:
        self._line, self._headers, self._body = start_line, headers, b""
        self._read.is_begun = True

    def data_received(self, chunk: bytes) -> None:
        self._body += chunk

    def finish(self) -> None:
        request = _request(self._line, self._headers)  # now that it has put them in order
        request.body = self._body
        self._read.requests.append(request)
        self._read.is_begun = False
        headers = HTTPHeaders({"Content-Length": "0"})
        self._connection.write_headers(ResponseStartLine("HTTP/1.1", 200, "OK"), headers)
        self._connection.finish()


def _request(line: RequestStartLine, headers: HTTPHeaders) -> Request:
    return Request(
        line.method, line.path, line.version, {name.lower(): headers[name] for name in headers}
    )


def by_llhttp(text: bytes) -> Read:
    """Read as Node does. Raises ImportError without httptools."""
    from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

    protocol = _Llhttp()
    protocol.parser = HttpRequestParser(protocol)
    try:
        protocol.parser.feed_data(text)
    except (HttpParserError, HttpParserUpgrade):
        protocol.read.is_refused = True
    return protocol.read


class _Llhttp:
    """What httptools calls."""

    parser: Any

    def __init__(self) -> None:
        self.read = Read([])

    def on_message_begin(self) -> None:
        self._target = b""
        self._headers = HTTPHeaders()
        self._body = b""

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.add(name.decode("latin-1"), value.decode("latin-1").strip(" \t"))

    def on_headers_complete(self) -> None:
        self.read.is_begun = True
        version = f"HTTP/{self.parser.get_http_version()}"
        line = RequestStartLine(
            self.parser.get_method().decode(), self._target.decode("latin-1"), version
        )
        self._request = _request(line, self._headers)

    def on_body(self, body: bytes) -> None:
        self._request.body += body

    def on_message_complete(self) -> None:
        self.read.requests.append(self._request)
        self.read.is_begun = False
