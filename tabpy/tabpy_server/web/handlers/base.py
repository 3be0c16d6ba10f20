"""What tornado's handlers have in common: each is the `Visit` of a request, and answers it."""

import asyncio
import logging
from asyncio import Future
from collections.abc import Awaitable, Mapping
from typing import Any, ClassVar

from tornado.httputil import HTTPServerRequest
from tornado.web import Application, HTTPError, RequestHandler, stream_request_body

from tabpy.tabpy_server.access.gate import Person
from tabpy.tabpy_server.json_codec import dumps
from tabpy.tabpy_server.web import packing
from tabpy.tabpy_server.web.answers import (
    CLIENT_CLOSED,
    TOLD,
    Answer,
    Reason,
    answer_to,
    answer_with,
    why,
)
from tabpy.tabpy_server.web.body import HeldBody
from tabpy.tabpy_server.web.context import Context
from tabpy.tabpy_server.web.error_reply import error_reply
from tabpy.tabpy_server.web.headers import RequestHeaders
from tabpy.tabpy_server.web.http1.exchange import exchange_of
from tabpy.tabpy_server.web.operation import Reply, operation
from tabpy.tabpy_server.web.record import record
from tabpy.tabpy_server.web.schemas import NOTHING
from tabpy.tabpy_server.web.visit import Visit

logger = logging.getLogger("tabpy.request")


@stream_request_body
class BaseHandler(RequestHandler):
    """A request, what is known of it (`visit`), and its reply: JSON as most are, packed if it is
    large. What a route says of its requests: see `visit.Rules`."""

    route = "other"
    open_to_all = False
    runs_job = False
    needed_rights: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self, application: Application, request: HTTPServerRequest, **arguments: Any
    ) -> None:
        # Before tornado asks for the default headers, which it does before it calls `initialize`.
        self.context: Context = application.settings["context"]
        self.visit = Visit(self.context, self, exchange_of(request.connection))
        super().__init__(application, request, **arguments)

    @property
    def request_headers(self) -> RequestHeaders:
        return self.visit.headers

    @property
    def person(self) -> Person:
        """Return who sends the request."""
        return self.visit.person

    @property
    def user(self) -> str | None:
        """Return their name; None on an open server."""
        return self.visit.user

    # On the way in

    def prepare(self) -> Awaitable[None] | None:
        return self._then_divert(self.visit.enter())

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        try:
            return self._then_divert(self.visit.receive(chunk))
        except TOLD as error:
            if not self._finished:
                self._answer(answer_to(error), error)
            return None

    def _then_divert(self, work: Awaitable[None] | None) -> Awaitable[None] | None:
        """Have a refused request answered when it has come, once `work` is done."""
        if work is not None:
            return self._divert_after(work)
        self._divert()
        return None

    async def _divert_after(self, work: Awaitable[None]) -> None:
        await work
        self._divert()

    def _divert(self) -> None:
        """tornado calls nothing of ours between the body's end and the method, which it looks up by
        its name then: that has to lead to the answer."""
        if self.visit.refusal is not None:
            setattr(self, self.visit.method.lower(), self._answer_refusal)

    async def _answer_refusal(self, *_: str) -> None:
        assert self.visit.refusal is not None
        raise self.visit.refusal

    def whole_body(self) -> list[bytes]:
        """Return the body's pieces. Raises InvalidInputError if it was cut off."""
        self.visit.end_body()
        assert isinstance(self.visit.body, HeldBody)
        return self.visit.body.pieces

    def head(self, *parts: str) -> Awaitable[None] | None:
        """Do as GET does; tornado leaves the body out."""
        return self.get(*parts)

    @operation("Say which other sites may ask", Reply(200, "Nothing, but headers", NOTHING))
    def options(self, *_: str) -> None:
        self.write_json({})

    # The reply

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        for name, text in self.context.reply_headers.items():
            self.set_header(name, text)
        self.set_header("X-Request-Id", self.visit.id)

    def write_json(self, value: Any, status: int = 200) -> None:
        encoded = dumps(value)
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(encoded)

    def finish(self, chunk: "str | bytes | dict[str, Any] | None" = None) -> "Future[None]":
        """End the reply; a stopping server closes the connection with it. A large one is packed
        first, if the client likes."""
        if self.context.traffic.draining and not self._headers_written:
            self.set_header("Connection", "close")
        if chunk is not None:
            self.write(chunk)
        if self._headers_written:
            return super().finish()
        size = self.visit.reply_size = sum(map(len, self._write_buffer))
        if size < packing.LEAST:
            return super().finish()
        self.set_header("Vary", "Accept-Encoding")
        if not packing.is_wanted(self.visit):
            return super().finish()
        self._auto_finish = False  # which would be before it is packed
        return asyncio.ensure_future(self._finish_packed())

    async def _finish_packed(self) -> None:
        body = b"".join(self._write_buffer)
        self._write_buffer = [await asyncio.to_thread(packing.gzip, body)]
        self.set_header("Content-Encoding", "gzip")
        await super().finish()

    def compute_etag(self) -> str | None:
        return None  # tornado would hash each reply, on the event loop

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """Answer what was raised; of what isn't meant for clients they only learn the status."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, TOLD):
            self._answer(answer_to(error), error)
        else:
            self._answer(answer_with(status_code, self.visit.method, self.visit.path), error)

    def _answer(self, answer: Answer, error: BaseException | None) -> None:
        self.visit.reason = self.why(error, answer.status)
        super().send_error(answer.status, answer=answer)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        answer: Answer = kwargs["answer"]
        reply = error_reply(self.visit, answer, answer.info, {})
        for name, text in reply.headers.items():
            self.set_header(name, text)
        self.finish(reply.body)

    def why(self, error: BaseException | None, status: int) -> Reason:
        """Return why a request failed that raised `error`, or was refused."""
        return why(error, status)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log accidents; errors that clients are told are none."""
        if not isinstance(value, (*TOLD, HTTPError)):
            fields = {"request_id": self.visit.id}
            logger.error("failure", exc_info=(typ, value, tb), extra={"fields": fields})

    # At its end

    def log(self) -> None:
        """Note this request; tornado calls this when the answer is complete."""
        size = self.visit.reply_size or int(self._headers.get("Content-Length", 0))
        self._record(self.get_status(), size)

    def on_finish(self) -> None:
        self.visit.leave()

    def on_connection_close(self) -> None:
        super().on_connection_close()  # or the handler would wait for the rest of the body
        self._record(CLIENT_CLOSED, 0)
        self.visit.leave()

    def _record(self, status: int, size: int) -> None:
        if self.visit.is_under_way:
            record(self.visit, status, size)
