"""GET /: how the server is, and what needs somebody."""

import platform
from importlib import metadata
from typing import Any

from tabpy.tabpy_server.web.page import navigation
from tabpy.tabpy_server.web.page.view import ViewHandler


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
            "python_version": platform.python_version(),
            "timeout": settings.evaluate_timeout,
            "query_timeout": settings.query_timeout,
            "workers": settings.workers * settings.web_processes,
            "isolation": settings.script_isolation.words,
            "confinement": context.confinement.words,
            "preload": [_with_version(name) for name in settings.preload],
            "warnings": context.warnings,
        }


def _with_version(module: str) -> str:
    try:
        return f"{module} {metadata.version(module)}"
    except metadata.PackageNotFoundError:
        return module
