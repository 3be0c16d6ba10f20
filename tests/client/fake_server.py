"""A small HTTP server in TabPy's place: it answers what it is told and remembers requests."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """`body` is sent as JSON unless it is bytes; a status of 0 means: hang up instead."""

    body: object = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class FakeServer:
    """Answers by `"METHOD /path"`, the same each time or one after the other; 404 to the rest."""

    url: str
    answers: dict[str, Answer | list[Answer]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def answer(self, request: Request) -> Answer:
        self.requests.append(request)
        known = self.answers.get(f"{request.method} {request.path}")
        if isinstance(known, list):
            return known.pop(0)
        return known or Answer({"message": "Unknown endpoint", "info": "No such name."}, 404)

    @property
    def last(self) -> Request:
        return self.requests[-1]


@contextmanager
def fake_server(
    host: str = "127.0.0.1", certificate: ssl.SSLContext | None = None
) -> Iterator[FakeServer]:
    """A server on a free port of `host`, on TLS where it gets a certificate."""
    http = _Server(host)
    shown = f"[{host}]" if ":" in host else host
    scheme = "https" if certificate else "http"
    if certificate:
        http.socket = certificate.wrap_socket(
            http.socket, server_side=True, do_handshake_on_connect=False
        )
    http.fake = FakeServer(f"{scheme}://{shown}:{http.server_address[1]}")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield http.fake
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    fake: FakeServer

    def __init__(self, host: str) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that refuses our certificate is part of the tests, not news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Request(self.command, self.path, dict(self.headers), body)
        answer = self.server.fake.answer(request)
        self.close_connection = True
        if answer.status:
            self._send(answer)

    def _send(self, answer: Answer) -> None:
        content = (
            answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        )
        if answer.status == 204:
            content = b""
        self.send_response(answer.status)
        headers = {"Content-Type": "application/json", "Content-Length": str(len(content))}
        for name, value in (headers | answer.headers).items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Silent: what matters is in `FakeServer.requests`."""
