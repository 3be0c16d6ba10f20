"""tornado's application, which refuses what tornado itself would fail at, and says what each
connection waits for."""

from collections.abc import Awaitable

from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPInputError,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.web import Application

from tabpy.tabpy_server.web.connections import Stream, stream_of
from tabpy.tabpy_server.web.headers import is_readable_host


class CarefulApplication(Application):
    """An application whose requests have a Host header that tornado can take apart."""

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        stream = stream_of(request_conn)
        if stream is not None:
            stream.await_request()
        return _Request(super().start_request(server_conn, request_conn), stream)


class _Request(HTTPMessageDelegate):
    """Passes everything on to `delegate`, unless the Host header is unreadable."""

    def __init__(self, delegate: HTTPMessageDelegate, stream: Stream | None) -> None:
        self._delegate = delegate
        self._stream = stream

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        if self._stream is not None:
            self._stream.begin_request()
        if not is_readable_host(headers.get("Host", "")):
            raise HTTPInputError("Invalid Host header")  # which is answered 400
        return self._delegate.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return self._delegate.data_received(chunk)

    def finish(self) -> None:
        self._delegate.finish()

    def on_connection_close(self) -> None:
        self._delegate.on_connection_close()
