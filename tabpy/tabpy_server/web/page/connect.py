"""GET /page/connect: what to type into Tableau, and the test that it makes."""

import shlex
from typing import Any

from tabpy.tabpy_server.access.gate import BASIC_METHOD
from tabpy.tabpy_server.rights import EVALUATE
from tabpy.tabpy_server.web.own_names import is_this_machine
from tabpy.tabpy_server.web.page import navigation
from tabpy.tabpy_server.web.page.view import ViewHandler


class ConnectView(ViewHandler):
    route = "/page/connect"
    entry = navigation.CONNECT
    template = "connect.html"
    module = "connect.js"

    async def values(self, *parts: str) -> dict[str, Any]:
        host, port = self.host_and_port
        gate = self.context.gate
        check = ["tabpy-check", self.visit.own_url, *(["-u", self.user] if self.user else [])]
        return {
            "ssl": self.is_https,
            "port": port,
            "is_here": is_this_machine(host),
            "is_closed": gate.required,
            "has_passwords": BASIC_METHOD in gate.methods,
            "may_evaluate": EVALUATE in self.person.rights,
            "evaluates": self.context.settings.evaluate_enable,
            "check": shlex.join(check),
        }
