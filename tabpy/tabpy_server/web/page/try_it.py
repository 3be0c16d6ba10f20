"""GET /page/try: run a script as a calculation does."""

from collections.abc import Mapping
from typing import Any, ClassVar

from tabpy.tabpy_server.rights import EVALUATE
from tabpy.tabpy_server.web.page import navigation
from tabpy.tabpy_server.web.page.view import ViewHandler


class TryItView(ViewHandler):
    route = "/page/try"
    needed_rights: ClassVar[Mapping[str, str]] = {"GET": EVALUATE}
    entry = navigation.TRY_IT
    template = "try_it.html"
    module = "try_it.js"

    async def values(self, *parts: str) -> dict[str, Any]:
        settings = self.context.settings
        return {"evaluates": settings.evaluate_enable, "seconds": settings.evaluate_timeout}
