"""GET /info and GET /healthz: what the server is, and that it lives."""

from tornado.web import HTTPError

from tabpy.tabpy_server.web.handlers.base import BaseHandler
from tabpy.tabpy_server.web.operation import Reply, operation
from tabpy.tabpy_server.web.schemas import ALIVE, INFO


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


class UnknownHandler(BaseHandler):
    """Every other path: closed like the rest, then 404."""

    route = "unknown"

    def get(self, *_: str) -> None:
        raise HTTPError(404)

    head = post = put = patch = delete = get
