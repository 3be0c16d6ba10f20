"""Routes whose answer a script worker makes."""

import asyncio
import logging

from tornado.web import Finish

from tabpy.tabpy_server.errors import RequestError
from tabpy.tabpy_server.handlers.base import BaseHandler
from tabpy.tabpy_server.workers import wire
from tabpy.tabpy_server.workers.jobs import Job

logger = logging.getLogger("tabpy.script")


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
        try:
            frame = await self.context.pool.run(job, self.timing)
        except asyncio.CancelledError:
            raise Finish from None  # nobody is left to answer
        finally:
            self._running = None
        self._log_printed(frame)
        if frame.kind == wire.ERROR:
            raise RequestError(frame.meta["status"], frame.meta["message"], frame.meta["info"])
        return frame

    def on_connection_close(self) -> None:
        if self._running is not None:
            self._running.cancel()
        super().on_connection_close()

    def _log_printed(self, frame: wire.Frame) -> None:
        if printed := frame.meta.get("printed"):
            fields = {"request_id": self.request_id, "text": printed}
            logger.debug("printed", extra={"fields": fields})
