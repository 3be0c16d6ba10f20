"""What every route has in common: who may enter, how much may come in, one form of error.

Credentials and sizes are checked in `prepare`, before a byte of the body is kept. A route is
closed unless its handler says `open_to_all`.
"""

import asyncio
import logging
import os
import time
from asyncio import Future
from collections.abc import Awaitable, Mapping
from typing import Any, ClassVar

from tornado.httputil import HTTPServerRequest
from tornado.web import Application, HTTPError, RequestHandler, stream_request_body

from tabpy.tabpy_server.access.gate import NOBODY
from tabpy.tabpy_server.access.tokens import TOKEN_OWNER
from tabpy.tabpy_server.activity.history import Request
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
from tabpy.tabpy_server.web.gunzip import Gunzip
from tabpy.tabpy_server.web.handlers import refusals
from tabpy.tabpy_server.web.headers import RequestHeaders
from tabpy.tabpy_server.web.http1.exchange import exchange_of
from tabpy.tabpy_server.web.operation import Reply, operation
from tabpy.tabpy_server.web.page import error_page
from tabpy.tabpy_server.web.schemas import NOTHING
from tabpy.tabpy_server.workers.pool.job import Timing

logger = logging.getLogger("tabpy.request")

DISCARD_FACTOR = 4  # times the limit: so much of a refused body is read, to be able to say why
OAUTH_RESOURCE = "/.well-known/oauth-protected-resource"  # RFC 9728
CLIENT_CLOSED = 499  # nginx's number for a client that didn't wait; for the log only


def new_request_id() -> str:
    return os.urandom(12).hex()


@stream_request_body
class BaseHandler(RequestHandler):
    """A request: the `person` who sends it, the `body` in pieces, `timing` for the log."""

    route = "other"  # how `/metrics` calls it
    open_to_all = False
    runs_job = False  # whatever its method: others that only read are no activity
    needed_rights: ClassVar[
        Mapping[str, str]
    ] = {}  # by method; the others need no more than a sign-in
    error_details: Mapping[str, str] = {}  # what an error's reply has beside message and info

    def __init__(
        self, application: Application, request: HTTPServerRequest, **arguments: Any
    ) -> None:
        # Before tornado asks for the default headers, which it does before it calls `initialize`.
        self.request_headers = RequestHeaders(request.headers)
        self.request_id = self.request_headers.request_id or new_request_id()
        super().__init__(application, request, **arguments)

    def initialize(self) -> None:
        self.body: list[bytes] = []
        self.body_size = 0
        self.reply_size = 0
        self.body_limit = self.context.max_request_size
        self.is_body_in_memory = True
        self.timing = Timing()
        self.person = NOBODY
        self._started = time.monotonic()
        self._refusal: Told | None = None
        self._why = Reason()
        self._under_way = False
        self._is_admitted = False
        self._exchange = exchange_of(self.request.connection)
        self._share = self.context.bodies.share()
        self._gunzip = Gunzip() if self.request_headers.encoding == "gzip" else None

    @property
    def context(self) -> Context:
        context: Context = self.settings["context"]
        return context

    @property
    def user(self) -> str | None:
        """Return the name of who has signed in; None on an open server."""
        return self.person.name

    @property
    def user_in_log(self) -> str | None:
        """Return how the log calls them; of who has a token it may not have the name."""
        return self.person.name if self.person.is_logged else TOKEN_OWNER

    # On the way in

    def prepare(self) -> Awaitable[None] | None:
        self.context.traffic.enter()
        self._under_way = True
        self._host_at_proxy = self.context.proxies.apply(self.request, self.request_headers)
        try:
            refusals.plain_http(self.request, self.request_headers, self.context)
            if self.open_to_all or self.request.method == "OPTIONS":  # preflights: no credentials
                return None
            person = self.context.gate.remembered(self.request_headers.authorization)
            if person is None:
                return self._admit()
            self.person = person
            self._check_request()
        except TOLD as error:
            self._refuse(error)
        return None

    async def _admit(self) -> None:
        try:
            self.person = await self.context.gate.admit(
                self.request_headers.authorization, self.request.remote_ip or ""
            )
            self._check_request()
        except TOLD as error:
            self._refuse(error)

    def _check_request(self) -> None:
        refusals.other_names(self.request, self.context)
        hosts = [*filter(None, (self.request.host, self._host_at_proxy))]
        refusals.other_sites(self.request, self.request_headers, self.context, hosts)
        method = "GET" if self.request.method == "HEAD" else self.request.method or ""
        refusals.missing_right(method, self.needed_rights, self.person)
        refusals.gzip_where_it_is_off(self.request_headers, self.context)
        refusals.too_large(self.request_headers.declared_size, self.body_limit)
        if self.is_body_in_memory:
            self._share.grow(self.request_headers.declared_size)
        self._is_admitted = True
        if self._exchange is not None:
            self._exchange.admit()

    def _refuse(self, error: Told) -> None:
        """Answer at once if no body comes, or one too large to wait for its end."""
        sent = self.request_headers
        far_too_large = sent.declared_size > DISCARD_FACTOR * self.body_limit
        if not sent.has_body or sent.asks_first or far_too_large:
            raise error
        self._refuse_after_body(error)

    def _refuse_after_body(self, error: Told) -> None:
        """Read and drop the rest of the body, then answer `error` in place of the method.

        Answering at once would cut the connection while the client still sends, and show it a
        broken pipe. tornado calls nothing of ours between the body's end and the method, which it
        looks up by its name then: that has to lead to the answer.
        """
        self._refusal = error
        self._drop_body()
        if self._exchange is not None:
            self._exchange.refuse()
        setattr(self, (self.request.method or "").lower(), self._answer_refusal)

    async def _answer_refusal(self, *_: str) -> None:
        assert self._refusal is not None
        raise self._refusal

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        if self._gunzip is not None and self._is_admitted and self._refusal is None:
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
        except TOLD as error:
            self._refuse_after_body(error)

    def _take(self, piece: bytes) -> None:
        if not self._under_way:
            return  # the client has gone while its body was unpacked
        self.body_size += len(piece)
        if self._refusal is not None:
            self._discard()
            return
        try:  # again: the declared size may be missing, or that of the compressed body
            if self._is_admitted and self.body_size == len(piece):
                refusals.packed(self.request_headers, self.context, piece)
            refusals.too_large(self.body_size, self.body_limit)
            if self._is_admitted:  # what nobody had to sign in for has no use for a body
                self.keep(piece)
        except TOLD as error:
            self._refuse_after_body(error)

    def _discard(self) -> None:
        """Drop a piece of a refused body, and cut the connection if it has no end."""
        if self.body_size > DISCARD_FACTOR * self.body_limit and not self._finished:
            assert self._refusal is not None
            self._answer(self.answer_of(self._refusal), self._refusal)

    def keep(self, chunk: bytes) -> None:
        """Keep the body's next piece. An error raised here refuses the request."""
        self._share.grow(self.body_size)  # nobody has said how large it is, or unpacked will be
        self.body.append(chunk)

    def whole_body(self) -> list[bytes]:
        """Return the body's pieces. Raises InvalidInputError if it was cut off."""
        if self._gunzip is not None:
            self._gunzip.finish()
        return self.body

    def head(self, *parts: str) -> Awaitable[None] | None:
        """Do as GET does; tornado leaves the body out."""
        return self.get(*parts)

    @operation("Say which other sites may ask", Reply(200, "Nothing, but headers", NOTHING))
    def options(self, *_: str) -> None:
        self.write_json({})

    # On the way out

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
        self.set_header("Vary", "Accept-Encoding")
        accepted = self.context.settings.gzip_enable and self.request_headers.accepts_gzip
        if not accepted or self.request.method == "HEAD":
            return super().finish()
        self._auto_finish = False  # which would be before it is packed
        return asyncio.ensure_future(self._finish_packed())

    async def _finish_packed(self) -> None:
        body = b"".join(self._write_buffer)
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
        self._why = self.why(error, answer.status)
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
            signed_in=self._is_admitted,
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

    def on_finish(self) -> None:
        self._leave()

    def on_connection_close(self) -> None:
        super().on_connection_close()  # or the handler would wait for the rest of the body
        self._log_line(CLIENT_CLOSED)
        self._leave()

    def _leave(self) -> None:
        """Count the request out, once: one whose client has gone may still finish."""
        if self._under_way:
            self._under_way = False
            self._drop_body()
            self.context.traffic.leave()
            self.context.traffic.passed(self.body_size + self.reply_size)

    def _drop_body(self) -> None:
        self.body.clear()  # tornado's objects refer to each other in circles, and so live on
        self._share.end()

    def log(self) -> None:
        """Write a line for this request; tornado calls this when the answer is complete."""
        self._log_line(self.get_status())

    def _size_sent(self) -> int:
        return self.reply_size or int(self._headers.get("Content-Length", 0))

    def _is_activity(self, done: Request) -> bool:
        """Tell whether a request did something, or failed; asking for a page that needs a sign-in
        without one is how a browser learns of it."""
        if not self._is_admitted and self.request_headers.authorization is None:
            return False
        only_looks = done.method in ("GET", "HEAD") and not self.runs_job
        return done.error is not None or not (only_looks or done.method == "OPTIONS")

    def _log_line(self, status: int) -> None:
        if not self._under_way:
            return
        method = self.request.method or ""
        known = method if method in self.SUPPORTED_METHODS else "other"
        self.context.counters.requests[self.route, known, status] += 1
        line, function = self._why.at
        done = Request(
            at=round(time.time(), 3),
            id=self.request_id,
            user=self.user_in_log,
            method=method,
            route=self.request.path,
            status=status,
            queued_ms=round(self.timing.queued_ms, 1),
            run_ms=round(self.timing.run_ms, 1),
            total_ms=round((time.monotonic() - self._started) * 1000, 1),
            error=self._why.kind,
            line=line,
            function=function,
        )
        if self._is_activity(done):
            signed_in = self._is_admitted or self.person is not NOBODY
            self.context.activity.note(done, signed_in=signed_in)
        fields = {
            "request_id": done.id,
            "user": done.user,
            "method": method,
            "route": done.route,
            "status": status,
            "error": done.error,
            "error_line": line or None,
            "error_function": function or None,
            "queued_ms": done.queued_ms,
            "run_ms": done.run_ms,
            "total_ms": done.total_ms,
            "bytes_in": self.body_size,
            "bytes_out": 0 if method == "HEAD" else self._size_sent(),
        }
        if self.context.settings.log_details:
            fields |= {
                "caller": self.request.remote_ip,
                "url": f"{self.request.protocol}://{self.request.host}{self.request.uri}",
                "client": self.request_headers.client,
                "tableau_user": self.request_headers.tableau_user,
            }
        logger.log(self._why.level, "request", extra={"fields": fields})
