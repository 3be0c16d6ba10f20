"""A reply: JSON as most are, packed if it is large, and one form of error for all routes."""

import asyncio
import logging
import os
from asyncio import Future
from collections.abc import Mapping
from typing import Any

from tornado.httputil import HTTPServerRequest
from tornado.web import Application, HTTPError, RequestHandler

from tabpy.tabpy_server.json_codec import dumps
from tabpy.tabpy_server.web import packing
from tabpy.tabpy_server.web.answers import (
    BEARER,
    TOLD,
    Answer,
    Challenge,
    Reason,
    Told,
    answer_to,
    answer_with,
    why,
)
from tabpy.tabpy_server.web.browser_rules import RULES
from tabpy.tabpy_server.web.context import Context
from tabpy.tabpy_server.web.headers import RequestHeaders
from tabpy.tabpy_server.web.page import error_page

logger = logging.getLogger("tabpy.request")

OAUTH_RESOURCE = "/.well-known/oauth-protected-resource"  # RFC 9728


def new_request_id() -> str:
    return os.urandom(12).hex()


class ReplyHandler(RequestHandler):
    """A request that is answered. `reply_size`: bytes of the body, before it is packed; `reason`:
    why it failed; `is_admitted`: whoever asks may see what signed-in people see."""

    error_details: Mapping[str, str] = {}  # what an error's reply has beside message and info

    def __init__(
        self, application: Application, request: HTTPServerRequest, **arguments: Any
    ) -> None:
        # Before tornado asks for the default headers, which it does before it calls `initialize`.
        self.context: Context = application.settings["context"]
        self.request_headers = RequestHeaders(request.headers)
        self.request_id = self.request_headers.request_id or new_request_id()
        super().__init__(application, request, **arguments)

    def initialize(self) -> None:
        self.reply_size = 0
        self.reason = Reason()
        self.is_admitted = False

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        self.set_header("Cache-Control", "no-store")
        for header, value in RULES.items():
            self.set_header(header, value)
        self.set_header("X-Request-Id", self.request_id)
        for header, value in self.context.service.cors.items():
            self.set_header(header, value)
        if self.context.settings.on_heroku or self.context.settings.speaks_https:
            self.set_header("Strict-Transport-Security", "max-age=31536000")

    def finish(self, chunk: "str | bytes | dict[str, Any] | None" = None) -> "Future[None]":
        """End the reply; a stopping server closes the connection with it. A large one is packed
        first, if the client likes."""
        if self.context.traffic.draining and not self._headers_written:
            self.set_header("Connection", "close")
        if chunk is not None:
            self.write(chunk)
        if self._headers_written or sum(map(len, self._write_buffer)) < packing.LEAST:
            return super().finish()
        if not self._is_to_be_packed():
            return super().finish()
        body, self._write_buffer = b"".join(self._write_buffer), []
        return self._pack_and_finish(body)

    def _is_to_be_packed(self) -> bool:
        """Say whether a large reply goes out as gzip, and that it might."""
        self.set_header("Vary", "Accept-Encoding")
        accepted = self.context.settings.gzip_enable and self.request_headers.accepts_gzip
        return accepted and self.request.method != "HEAD"

    def _pack_and_finish(self, body: bytes | memoryview) -> "Future[None]":
        self._auto_finish = False  # which would be before it is packed
        return asyncio.ensure_future(self._finish_packed(body))

    async def _finish_packed(self, body: bytes | memoryview) -> None:
        self._write_buffer = [await asyncio.to_thread(packing.gzip, body)]
        self.reply_size = len(body)
        self.set_header("Content-Encoding", "gzip")
        await super().finish()

    def write_json(self, value: Any, status: int = 200) -> None:
        self.write_json_bytes(dumps(value), status)

    def write_json_bytes(self, encoded: bytes, status: int = 200) -> None:
        self.reply_size = len(encoded)
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(encoded)

    def write_json_view(self, encoded: memoryview) -> None:
        """Answer with large JSON from where it lies: the connection sends it a piece at a time."""
        self.reply_size = len(encoded)
        self.set_header("Content-Type", "application/json")
        if not self._headers_written and self._is_to_be_packed():
            self._pack_and_finish(encoded)
            return
        if not self._headers_written:
            self.set_header("Content-Length", str(len(encoded)))
            if self.context.traffic.draining:
                self.set_header("Connection", "close")
        self.flush()
        if self.request.method != "HEAD":
            assert self.request.connection is not None
            self.request.connection.write(encoded)  # type: ignore[arg-type] # ours takes views
        self.finish()

    def compute_etag(self) -> str | None:
        return None  # tornado would hash each reply, on the event loop

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """Answer what was raised; of what isn't meant for clients they only learn the status."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, TOLD):
            self._answer(self.answer_of(error), error)
        else:
            answer = answer_with(status_code, self.request.method or "", self.request.path)
            self._answer(answer, error)

    def _answer(self, answer: Answer, error: BaseException | None) -> None:
        self.reason = self.why(error, answer.status)
        if self._headers_written and not self._finished:
            # A long script's reply has begun: only its body can still say it.
            self.write_error(answer.status, answer=answer)
        else:
            super().send_error(answer.status, answer=answer)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Write `answer`: the one place where errors become replies."""
        answer: Answer = kwargs["answer"]
        for header, text in answer.headers.items():
            self.set_header(header, text)
        if answer.challenge is not None:
            self.set_header("WWW-Authenticate", self._challenge(answer.challenge))
        if self.context.shows_our_page and error_page.is_wanted(
            self.request.method, self.request_headers
        ):
            self._write_error_page(answer)
            return
        told = {"message": answer.message, "info": self.info_of(answer), **self.error_details}
        self.write_json(told, answer.status)

    def _write_error_page(self, answer: Answer) -> None:
        self.set_status(answer.status)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", error_page.policy())
        page = self.render_string(
            error_page.TEMPLATE,
            name=self.context.service.name,
            root=self.way_to_root,
            signed_in=self.is_admitted,
            request_id=self.request_id,
            **error_page.values(answer),
        )
        self.reply_size = len(page)
        self.finish(page)

    def answer_of(self, error: Told) -> Answer:
        """Return what this route's clients are told of an error."""
        return answer_to(error)

    def why(self, error: BaseException | None, status: int) -> Reason:
        """Return why a request failed that raised `error`, or was refused."""
        return why(error, status)

    def info_of(self, answer: Answer) -> object:
        """Return an error's `info` as this route's clients know it."""
        return answer.info

    def _challenge(self, said: Challenge) -> str:
        parameters = dict(said.parameters)
        if said.scheme == BEARER:
            parameters["resource_metadata"] = self.own_url + OAUTH_RESOURCE  # RFC 9728, 5.1
        return self.context.service.challenge(said.scheme, **parameters)

    @property
    def own_url(self) -> str:
        """Return what the caller has to put in front of every route."""
        return f"{self.request.protocol}://{self.request.host}{self.context.service.prefix}"

    @property
    def way_to_root(self) -> str:
        """Return the way from the address asked for to the server's root, as a link has it: a path
        that a proxy has in front of ours doesn't matter to it."""
        path = self.request.path.removeprefix(self.context.service.prefix)
        return "../" * (path.count("/") - 1) or "./"

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log accidents; errors that clients are told are none."""
        if not isinstance(value, (*TOLD, HTTPError)):
            fields = {"request_id": self.request_id}
            logger.error("failure", exc_info=(typ, value, tb), extra={"fields": fields})
