"""Routes whose answer a script worker makes.

With `?debug=true` the reply also has what was printed and, after a failure, the traceback. It is
no part of the body, which is never parsed here.
"""

import asyncio
import logging

from tornado.web import Finish

from tabpy.tabpy_server.errors import InvalidInputError
from tabpy.tabpy_server.json_codec import dumps
from tabpy.tabpy_server.web.handlers.base import BaseHandler
from tabpy.tabpy_server.web.operation import Parameter
from tabpy.tabpy_server.web.schemas import FLAG
from tabpy.tabpy_server.workers.pool.job import Job, Outcome
from tabpy.tabpy_server.workers.pool.tables import Tables
from tabpy.tabpy_server.workers.protocol import Failure, Reply

logger = logging.getLogger("tabpy.script")

DEBUG = Parameter("debug", "Reply with what was printed, and with the traceback of a failure", FLAG)
FLAGS = {"true": True, "false": False}
BLANK_EVERY = 20.0  # seconds; Heroku's router waits 30 for the first byte and 55 for each other


class JobHandler(BaseHandler):
    """Runs a job for a request, and stops it when the client goes away."""

    runs_job = True

    def initialize(self) -> None:
        super().initialize()
        self._running: asyncio.Task[None] | None = None

    def is_debug(self) -> bool:
        """Say whether the reply shall have what was printed. Raises InvalidInputError."""
        said = self.get_query_arguments("debug") or ["false"]
        try:
            return FLAGS[said[-1]]
        except KeyError:
            raise InvalidInputError(
                f"'debug' is '{said[-1][:40]}'.", "It is true or false."
            ) from None

    async def run_job(
        self, seconds: float, function: str | None = None, tables: Tables | None = None
    ) -> tuple[Reply, bytes | memoryview]:
        """Run the script of the body, or `function` with the arguments there.

        `seconds`: what it may take. `tables`: the Arrow tables that it may name. Returns the
        worker's reply and its body, JSON: a view of memory, if it is large. Raises TabPyError.
        """
        is_debug = self.is_debug()
        body = self.whole_body()
        job = Job(
            body.pieces,
            seconds,
            function,
            want_printed=is_debug or logger.isEnabledFor(self._print_level),
            request_id=self.request_id,
            owner=self.context.settings.script_isolation.owner(
                self.user, self.request_headers.tableau_user
            ),
            headers=self.request_headers.for_scripts,
            tables=tables,
            memory=body.memory,
            as_numpy=self.context.settings.arguments == "numpy",
        )
        self._running = asyncio.current_task()
        blanks = self._start_blanks() if self.context.settings.long_scripts else None
        try:
            outcome = await self.context.pool.run(job, self.timing)
        except asyncio.CancelledError:
            raise Finish from None  # nobody is left to answer
        finally:
            self._running = None
            self.context.counters.waits.append(self.timing.queued_ms / 1000)
            if self.timing.run_ms:
                self.context.counters.runs.append((self.route, self.timing.run_ms / 1000))
            if blanks is not None:
                blanks.cancel()
        self._log_printed(outcome, function)
        self._log_logged(outcome)
        if isinstance(outcome.message, Failure):
            if is_debug:
                said = outcome.message
                self.error_details = {"printed": said.printed, "trace": said.trace}
            raise outcome.message.error()
        if outcome.memory is not None:
            return outcome.message, outcome.memory.view()
        return outcome.message, outcome.body

    def write_with_printed(self, result: bytes, printed: str) -> None:
        """Answer with the JSON object `result`, and with what was printed in it."""
        self.write_json_bytes(result[:-1] + b',"printed":' + dumps(printed) + b"}")

    def write_result(self, result: bytes | memoryview) -> None:
        """Answer with JSON, which isn't copied if it is a view."""
        if isinstance(result, memoryview):
            self.write_json_view(result)
        else:
            self.write_json_bytes(result)

    def _start_blanks(self) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(self._send_blanks())

    async def _send_blanks(self) -> None:
        """Begin the reply: a router gives up on one that doesn't.

        JSON may begin with blanks, so a long script's does; its status has to be 200 then,
        whatever becomes of it.
        """
        while True:
            await asyncio.sleep(BLANK_EVERY)
            self.set_header("Content-Type", "application/json")
            self.write(b" ")
            await self.flush()

    def on_connection_close(self) -> None:
        if self._running is not None:
            self._running.cancel()
        super().on_connection_close()

    @property
    def _print_level(self) -> int:
        return logging.INFO if self.context.settings.log_printed else logging.DEBUG

    def _log_printed(self, outcome: Outcome, function: str | None) -> None:
        if outcome.message.printed:
            fields = {
                "request_id": self.request_id,
                "user": self.user_in_log,
                "function": function,
                "text": outcome.message.printed,
            }
            logger.log(self._print_level, "printed", extra={"fields": fields})

    def _log_logged(self, outcome: Outcome) -> None:
        """Write what the script wrote to its log, at the levels that it chose."""
        for level, text in outcome.message.logged:
            fields = {"request_id": self.request_id, "user": self.user, "text": text}
            chosen = min(max(level // 10 * 10, logging.DEBUG), logging.ERROR)
            logger.log(chosen, "logged", extra={"fields": fields})
