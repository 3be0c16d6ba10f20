"""What every route has in common: who may enter, and how much may come in.

Credentials and sizes are checked in `prepare`, before a byte of the body is kept. A route is
closed unless its handler says `open_to_all`.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import ClassVar

from tornado.web import stream_request_body

from tabpy.tabpy_server.web.answers import TOLD, RefusedRequestError, Told
from tabpy.tabpy_server.web.body_budget import NO_ROOM
from tabpy.tabpy_server.web.gunzip import Gunzip
from tabpy.tabpy_server.web.handlers import refusals
from tabpy.tabpy_server.web.handlers.record import RecordedHandler
from tabpy.tabpy_server.web.http1.exchange import exchange_of
from tabpy.tabpy_server.web.operation import Reply, operation
from tabpy.tabpy_server.web.schemas import NOTHING
from tabpy.tabpy_server.workers.pool.body import Body

DISCARD_FACTOR = 4  # times the limit: so much of a refused body is read, to be able to say why
CLIENT_CLOSED = 499  # nginx's number for a client that didn't wait; for the log only


@stream_request_body
class BaseHandler(RecordedHandler):
    """A request, and its `body`."""

    open_to_all = False
    needed_rights: ClassVar[
        Mapping[str, str]
    ] = {}  # by method; the others need no more than a sign-in

    def initialize(self) -> None:
        super().initialize()
        self.body = Body()
        self.body_limit = self.context.max_request_size
        self.is_body_in_memory = True
        self._refusal: Told | None = None
        self._under_way = False
        self._exchange = exchange_of(self.request.connection)
        self._share = self.context.bodies.share()
        self._gunzip = Gunzip() if self.request_headers.encoding == "gzip" else None

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
        self.is_admitted = True
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
        if self._gunzip is not None and self.is_admitted and self._refusal is None:
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
            if self.is_admitted and self.body_size == len(piece):
                refusals.packed(self.request_headers, self.context, piece)
            refusals.too_large(self.body_size, self.body_limit)
            if self.is_admitted:  # what nobody had to sign in for has no use for a body
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
        try:
            self.body.add(chunk)
        except OSError:
            raise RefusedRequestError(NO_ROOM) from None

    def whole_body(self) -> Body:
        """Return the body. Raises InvalidInputError if it was cut off."""
        if self._gunzip is not None:
            self._gunzip.finish()
        return self.body

    def head(self, *parts: str) -> Awaitable[None] | None:
        """Do as GET does; tornado leaves the body out."""
        return self.get(*parts)

    @operation("Say which other sites may ask", Reply(200, "Nothing, but headers", NOTHING))
    def options(self, *_: str) -> None:
        self.write_json({})

    # At its end

    def on_finish(self) -> None:
        self._leave()

    def on_connection_close(self) -> None:
        super().on_connection_close()  # or the handler would wait for the rest of the body
        self._record(CLIENT_CLOSED)
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
        """Note this request; tornado calls this when the answer is complete."""
        self._record(self.get_status())

    def _record(self, status: int) -> None:
        if self._under_way:
            self.record(status)
