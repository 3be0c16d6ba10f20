"""What every route has in common: who may enter, how much may come in, one form of error.

Credentials and sizes are checked in `prepare`, before a byte of the body is kept. A route is
closed unless its handler says `open_to_all`.
"""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable
from typing import Any

from tornado.web import HTTPError, RequestHandler, stream_request_body

from tabpy.tabpy_server.errors import RequestError, TabPyError
from tabpy.tabpy_server.json_codec import dumps
from tabpy.tabpy_server.web.answers import answer_to
from tabpy.tabpy_server.web.context import Context
from tabpy.tabpy_server.web.gunzip import Gunzip
from tabpy.tabpy_server.web.handlers import refusals
from tabpy.tabpy_server.workers.pool.job import Timing

logger = logging.getLogger("tabpy.request")

DRAIN_FACTOR = 4  # times the limit: so much of a refused body is read, to be able to say why
CLIENT_CLOSED = 499  # nginx's number for a client that didn't wait; for the log only


def new_request_id() -> str:
    return os.urandom(12).hex()


@stream_request_body
class BaseHandler(RequestHandler):
    """A request: `user` (None on an open server), the `body` in pieces, `timing` for the log."""

    route = "other"  # how `/metrics` calls it
    open_to_all = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        request = args[1]
        self.request_id: str = request.headers.get("X-Request-Id", "")[:200] or new_request_id()
        super().__init__(*args, **kwargs)

    def initialize(self) -> None:
        self.body: list[bytes] = []
        self.body_size = 0
        self.reply_size = 0
        self.body_limit = self.context.max_request_size
        self.timing = Timing()
        self.user: str | None = None
        self._started = time.monotonic()
        self._refusal: RequestError | TabPyError | None = None
        self._under_way = False
        encoding = self.request.headers.get("Content-Encoding", "")
        self._gunzip = Gunzip() if encoding.lower() == "gzip" else None

    @property
    def context(self) -> Context:
        context: Context = self.settings["context"]
        return context

    # On the way in

    def prepare(self) -> Awaitable[None] | None:
        self.context.traffic.enter()
        self._under_way = True
        self.context.proxies.apply(self.request)
        try:
            refusals.plain_http(self.request, self.context)
            if self.open_to_all or self.request.method == "OPTIONS":  # preflights: no credentials
                return None
            self.user = self.context.gate.remembered(self.request.headers.get("Authorization"))
            if self.user is None:
                return self._admit()
            self._check_body()
        except (RequestError, TabPyError) as refusal:
            self._refuse(refusal)
        return None

    async def _admit(self) -> None:
        request = self.request
        try:
            self.user = await self.context.gate.admit(
                request.headers.get("Authorization"), request.remote_ip or ""
            )
            self._check_body()
        except (RequestError, TabPyError) as refusal:
            self._refuse(refusal)

    def _check_body(self) -> None:
        refusals.other_sites(self.request, self.context)
        refusals.unknown_encoding(self.request, self.context)
        refusals.too_large(self._declared_size(), self.body_limit)

    def _refuse(self, refusal: RequestError | TabPyError) -> None:
        headers = self.request.headers
        has_body = "Content-Length" in headers or "Transfer-Encoding" in headers
        waits = "Expect" in headers  # sends the body only if we like the headers
        if not has_body or waits or self._declared_size() > DRAIN_FACTOR * self.body_limit:
            raise refusal
        self._refuse_after_body(refusal)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        if self._refusal is None and self._gunzip is not None:
            return self._take_compressed(chunk)
        self._take(chunk)
        return None

    async def _take_compressed(self, chunk: bytes) -> None:
        assert self._gunzip is not None
        try:
            for piece in self._gunzip.feed(chunk):
                self._take(piece)
                if self._refusal is not None:
                    return
                await asyncio.sleep(0)  # a small chunk can hold very much: others get a turn
        except (RequestError, TabPyError) as refusal:
            self._refuse_after_body(refusal)

    def _take(self, chunk: bytes) -> None:
        self.body_size += len(chunk)
        if self._refusal is None:
            try:  # again: the declared size may be missing, or that of the compressed body
                refusals.too_large(self.body_size, self.body_limit)
                self.keep(chunk)
            except (RequestError, TabPyError) as refusal:
                self._refuse_after_body(refusal)
        elif self.body_size > DRAIN_FACTOR * self.body_limit and not self._finished:
            self.send_error(exc_info=(RequestError, self._refusal, None))

    def keep(self, chunk: bytes) -> None:
        """What becomes of the body's next piece. Raises RequestError to refuse the request."""
        self.body.append(chunk)

    def whole_body(self) -> list[bytes]:
        """The body's pieces. Raises RequestError 400 if it was cut off."""
        if self._gunzip is not None:
            self._gunzip.finish()
        return self.body

    def _refuse_after_body(self, refusal: RequestError | TabPyError) -> None:
        """Answering at once would cut the connection while the client still sends, and show it a
        broken pipe. So its body is read and dropped, then this is answered in the method's place.
        """
        self._refusal = refusal
        self.body.clear()

        async def answer(*_: str) -> None:
            raise refusal

        setattr(self, (self.request.method or "").lower(), answer)

    def _declared_size(self) -> int:
        declared = self.request.headers.get("Content-Length", "")
        return int(declared) if declared.isdecimal() else 0

    def options(self, *_: str) -> None:
        self.write_json({})

    # On the way out

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("X-Request-Id", self.request_id)
        for header, value in self.context.service.cors.items():
            self.set_header(header, value)
        if self.context.settings.on_heroku:
            self.set_header("Strict-Transport-Security", "max-age=31536000")
        if self.context.traffic.draining:
            self.set_header("Connection", "close")

    def write_json(self, value: Any, status: int = 200) -> None:
        self.write_json_bytes(dumps(value), status)

    def write_json_bytes(self, encoded: bytes, status: int = 200) -> None:
        self.reply_size = len(encoded)
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(encoded)

    def compute_etag(self) -> str | None:
        return None  # tornado would hash each reply, on the event loop

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        problem = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(problem, TabPyError):
            status = answer_to(problem).status
        else:
            status = problem.status if isinstance(problem, RequestError) else status_code
        if self._headers_written and not self._finished:
            self.write_error(status, **kwargs)  # a long script's: only the body can still say it
        else:
            super().send_error(status, **kwargs)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """The one place where errors become answers."""
        problem = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(problem, TabPyError):
            problem = answer_to(problem)
        elif not isinstance(problem, RequestError):
            problem = refusals.ordinary(status_code, self.request)
        for header, value in problem.headers.items():
            self.set_header(header, value)
        if status_code == 401:
            realm = self.context.service.name.replace('"', "'")
            self.set_header("WWW-Authenticate", f'Basic realm="{realm}"')
        self.write_json({"message": problem.message, "info": problem.info}, status_code)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        if not isinstance(
            value, TabPyError | RequestError | HTTPError
        ):  # those are answers, not accidents
            fields = {"request_id": self.request_id}
            logger.error("failure", exc_info=(typ, value, tb), extra={"fields": fields})

    def on_finish(self) -> None:
        self._leave()

    def on_connection_close(self) -> None:
        self._log_line(CLIENT_CLOSED)
        self._leave()

    def _leave(self) -> None:
        if self._under_way:
            self._under_way = False
            self.body.clear()  # tornado's objects refer to each other in circles, and so live on
            self.context.traffic.leave()
            self.context.traffic.passed(self.body_size + self.reply_size)

    def log(self) -> None:
        """One line a request; tornado calls this when the answer is complete."""
        self._log_line(self.get_status())

    def _log_line(self, status: int) -> None:
        if not self._under_way:
            return
        method = self.request.method or ""
        known = method if method in self.SUPPORTED_METHODS else "other"
        self.context.counters.requests[self.route, known, status] += 1
        fields = {
            "request_id": self.request_id,
            "user": self.user,
            "method": method,
            "route": self.request.path,
            "status": status,
            "queued_ms": round(self.timing.queued_ms, 1),
            "run_ms": round(self.timing.run_ms, 1),
            "total_ms": round((time.monotonic() - self._started) * 1000, 1),
            "bytes_in": self.body_size,
            "bytes_out": self.reply_size or int(self._headers.get("Content-Length", 0)),
        }
        if self.context.settings.log_details:
            headers = self.request.headers
            fields |= {
                "caller": self.request.remote_ip,
                "url": f"{self.request.protocol}://{self.request.host}{self.request.uri}",
                "client": headers.get("TabPy-Client") or headers.get("User-Agent"),
                "tableau_user": headers.get("TabPy-User"),
            }
        logger.info("request", extra={"fields": fields})
