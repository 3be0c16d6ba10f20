"""GET /page/activity: what the server is doing, and what failed."""

from typing import Any

from tabpy.tabpy_server import machine
from tabpy.tabpy_server.rights import DEPLOY
from tabpy.tabpy_server.web.page import navigation
from tabpy.tabpy_server.web.page.view import ViewHandler


class ActivityView(ViewHandler):
    """The frame; its browser module asks /activity for what is in it."""

    route = "/page/activity"
    entry = navigation.ACTIVITY
    template = "activity.html"
    module = "activity.js"

    async def values(self, *parts: str) -> dict[str, Any]:
        return {"machine": machine.name(), "sees_all": DEPLOY in self.person.rights}
