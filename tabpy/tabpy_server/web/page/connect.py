"""GET /page/connect: what to type into Tableau."""

from typing import Any

from tabpy.tabpy_server.web.page import navigation
from tabpy.tabpy_server.web.page.view import ViewHandler


class ConnectView(ViewHandler):
    route = "/page/connect"
    entry = navigation.CONNECT
    template = "connect.html"

    async def values(self, *parts: str) -> dict[str, Any]:
        return {
            "ssl": self.is_https,
            "port": self.host_and_port[1],
            "has_passwords": self.context.gate.required,
        }
