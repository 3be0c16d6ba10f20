"""Where requests come in: those that run jobs go straight to their handlers, all others by
tornado's application."""

import re
from collections.abc import Awaitable, Sequence

from tornado.httputil import HTTPMessageDelegate
from tornado.web import Application

from tabpy.tabpy_server.web.context import Context
from tabpy.tabpy_server.web.handlers.job import JobHandler
from tabpy.tabpy_server.web.http1.exchange import Exchange


class Entrance:
    """Finds who answers a request.

    What tornado makes for each request costs more than all that a job needs of a web process, and
    nine of ten requests are jobs.
    """

    def __init__(
        self,
        context: Context,
        jobs: Sequence[tuple[str, type[JobHandler]]],
        application: Application,
    ) -> None:
        """`jobs`: patterns of paths, and who answers there."""
        self._context = context
        self._jobs = [(re.compile(pattern), handler) for pattern, handler in jobs]
        self.application = application

    def begin(
        self, connection: object, exchange: Exchange
    ) -> tuple[HTTPMessageDelegate, Awaitable[None] | None]:
        """Return who takes the request, and what that one has to do before it takes the body."""
        head = exchange.head
        path = head.target.partition("?")[0]
        for pattern, handler in self._jobs:
            if found := pattern.fullmatch(path):
                job = handler(self._context, exchange, found.groups())
                return job, job.begin()
        delegate = self.application.start_request(connection, exchange)
        return delegate, delegate.headers_received(head.start_line, head.headers)
