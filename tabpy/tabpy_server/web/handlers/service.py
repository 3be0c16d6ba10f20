"""GET /info, /healthz and /readyz: what the server is, that it lives, and whether scripts run."""

from tornado.web import HTTPError

from tabpy.tabpy_server.errors import DrainingError, NoWorkersError, StartingError
from tabpy.tabpy_server.web.handlers.base import BaseHandler
from tabpy.tabpy_server.web.operation import Reply, operation
from tabpy.tabpy_server.web.schemas import ALIVE, INFO, READY


class InfoHandler(BaseHandler):
    route = "/info"

    @operation("Say what the server is and can do", Reply(200, "What it is", INFO))
    def get(self) -> None:
        self.write_json(self.context.info())


class HealthHandler(BaseHandler):
    """For load balancers and container platforms; says nothing about the server."""

    route = "/healthz"

    open_to_all = True

    @operation("Say that it is alive", Reply(200, "It is", ALIVE))
    def get(self) -> None:
        self.write_json({"status": "alive"})


class ReadyHandler(BaseHandler):
    """For the same, to send requests elsewhere for a while.

    Neither a store that doesn't answer nor workers that are all busy count: they would take every
    server out at once, which then serves nobody.
    """

    route = "/readyz"

    open_to_all = True

    @operation("Say whether a script would run now", Reply(200, "It would", READY), errors=(503,))
    def get(self) -> None:
        if self.context.traffic.draining:
            raise DrainingError
        if self.context.pool.cannot_start:
            raise NoWorkersError
        if not self.context.pool.has_started:
            raise StartingError
        self.write_json({"status": "ready"})


class UnknownHandler(BaseHandler):
    """Every other path: closed like the rest, then 404."""

    route = "unknown"

    def get(self, *_: str) -> None:
        raise HTTPError(404)

    head = post = put = patch = delete = get
