"""A request from its head to its end: who sends it, and how much of it is taken.

Credentials and sizes are checked by `enter`, before a byte of the body is kept. A route is closed
unless its rules say `open_to_all`.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Mapping
from typing import Protocol

from tabpy.tabpy_server.access.gate import NOBODY
from tabpy.tabpy_server.access.tokens import TOKEN_OWNER
from tabpy.tabpy_server.functions.pure_calls import PureCall
from tabpy.tabpy_server.web import refusals
from tabpy.tabpy_server.web.answers import TOLD, Reason, Told
from tabpy.tabpy_server.web.body import Body, HeldBody
from tabpy.tabpy_server.web.context import Context
from tabpy.tabpy_server.web.gunzip import Gunzip
from tabpy.tabpy_server.web.headers import RequestHeaders
from tabpy.tabpy_server.web.http1.exchange import Exchange
from tabpy.tabpy_server.workers.pool.job import Timing

DISCARD_FACTOR = 4  # times the limit: so much of a refused body is read, to be able to say why


class Rules(Protocol):
    """What a route says of its requests. `route`: how the metrics call it. `needed_rights`: by
    method; the others need no more than a sign-in. `runs_job`: it does something, whatever its
    method."""

    route: str
    open_to_all: bool
    runs_job: bool

    @property
    def needed_rights(self) -> Mapping[str, str]: ...


class Visit:
    """One request. `refusal`: why it is refused when its body has come; until then that is read and
    dropped. `reason`: why it failed. `is_admitted`: whoever asks may see what signed-in people see.
    `reply_size`: bytes of the reply's body, before it is packed. `pure_call`: that of a pure
    function, if it calls one."""

    def __init__(self, context: Context, rules: Rules, exchange: Exchange) -> None:
        head, caller = exchange.head, exchange.context
        self.context = context
        self.rules = rules
        self.headers = RequestHeaders(head.fields)
        self.id = self.headers.request_id or os.urandom(12).hex()
        self.method = head.method
        self.target = head.target
        self.path = head.target.partition("?")[0]
        self.host = head.fields.get("host") or "127.0.0.1"
        self.remote_ip = caller.remote_ip
        self.protocol = caller.protocol
        self.person = NOBODY
        self.is_admitted = False
        self.body: Body = HeldBody(context.bodies.share(), context.settings.evaluate_timeout)
        self.body_limit = context.max_request_size
        self.body_size = 0
        self.reply_size = 0
        self.refusal: Told | None = None
        self.reason = Reason()
        self.timing = Timing()
        self.pure_call: PureCall | None = None
        self.started = time.monotonic()
        self.is_under_way = False
        self._exchange = exchange
        self._gunzip = Gunzip() if self.headers.encoding == "gzip" else None

    @property
    def user(self) -> str | None:
        """Return the name of who has signed in; None on an open server."""
        return self.person.name

    @property
    def user_in_log(self) -> str | None:
        """Return how the log calls them; of who has a token it may not have the name."""
        return self.person.name if self.person.is_logged else TOKEN_OWNER

    @property
    def own_url(self) -> str:
        """Return what the caller has to put in front of every route."""
        return f"{self.protocol}://{self.host}{self.context.service.prefix}"

    @property
    def way_to_root(self) -> str:
        """Return the way from the address asked for to the server's root, as a link has it: a path
        that a proxy has in front of ours doesn't matter to it."""
        path = self.path.removeprefix(self.context.service.prefix)
        return "../" * (path.count("/") - 1) or "./"

    # On the way in

    def enter(self) -> Awaitable[None] | None:
        """Check who sends it, and what is said of its size; wait for what is returned.

        Raises what is answered at once: no body comes, or one too large to wait for its end. Any
        other refusal becomes `refusal`: answering at once would cut the connection while the client
        still sends, and show it a broken pipe.
        """
        context = self.context
        context.traffic.enter()
        self.is_under_way = True
        self._host_at_proxy = context.proxies.apply(self, self.headers)
        try:
            refusals.plain_http(self, self.headers, context)
            if self.rules.open_to_all or self.method == "OPTIONS":  # preflights: no credentials
                return None
            person = context.gate.remembered(self.headers.authorization)
            if person is None:
                return self._admit()
            self.person = person
            self._check()
        except TOLD as error:
            self._refuse(error)
        return None

    async def _admit(self) -> None:
        try:
            self.person = await self.context.gate.admit(self.headers.authorization, self.remote_ip)
            self._check()
        except TOLD as error:
            self._refuse(error)

    def _check(self) -> None:
        headers, context = self.headers, self.context
        refusals.other_names(self, context)
        refusals.other_sites(self, headers, context, self._host_at_proxy)
        method = "GET" if self.method == "HEAD" else self.method
        refusals.missing_right(method, self.rules.needed_rights, self.person)
        refusals.gzip_where_it_is_off(headers, context)
        refusals.too_large(headers.declared_size, self.body_limit)
        self.is_admitted = True
        self._exchange.admit()

    def _refuse(self, error: Told) -> None:
        sent = self.headers
        far_too_large = sent.declared_size > DISCARD_FACTOR * self.body_limit
        if not sent.has_body or sent.asks_first or far_too_large:
            raise error
        self._refuse_after_body(error)

    def _refuse_after_body(self, error: Told) -> None:
        self.refusal = error
        self.body.drop()
        self._exchange.refuse()

    # Its body

    def receive(self, chunk: bytes) -> Awaitable[None] | None:
        """Take a piece of the body; wait for what is returned. Raises what is answered at once: a
        refused body has no end."""
        if self._gunzip is not None and self.is_admitted and self.refusal is None:
            return self._unpack(chunk)
        return self._take(chunk)

    async def _unpack(self, chunk: bytes) -> None:
        assert self._gunzip is not None
        try:
            for piece in self._gunzip.feed(chunk):
                if (work := self._take(piece)) is not None:
                    await work
                if self.refusal is not None:
                    return
                await asyncio.sleep(0)  # a small chunk can hold very much: others get a turn
        except TOLD as error:
            self._refuse_after_body(error)

    def _take(self, piece: bytes) -> Awaitable[None] | None:
        if not self.is_under_way:
            return None  # the client has gone while its body was unpacked
        self.body_size += len(piece)
        if self.refusal is not None:
            if self.body_size > DISCARD_FACTOR * self.body_limit:
                raise self.refusal
            return None
        try:  # again: the declared size may be missing, or that of the compressed body
            if self.is_admitted and self.body_size == len(piece):
                refusals.packed(self.headers, self.context, piece)
            refusals.too_large(self.body_size, self.body_limit)
            # What nobody had to sign in for has no use for a body.
            work = self.body.keep(piece) if self.is_admitted else None
        except TOLD as error:
            self._refuse_after_body(error)
            return None
        return None if work is None else self._keep(work)

    async def _keep(self, work: Awaitable[None]) -> None:
        try:
            await work
        except TOLD as error:
            self._refuse_after_body(error)

    def end_body(self) -> None:
        """Note that the whole body has come. Raises InvalidInputError if it was cut off."""
        if self._gunzip is not None:
            self._gunzip.finish()

    # At its end

    def leave(self) -> None:
        """Count the request out, once: one whose client has gone may still finish."""
        if self.is_under_way:
            self.is_under_way = False
            self.body.drop()
            self.context.traffic.leave()
            self.context.traffic.passed(self.body_size + self.reply_size)
