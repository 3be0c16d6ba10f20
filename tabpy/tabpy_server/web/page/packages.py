"""GET /page/packages: what scripts can import, and how to add to it where this server runs."""

import platform
from typing import Any

from tabpy.tabpy_server.platform_names import kind_of_platform
from tabpy.tabpy_server.web.handlers.packages import installed
from tabpy.tabpy_server.web.page import navigation
from tabpy.tabpy_server.web.page.view import ViewHandler


class PackagesView(ViewHandler):
    route = "/page/packages"
    entry = navigation.PACKAGES
    template = "packages.html"
    module = "packages.js"

    async def values(self, *parts: str) -> dict[str, Any]:
        return {
            "python_version": platform.python_version(),
            "packages": sorted(installed().items(), key=lambda each: each[0].lower()),
            "platform": kind_of_platform(),
            "url": self.visit.own_url,
        }
