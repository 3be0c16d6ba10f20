"""GET /page/reference: every route, as `/openapi.json` has it, for people."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tabpy.tabpy_server.web import openapi
from tabpy.tabpy_server.web.handlers.base import BaseHandler
from tabpy.tabpy_server.web.page import markdown, navigation
from tabpy.tabpy_server.web.page.view import ViewHandler

# What only answers as another one does, or is for people.
LEFT_OUT = ("head", "options")
PAGES = ("/page/", "/static/")


class ReferenceView(ViewHandler):
    route = "/page/reference"
    entry = navigation.REFERENCE
    template = "reference.html"

    def initialize(self, routes: Sequence[openapi.Route]) -> None:
        BaseHandler.initialize(self)
        self._routes = routes

    async def values(self, *parts: str) -> dict[str, Any]:
        service = self.context.service
        described = openapi.document(
            self._routes,
            prefix=service.prefix,
            name=service.name,
            methods=self.context.gate.methods,
        )
        operations = [
            (method.upper(), path, operation)
            for path, methods in sorted(described["paths"].items())
            if not path.startswith(PAGES) and path != "/"
            for method, operation in methods.items()
            if method not in (*LEFT_OUT, "parameters")
        ]
        responses: Mapping[str, Any] = described["components"]["responses"]
        return {
            "operations": operations,
            "url": self.visit.own_url,
            "meaning": lambda status, reply: (
                reply.get("description") or responses[status]["description"]
            ),
            "line": markdown.line,
            "as_json": lambda schema: json.dumps(schema, indent=2, ensure_ascii=False),
        }
