"""GET /info and GET /healthz: what the server is, and that it lives."""

from tornado.web import HTTPError

from tabpy.tabpy_server.web.handlers.base import BaseHandler


class InfoHandler(BaseHandler):
    route = "/info"

    def get(self) -> None:
        self.write_json(self.context.info())


class HealthHandler(BaseHandler):
    """For load balancers and container platforms; says nothing about the server."""

    route = "/healthz"

    open_to_all = True

    def get(self) -> None:
        self.write_json({"status": "alive"})


class UnknownHandler(BaseHandler):
    """Every other path: closed like the rest, then 404."""

    route = "unknown"

    def get(self, *_: str) -> None:
        raise HTTPError(404)

    head = post = put = patch = delete = get
