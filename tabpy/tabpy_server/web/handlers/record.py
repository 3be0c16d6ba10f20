"""What is noted of a request that is over: a line in the log, a number for the metrics, and, if it
did something, a place in the activity that the page shows."""

import logging
import time

from tabpy.tabpy_server.access.gate import NOBODY
from tabpy.tabpy_server.access.tokens import TOKEN_OWNER
from tabpy.tabpy_server.activity.history import Request
from tabpy.tabpy_server.functions.pure_calls import PureCall
from tabpy.tabpy_server.web.handlers.reply import ReplyHandler
from tabpy.tabpy_server.workers.pool.job import Timing

logger = logging.getLogger("tabpy.request")


class RecordedHandler(ReplyHandler):
    """A request of which is noted: the `person` who sends it, the `body_size`, `timing`."""

    route = "other"  # how `/metrics` calls it
    runs_job = False  # whatever its method: others that only read are no activity
    pure_call: PureCall | None = None

    def initialize(self) -> None:
        super().initialize()
        self.body_size = 0
        self.timing = Timing()
        self.person = NOBODY
        self._started = time.monotonic()

    @property
    def user(self) -> str | None:
        """Return the name of who has signed in; None on an open server."""
        return self.person.name

    @property
    def user_in_log(self) -> str | None:
        """Return how the log calls them; of who has a token it may not have the name."""
        return self.person.name if self.person.is_logged else TOKEN_OWNER

    def record(self, status: int) -> None:
        """Note it, once. `status`: what it ended with."""
        request, context = self.request, self.context
        method = request.method or ""
        known = method if method in self.SUPPORTED_METHODS else "other"
        context.counters.requests[self.route, known, status] += 1
        line, function = self.reason.at
        done = Request(
            at=round(time.time(), 3),
            id=self.request_id,
            user=self.user_in_log,
            method=method,
            route=request.path,
            status=status,
            queued_ms=round(self.timing.queued_ms, 1),
            run_ms=round(self.timing.run_ms, 1),
            total_ms=round((time.monotonic() - self._started) * 1000, 1),
            error=self.reason.kind,
            line=line,
            function=function,
        )
        if self._is_activity(done):
            signed_in = self.is_admitted or self.person is not NOBODY
            context.activity.note(done, signed_in=signed_in)
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
            "cache": self.pure_call and self.pure_call.way,
            "bytes_in": self.body_size,
            "bytes_out": 0 if method == "HEAD" else self._size_sent(),
        }
        if context.settings.log_details:
            fields |= {
                "caller": request.remote_ip,
                "url": f"{request.protocol}://{request.host}{request.uri}",
                "client": self.request_headers.client,
                "tableau_user": self.request_headers.tableau_user,
            }
        logger.log(self.reason.level, "request", extra={"fields": fields})

    def _is_activity(self, done: Request) -> bool:
        """Tell whether a request did something, or failed; asking for a page that needs a sign-in
        without one is how a browser learns of it."""
        if not self.is_admitted and self.request_headers.authorization is None:
            return False
        only_looks = done.method in ("GET", "HEAD") and not self.runs_job
        return done.error is not None or not (only_looks or done.method == "OPTIONS")

    def _size_sent(self) -> int:
        return self.reply_size or int(self._headers.get("Content-Length", 0))
