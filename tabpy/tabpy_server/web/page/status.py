"""GET /: how the server is, and what needs somebody."""

import platform
from importlib import metadata
from typing import Any

from tabpy.tabpy_server.web.findings import Finding
from tabpy.tabpy_server.web.own_names import is_this_machine
from tabpy.tabpy_server.web.page import navigation
from tabpy.tabpy_server.web.page.view import ViewHandler

PLAIN_HTTP = Finding(
    "plain-http",
    "You opened this page over plain http: passwords and data can be read on the way, and Tableau "
    "Cloud doesn't connect.",
    "Open it with https://. If there is no certificate yet, give the server one "
    "(TABPY_TRANSFER_PROTOCOL), or put a reverse proxy that has one in front of it.",
    is_urgent=False,
)


class StatusView(ViewHandler):
    route = "/"
    entry = navigation.STATUS
    template = "status.html"

    async def values(self, *parts: str) -> dict[str, Any]:
        context = self.context
        settings = context.settings
        return {
            "info": context.info(),
            "ssl": self.is_https,
            "is_here": is_this_machine(self.host_and_port[0]),
            "python_version": platform.python_version(),
            "timeout": settings.evaluate_timeout,
            "query_timeout": settings.query_timeout,
            "workers": settings.workers * settings.web_processes,
            "isolation": settings.script_isolation.words,
            "confinement": context.confinement.words,
            "preload": [_with_version(name) for name in settings.preload],
            "findings": await self._findings(),
            "functions": context.catalog.size,
        }

    async def _findings(self) -> list[Finding]:
        """Return what needs somebody; of https, what the browser's way here shows."""
        found = await self.context.findings()
        if self.is_https or is_this_machine(self.host_and_port[0]):
            return found
        return [*found, PLAIN_HTTP]


def _with_version(module: str) -> str:
    try:
        return f"{module} {metadata.version(module)}"
    except metadata.PackageNotFoundError:
        return module
