"""GET /: the page that shows a person what they have and what to type into Tableau."""

import platform
from collections.abc import Awaitable
from importlib import metadata
from pathlib import Path

from tornado.web import HTTPError, StaticFileHandler

from tabpy.tabpy_server.package_files import OUR_PAGE
from tabpy.tabpy_server.web.handlers.base import BaseHandler
from tabpy.tabpy_server.web.headers import host_and_port
from tabpy.tabpy_server.web.operation import Reply, operation
from tabpy.tabpy_server.web.schemas import ANY, HTML, TEXT

TEMPLATE = "index.html"
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)


class PageHandler(BaseHandler):
    route = "/"

    @operation("Show the page", Reply(200, "The page", TEXT, content_type=HTML))
    def get(self) -> None:
        host, port = host_and_port(self.request.host)
        ssl = self.request.protocol == "https"
        settings = self.context.settings
        self.set_header("Content-Security-Policy", POLICY)
        self.render(
            TEMPLATE,
            info=self.context.info(),
            host=host,
            port=port or (443 if ssl else 80),
            ssl=ssl,
            user=self.user,
            rights=self.person.rights,
            python_version=platform.python_version(),
            timeout=settings.evaluate_timeout,
            query_timeout=settings.query_timeout,
            workers=settings.workers * settings.web_processes,
            isolation=settings.script_isolation.words,
            confinement=self.context.confinement.words,
            preload=[_with_version(name) for name in settings.preload],
            warnings=self.context.warnings,
        )


FILE = operation(
    "Send one of the page's files",
    Reply(200, "The file", ANY, content_type="*/*"),
    Reply(206, "A part of it", ANY, content_type="*/*"),
    Reply(304, "It is as the client has it"),
    Reply(416, "There is no such part of it"),
    errors=(404,),
)
FILE(StaticFileHandler.get)  # tornado's own, which knows conditions and ranges


class FileHandler(BaseHandler, StaticFileHandler):
    """The page's style, script and pictures, closed like the page itself."""

    route = "/static"

    def initialize(self, path: str, default_filename: str | None = None) -> None:  # type: ignore[override]
        BaseHandler.initialize(self)
        StaticFileHandler.initialize(self, path, default_filename)

    @FILE
    def head(self, *parts: str) -> Awaitable[None]:
        return StaticFileHandler.head(self, *parts)  # which doesn't read the file

    def validate_absolute_path(self, root: str, absolute_path: str) -> str | None:
        """Return the file to send. Raises HTTPError 404 for none, and for the page's template."""
        try:
            file = super().validate_absolute_path(root, absolute_path)
        except ValueError:  # no file can have such a name: it has a NUL in it
            raise HTTPError(404) from None
        if file is not None and Path(file).samefile(OUR_PAGE / TEMPLATE):
            raise HTTPError(404)
        return file


def _with_version(module: str) -> str:
    try:
        return f"{module} {metadata.version(module)}"
    except metadata.PackageNotFoundError:
        return module
