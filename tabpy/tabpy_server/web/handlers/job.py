"""Routes whose answer a script worker makes."""

import asyncio
import logging

from tornado.web import Finish

from tabpy.tabpy_server.errors import RequestError
from tabpy.tabpy_server.web.handlers.base import BaseHandler
from tabpy.tabpy_server.workers import protocol, wire
from tabpy.tabpy_server.workers.pool.job import Job

logger = logging.getLogger("tabpy.script")

BLANK_EVERY = 20.0  # seconds; Heroku's router waits 30 for the first byte and 55 for each other


class JobHandler(BaseHandler):
    """Runs a job for a request, and stops it when the client goes away."""

    def initialize(self) -> None:
        super().initialize()
        self._running: asyncio.Task[None] | None = None

    async def run_job(self, job: Job) -> wire.Frame:
        """The worker's answer, whose body is JSON. Raises RequestError."""
        job.meta["model_memory"] = int(self.context.settings.model_memory_mb * 1024 * 1024)
        if logger.isEnabledFor(logging.DEBUG):
            job.meta["want_printed"] = True
        self._running = asyncio.current_task()
        blanks = self._start_blanks() if self.context.settings.long_scripts else None
        try:
            frame = await self.context.pool.run(job, self.timing)
        except asyncio.CancelledError:
            raise Finish from None  # nobody is left to answer
        finally:
            self._running = None
            self.context.counters.waits.append(self.timing.queued_ms / 1000)
            if self.timing.run_ms:
                self.context.counters.runs.append((self.route, self.timing.run_ms / 1000))
            if blanks is not None:
                blanks.cancel()
        self._log_printed(frame)
        if "error_name" in frame.meta:
            raise protocol.Failure(frame.meta["error_name"], frame.meta["facts"]).error()
        if frame.kind == wire.ERROR:
            raise RequestError(frame.meta["status"], frame.meta["message"], frame.meta["info"])
        return frame

    def _start_blanks(self) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(self._send_blanks())

    async def _send_blanks(self) -> None:
        """A router gives up on a reply that doesn't begin. JSON may begin with blanks, so a long
        script's does; its status has to be 200 then, whatever becomes of it."""
        while True:
            await asyncio.sleep(BLANK_EVERY)
            self.set_header("Content-Type", "application/json")
            self.write(b" ")
            await self.flush()

    def on_connection_close(self) -> None:
        if self._running is not None:
            self._running.cancel()
        super().on_connection_close()

    def _log_printed(self, frame: wire.Frame) -> None:
        if printed := frame.meta.get("printed"):
            fields = {"request_id": self.request_id, "text": printed}
            logger.debug("printed", extra={"fields": fields})
