"""GET /openapi.json: all routes, for programs."""

from collections.abc import Sequence

from tabpy.tabpy_server.web import openapi
from tabpy.tabpy_server.web.handlers.base import BaseHandler
from tabpy.tabpy_server.web.operation import Reply, operation
from tabpy.tabpy_server.web.schemas import DOCUMENT


class DescriptionHandler(BaseHandler):
    route = "/openapi.json"

    def initialize(self, routes: Sequence[openapi.Route]) -> None:
        super().initialize()
        self._routes = routes

    @operation("Describe all routes", Reply(200, "This, in OpenAPI 3.1", DOCUMENT))
    def get(self) -> None:
        service = self.context.service
        self.write_json(
            openapi.document(
                self._routes,
                prefix=service.prefix,
                name=service.name,
                methods=self.context.gate.methods,
            )
        )
