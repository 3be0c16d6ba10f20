"""Routes whose answer a script worker makes. Nine of ten requests are such, so they don't go by
tornado's RequestHandler, which would take most of their time.

With `?debug=true` the reply also has what was printed and, after a failure, the traceback. It is
no part of the body, which is never parsed here.
"""

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from http import HTTPStatus
from typing import ClassVar
from urllib.parse import parse_qs, unquote_to_bytes

from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, ResponseStartLine
from tornado.web import RequestHandler

from tabpy.tabpy_server.eager import start_task
from tabpy.tabpy_server.errors import InvalidInputError
from tabpy.tabpy_server.json_codec import dumps
from tabpy.tabpy_server.web import packing
from tabpy.tabpy_server.web.answers import (
    CLIENT_CLOSED,
    TOLD,
    Answer,
    RefusedRequestError,
    Told,
    answer_to,
    answer_with,
    why,
)
from tabpy.tabpy_server.web.body import HeldBody
from tabpy.tabpy_server.web.context import Context
from tabpy.tabpy_server.web.error_reply import error_reply
from tabpy.tabpy_server.web.http1.exchange import Exchange
from tabpy.tabpy_server.web.operation import Parameter, operation
from tabpy.tabpy_server.web.operation import Reply as Replies
from tabpy.tabpy_server.web.record import record
from tabpy.tabpy_server.web.schemas import FLAG, NOTHING
from tabpy.tabpy_server.web.visit import Visit
from tabpy.tabpy_server.workers.pool.job import Job, Outcome
from tabpy.tabpy_server.workers.pool.shared_jobs import Runner
from tabpy.tabpy_server.workers.pool.tables import Tables
from tabpy.tabpy_server.workers.protocol import Failure, Reply

logger = logging.getLogger("tabpy.script")
request_logger = logging.getLogger("tabpy.request")

DEBUG = Parameter("debug", "Reply with what was printed, and with the traceback of a failure", FLAG)
FLAGS = {"true": True, "false": False}
BLANK_EVERY = 20.0  # seconds; Heroku's router waits 30 for the first byte and 55 for each other
STATUSES = {each.value: f"{each.value} {each.phrase}" for each in HTTPStatus}
JSON_TYPE = "Content-Type: application/json\r\n"


class JobHandler(HTTPMessageDelegate):
    """A request that runs a job, which is stopped when the client goes away. What a route says of
    its requests: see `visit.Rules`. What it does are methods named like HTTP's."""

    route = "other"
    open_to_all = False
    runs_job = True
    needed_rights: ClassVar[Mapping[str, str]] = {}

    def __init__(self, context: Context, exchange: Exchange, arguments: tuple[str, ...]) -> None:
        """`arguments`: the parts of the path that the methods are given, quoted."""
        self.context = context
        self.visit = Visit(context, type(self), exchange)
        self.arguments = arguments
        self.exchange = exchange
        self._details: Mapping[str, str] = {}  # what an error's reply has beside message and info
        self._work: asyncio.Task[None] | None = None

    # What the connection says

    def begin(self) -> Awaitable[None] | None:
        """Check who sends it; wait for what is returned before it is given the body."""
        if self.visit.method not in RequestHandler.SUPPORTED_METHODS:
            self._refuse_method()
            return None
        self.exchange.set_close_callback(self.on_connection_close)
        try:
            work = self.visit.enter()
        except TOLD as error:
            self._tell(error)
            return None
        return None if work is None else self._wait_for(work)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        try:
            work = self.visit.receive(chunk)
        except TOLD as error:
            self._tell(error)
            return None
        return None if work is None else self._wait_for(work)

    async def _wait_for(self, work: Awaitable[None]) -> None:
        try:
            await work
        except TOLD as error:
            self._tell(error)

    def finish(self) -> None:
        self._work = start_task(self._answer())

    def on_connection_close(self) -> None:
        if self._work is not None:
            self._work.cancel()
        self._end(CLIENT_CLOSED, 0)

    # The answer

    async def _answer(self) -> None:
        visit = self.visit
        try:
            if visit.refusal is not None:
                raise visit.refusal
            method = getattr(self, visit.method.lower(), None)
            if method is None:
                raise RefusedRequestError(answer_with(405, visit.method, visit.path))
            await method(*map(self._unquoted, self.arguments))
        except TOLD as error:
            self._tell(error)
        except Exception as error:
            fields = {"request_id": visit.id}
            request_logger.exception("failure", extra={"fields": fields})
            self._fail(answer_with(500, visit.method, visit.path), error)

    @operation("Say which other sites may ask", Replies(200, "Nothing, but headers", NOTHING))
    async def options(self, *_: str) -> None:
        await self.reply(b"{}")

    async def run_job(
        self,
        seconds: float,
        function: str | None = None,
        tables: Tables | None = None,
        pool: Runner | None = None,
    ) -> tuple[Reply, bytes | memoryview]:
        """Run the script of the body, or `function` with the arguments there.

        `seconds`: what it may take. `tables`: the Arrow tables that it may name. `pool`: who runs
        it, if not the pool itself. Returns the worker's reply and its body, JSON: a view of memory,
        if it is large. Raises TabPyError.
        """
        visit, context = self.visit, self.context
        is_debug = self.is_debug()
        visit.end_body()
        assert isinstance(visit.body, HeldBody)
        job = Job(
            visit.body.content.pieces,
            seconds,
            function,
            want_printed=is_debug or logger.isEnabledFor(self._print_level),
            request_id=visit.id,
            owner=context.settings.script_isolation.owner(visit.user, visit.headers.tableau_user),
            headers=visit.headers.for_scripts,
            tables=tables,
            waited=visit.body.waited,
            memory=visit.body.content.memory,
            as_numpy=context.settings.arguments == "numpy",
        )
        runner = pool or context.pool
        blanks = start_task(self._send_blanks()) if context.settings.long_scripts else None
        try:
            if context.heavy_jobs.are(visit.body_size):
                outcome = await self._run_in_turn(job, runner)
            else:
                outcome = await runner.run(job, visit.timing)
        finally:
            if visit.timing.queued_ms:
                context.counters.waits.append(visit.timing.queued_ms / 1000)
            if visit.timing.run_ms:
                context.counters.runs.append((self.route, visit.timing.run_ms / 1000))
            if blanks is not None:
                blanks.cancel()
        message = outcome.message
        if message.printed:
            self._log_printed(message.printed, function)
        if message.logged:
            self._log_logged(outcome)
        if isinstance(message, Failure):
            if is_debug:
                self._details = {"printed": message.printed, "trace": message.trace}
            raise message.error()
        return message, outcome.body if outcome.memory is None else outcome.memory.view()

    async def _run_in_turn(self, job: Job, runner: Runner) -> Outcome:
        async with self.context.heavy_jobs.turn(job.timeout - job.waited) as waited:
            job.waited += waited
            return await runner.run(job, self.visit.timing)

    def is_debug(self) -> bool:
        """Say whether the reply shall have what was printed. Raises InvalidInputError."""
        query = self.visit.target.partition("?")[2]
        if not query:
            return False
        said = parse_qs(query, keep_blank_values=True).get("debug", ["false"])[-1].strip()
        try:
            return FLAGS[said]
        except KeyError:
            raise InvalidInputError(f"'debug' is '{said[:40]}'.", "It is true or false.") from None

    async def _send_blanks(self) -> None:
        """Begin the reply: a router gives up on one that doesn't.

        JSON may begin with blanks, so a long script's does; its status has to be 200 then,
        whatever becomes of it.
        """
        await asyncio.sleep(BLANK_EVERY)
        headers = HTTPHeaders(self.context.reply_headers)
        headers["X-Request-Id"] = self.visit.id
        headers["Content-Type"] = "application/json"
        self.exchange.write_headers(ResponseStartLine("HTTP/1.1", 200, "OK"), headers, b" ")
        while True:
            await asyncio.sleep(BLANK_EVERY)
            self.exchange.write(b" ")

    # What is sent

    async def reply(self, body: bytes | memoryview, headers: str = "") -> None:
        """Answer with JSON, packed if it is large and the client likes. `headers`: more of them,
        each with its end."""
        self.visit.reply_size = len(body)
        if len(body) >= packing.LEAST and not self.exchange.has_begun:
            headers += "Vary: Accept-Encoding\r\n"
            if packing.is_wanted(self.visit):
                body = await asyncio.to_thread(packing.gzip, body)
                headers += "Content-Encoding: gzip\r\n"
        self._send(200, f"{headers}{JSON_TYPE}Content-Length: {len(body)}\r\n", body)

    async def reply_with_printed(self, result: bytes, printed: str) -> None:
        """Answer with the JSON object `result`, and with what was printed in it."""
        await self.reply(result[:-1] + b',"printed":' + dumps(printed) + b"}")

    def reply_unchanged(self, headers: str) -> None:
        """Answer that what the client has is still right."""
        self._send(304, headers, b"")

    def _tell(self, error: Told) -> None:
        self._fail(self.answer_of(error), error)

    def _fail(self, answer: Answer, error: BaseException) -> None:
        if self.exchange.is_answered:
            return
        self.visit.reason = why(error, answer.status)
        reply = error_reply(self.visit, answer, self.info_of(answer), self._details)
        self.visit.reply_size = len(reply.body)
        lines = "".join(f"{name}: {text}\r\n" for name, text in reply.headers.items())
        self._send(answer.status, f"{lines}Content-Length: {len(reply.body)}\r\n", reply.body)

    def _refuse_method(self) -> None:
        answer = answer_with(405, self.visit.method, self.visit.path)
        self._fail(answer, RefusedRequestError(answer))

    def _send(self, status: int, headers: str, body: bytes | memoryview) -> None:
        context = self.context
        if self.exchange.has_begun:  # a long script's: only its body can still say it
            self.exchange.write(body)
            self.exchange.finish()
        else:
            lines = f"{context.reply_head.lines()}X-Request-Id: {self.visit.id}\r\n{headers}"
            is_last = context.traffic.draining
            self.exchange.answer(STATUSES[status], lines, body, is_last=is_last)
        self._end(status, self.visit.reply_size)

    def _end(self, status: int, size: int) -> None:
        if self.visit.is_under_way:
            record(self.visit, status, size)
            self.visit.leave()

    def answer_of(self, error: Told) -> Answer:
        """Return what this route's clients are told of an error."""
        return answer_to(error)

    def info_of(self, answer: Answer) -> object:
        """Return an error's `info` as this route's clients know it."""
        return answer.info

    def _unquoted(self, quoted: str) -> str:
        if "%" not in quoted and quoted.isascii():
            return quoted
        try:
            return unquote_to_bytes(quoted.encode("latin-1")).decode()
        except UnicodeDecodeError:
            raise InvalidInputError(
                "The address is no UTF-8.", "Names in it have to be quoted as UTF-8."
            ) from None

    # The log

    @property
    def _print_level(self) -> int:
        return logging.INFO if self.context.settings.log_printed else logging.DEBUG

    def _log_printed(self, printed: str, function: str | None) -> None:
        fields = {
            "request_id": self.visit.id,
            "user": self.visit.user_in_log,
            "function": function,
            "text": printed,
        }
        logger.log(self._print_level, "printed", extra={"fields": fields})

    def _log_logged(self, outcome: Outcome) -> None:
        """Write what the script wrote to its log, at the levels that it chose."""
        for level, text in outcome.message.logged:
            fields = {"request_id": self.visit.id, "user": self.visit.user, "text": text}
            chosen = min(max(level // 10 * 10, logging.DEBUG), logging.ERROR)
            logger.log(chosen, "logged", extra={"fields": fields})
