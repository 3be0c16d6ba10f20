"""GET /static/…: the page's own files, or a folder of somebody's own in its place."""

from collections.abc import Awaitable

from tornado.web import HTTPError, StaticFileHandler

from tabpy.tabpy_server.web.handlers.base import BaseHandler
from tabpy.tabpy_server.web.operation import Reply, operation
from tabpy.tabpy_server.web.page import files
from tabpy.tabpy_server.web.schemas import ANY

FILE = operation(
    "Send a file of somebody's own",
    Reply(200, "The file", ANY, content_type="*/*"),
    Reply(206, "A part of it", ANY, content_type="*/*"),
    Reply(304, "It is as the client has it"),
    Reply(416, "There is no such part of it"),
    errors=(404,),
)
FILE(StaticFileHandler.get)  # tornado's own, which knows conditions and ranges


class FileHandler(BaseHandler):
    """The page's style, modules and pictures, closed like the page itself."""

    route = "/static"

    @operation(
        "Send one of the page's files",
        Reply(200, "The file", ANY, content_type="*/*"),
        errors=(404,),
    )
    def get(self, path: str) -> None:
        folder, _, name = path.rpartition("/")
        file = files.files().get(name)
        if file is None:
            raise HTTPError(404)
        if folder == files.version():  # by an older address, the browser had better ask again
            self.set_header("Cache-Control", files.FOREVER)
        self.set_header("Content-Type", file.type)
        self.finish(file.content)


class OwnFileHandler(BaseHandler, StaticFileHandler):
    """Pages of somebody's own, as they are."""

    route = "/static"

    def initialize(self, path: str, default_filename: str | None = None) -> None:  # type: ignore[override]
        BaseHandler.initialize(self)
        StaticFileHandler.initialize(self, path, default_filename)

    @FILE
    def head(self, *parts: str) -> Awaitable[None]:
        return StaticFileHandler.head(self, *parts)  # which doesn't read the file

    def validate_absolute_path(self, root: str, absolute_path: str) -> str | None:
        """Return the file to send. Raises HTTPError 404 for none."""
        try:
            return super().validate_absolute_path(root, absolute_path)
        except ValueError:  # no file can have such a name: it has a NUL in it
            raise HTTPError(404) from None
