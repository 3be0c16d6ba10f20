"""GET /: the page that shows a person what they have and what to type into Tableau."""

import platform
from importlib import metadata
from urllib.parse import urlsplit

from tornado.web import StaticFileHandler

from tabpy.tabpy_server.web.handlers.base import BaseHandler

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)


class PageHandler(BaseHandler):
    route = "/"

    def get(self) -> None:
        address = urlsplit(f"//{self.request.host}")
        ssl = self.request.protocol == "https"
        settings = self.context.settings
        self.set_header("Content-Security-Policy", POLICY)
        self.render(
            "index.html",
            info=self.context.info(),
            host=address.hostname or "",
            port=address.port or (443 if ssl else 80),
            ssl=ssl,
            user=self.user,
            python_version=platform.python_version(),
            timeout=settings.evaluate_timeout,
            workers=settings.workers * settings.web_processes,
            preload=[_with_version(name) for name in settings.preload],
            warnings=[self.context.loses_functions] if self.context.loses_functions else [],
        )


class FileHandler(BaseHandler, StaticFileHandler):
    """The page's style, script and pictures, closed like the page itself."""

    route = "/static"

    def initialize(self, path: str, default_filename: str | None = None) -> None:  # type: ignore[override]
        BaseHandler.initialize(self)
        StaticFileHandler.initialize(self, path, default_filename)


def _with_version(module: str) -> str:
    try:
        return f"{module} {metadata.version(module)}"
    except metadata.PackageNotFoundError:
        return module
