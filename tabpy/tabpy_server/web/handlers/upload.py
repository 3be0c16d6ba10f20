"""Routes that take a JSON body or an upload."""

from typing import Any

from tabpy.tabpy_server.errors import RequestError
from tabpy.tabpy_server.json_codec import loads
from tabpy.tabpy_server.web.handlers.base import BaseHandler
from tabpy.tabpy_server.web.multipart import Upload, malformed


class UploadHandler(BaseHandler):
    """A multipart body goes to disk as it comes, up to a limit of its own; others to memory."""

    def initialize(self) -> None:
        super().initialize()
        self.upload: Upload | None = None
        self._content_type = self.request.headers.get("Content-Type", "")
        self._is_upload = self._content_type.lower().startswith("multipart/form-data")
        if self._is_upload:
            self.body_limit = self.context.max_upload_size

    def keep(self, chunk: bytes) -> None:
        if not self._is_upload:
            super().keep(chunk)
            return
        if self.upload is None:
            folder = self.context.settings.state_path / "incoming"
            self.upload = Upload(self._content_type, folder)
        self.upload.feed(chunk)

    def metadata(self) -> dict[str, Any]:
        """The JSON object of the body. Raises RequestError 400."""
        body = self.whole_body()
        if self._is_upload and self.upload is None:
            raise malformed("it is empty")
        if self.upload is not None:
            self.upload.finish()  # "cut off" says more than what is missing then
        text = self.upload.metadata if self.upload is not None else b"".join(body)
        try:
            found = loads(text)
        except (ValueError, RecursionError) as problem:
            raise RequestError(400, "Request body is not valid JSON.", str(problem)) from None
        if not isinstance(found, dict):
            raise RequestError(400, "Request body is not a JSON object.", 'Expected {"name": ...}.')
        return found

    def on_finish(self) -> None:
        super().on_finish()
        self._discard()

    def on_connection_close(self) -> None:
        super().on_connection_close()
        if self.upload is not None and not self.upload.complete:
            self._discard()  # a whole one is being deployed, whoever still waits for that

    def _discard(self) -> None:
        if self.upload is not None:
            self.upload.discard()
