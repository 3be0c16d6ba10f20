"""Routes that take a JSON body or an upload."""

from typing import Any, NamedTuple

from tabpy.tabpy_server.errors import InvalidInputError
from tabpy.tabpy_server.functions.store.opened_archive import OpenedArchive
from tabpy.tabpy_server.functions.store.reasons import telling_full_disk
from tabpy.tabpy_server.json_codec import loads
from tabpy.tabpy_server.web.handlers.base import BaseHandler
from tabpy.tabpy_server.web.multipart import METADATA_LIMIT, Upload, malformed_upload_error


class Sent(NamedTuple):
    """What a body says, and the archive that came with it."""

    metadata: dict[str, Any]
    archive: OpenedArchive | None
    is_upload: bool

    @property
    def source(self) -> Any:
        """The `src_path` of a body that brings no archive, None without: nobody has checked it."""
        return None if self.is_upload else self.metadata.get("src_path") or None


class UploadHandler(BaseHandler):
    """A multipart body goes to disk as it comes, up to a limit of its own; others to memory, and
    are no larger than an upload's metadata."""

    def initialize(self) -> None:
        super().initialize()
        self._upload: Upload | None = None
        self._content_type = self.request.headers.get("Content-Type", "")
        is_multipart = self._content_type.lower().startswith("multipart/form-data")
        # A preflight brings no credentials, and so nothing of it goes to disk.
        self._is_upload = is_multipart and self.request.method != "OPTIONS"
        self.is_body_in_memory = not self._is_upload
        if self._is_upload:
            self.body_limit = self.context.max_upload_size
        else:
            self.body_limit = min(self.body_limit, METADATA_LIMIT)

    def keep(self, chunk: bytes) -> None:
        if not self._is_upload:
            super().keep(chunk)
            return
        if self._upload is None:
            folder = self.context.settings.state_path / "incoming"
            self._upload = Upload(self._content_type, folder)
        with telling_full_disk():
            self._upload.feed(chunk)

    def sent(self) -> Sent:
        """Return the whole body. Raises InvalidInputError, and DiskFullError."""
        body = self.whole_body()
        if not self._is_upload:
            return Sent(_json_object(body.whole()), None, is_upload=False)
        if self._upload is None:
            raise malformed_upload_error("it is empty")
        with telling_full_disk():
            parts = self._upload.finish()  # "cut off" says more than what is missing then
        return Sent(_json_object(parts.metadata), parts.archive, is_upload=True)

    def on_finish(self) -> None:
        super().on_finish()
        self._discard()

    def on_connection_close(self) -> None:
        super().on_connection_close()
        if self._upload is not None and not self._upload.complete:
            self._discard()  # a whole one is being deployed, whoever still waits for that

    def _discard(self) -> None:
        if self._upload is not None:
            self._upload.discard()


def _json_object(text: bytes) -> dict[str, Any]:
    try:
        found = loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError("Request body is not valid JSON.", str(error)) from None
    if not isinstance(found, dict):
        raise InvalidInputError("Request body is not a JSON object.", 'Expected {"name": ...}.')
    return found
