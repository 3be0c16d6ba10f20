"""tornado's application, which refuses what tornado itself would fail at."""

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

from tabpy.tabpy_server.web.headers import is_readable_host


class CarefulApplication(Application):
    """An application whose requests have a Host header that tornado can take apart."""

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        return _HostCheck(super().start_request(server_conn, request_conn))


class _HostCheck(HTTPMessageDelegate):
    """Passes everything on to `delegate`, unless the Host header is unreadable."""

    def __init__(self, delegate: HTTPMessageDelegate) -> None:
        self._delegate = delegate

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        if not is_readable_host(headers.get("Host", "")):
            raise HTTPInputError("Invalid Host header")  # which is answered 400
        return self._delegate.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return self._delegate.data_received(chunk)

    def finish(self) -> None:
        self._delegate.finish()

    def on_connection_close(self) -> None:
        self._delegate.on_connection_close()
