"""What is noted of a request that is over: a line in the log, a number for the metrics, and, if it
did something, a place in the activity that the page shows."""

import logging
import time

from tornado.web import RequestHandler

from tabpy.tabpy_server.access.gate import NOBODY
from tabpy.tabpy_server.activity.history import Request
from tabpy.tabpy_server.web.visit import Visit

logger = logging.getLogger("tabpy.request")


def record(visit: Visit, status: int, size: int) -> None:
    """Note it, once. `status`: what it ended with; `size`: bytes of the reply's body."""
    context, reason, timing, route = visit.context, visit.reason, visit.timing, visit.rules.route
    method = visit.method
    known = method if method in RequestHandler.SUPPORTED_METHODS else "other"
    context.counters.requests[route, known, status] += 1
    line, function = reason.at
    done = Request(
        at=round(time.time(), 3),
        id=visit.id,
        user=visit.user_in_log,
        method=method,
        route=visit.path,
        status=status,
        queued_ms=round(timing.queued_ms, 1),
        run_ms=round(timing.run_ms, 1),
        total_ms=round((time.monotonic() - visit.started) * 1000, 1),
        error=reason.kind,
        line=line,
        function=function,
    )
    if _is_activity(visit):
        signed_in = visit.is_admitted or visit.person is not NOBODY
        context.activity.note(done, signed_in=signed_in)
    if not logger.isEnabledFor(reason.level):
        return
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
        "cache": visit.pure_call and visit.pure_call.way,
        "bytes_in": visit.body_size,
        "bytes_out": 0 if method == "HEAD" else size,
    }
    if context.settings.log_details:
        fields |= {
            "caller": visit.remote_ip,
            "url": f"{visit.protocol}://{visit.host}{visit.target}",
            "client": visit.headers.client,
            "tableau_user": visit.headers.tableau_user,
        }
    logger.log(reason.level, "request", extra={"fields": fields})


def _is_activity(visit: Visit) -> bool:
    """Tell whether a request did something, or failed; asking for a page that needs a sign-in
    without one is how a browser learns of it."""
    if not visit.is_admitted and visit.headers.authorization is None:
        return False
    only_looks = visit.method in ("GET", "HEAD") and not visit.rules.runs_job
    return visit.reason.kind is not None or not (only_looks or visit.method == "OPTIONS")
