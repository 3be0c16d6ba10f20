"""Routes that take a JSON body or an upload."""

from pathlib import Path
from typing import Any, NamedTuple

from tabpy.tabpy_server.errors import InvalidInputError
from tabpy.tabpy_server.functions.store.opened_archive import OpenedArchive
from tabpy.tabpy_server.functions.store.reasons import telling_full_disk
from tabpy.tabpy_server.json_codec import loads
from tabpy.tabpy_server.web.handlers.base import BaseHandler
from tabpy.tabpy_server.web.multipart import METADATA_LIMIT, Parts, Upload, malformed_upload_error


class Sent(NamedTuple):
    """What a body says, and the archive that came with it."""

    metadata: dict[str, Any]
    archive: OpenedArchive | None
    is_upload: bool

    @property
    def source(self) -> Any:
        """The `src_path` of a body that brings no archive, None without: nobody has checked it."""
        return None if self.is_upload else self.metadata.get("src_path") or None


class UploadBody:
    """Writes a multipart body to `folder` as it comes."""

    def __init__(self, content_type: str, folder: Path) -> None:
        self._content_type, self._folder = content_type, folder
        self._upload: Upload | None = None

    def keep(self, piece: bytes) -> None:
        if self._upload is None:
            self._upload = Upload(self._content_type, self._folder)
        with telling_full_disk():
            self._upload.feed(piece)

    def finish(self) -> Parts:
        """Return what has come. Raises InvalidInputError, and DiskFullError."""
        if self._upload is None:
            raise malformed_upload_error("it is empty")
        with telling_full_disk():
            return self._upload.finish()

    def drop(self) -> None:
        # A whole one is being deployed, whoever still waits for that.
        if self._upload is not None and not self._upload.complete:
            self._upload.discard()

    def discard(self) -> None:
        """Remove what has been written."""
        if self._upload is not None:
            self._upload.discard()


class UploadHandler(BaseHandler):
    """A multipart body goes to disk as it comes, up to a limit of its own; others to memory, and
    are no larger than an upload's metadata."""

    def initialize(self) -> None:
        visit, content_type = self.visit, self.visit.headers.content_type
        self._upload: UploadBody | None = None
        # A preflight brings no credentials, and so nothing of it goes to disk.
        if content_type.lower().startswith("multipart/form-data") and visit.method != "OPTIONS":
            folder = self.context.settings.state_path / "incoming"
            visit.body = self._upload = UploadBody(content_type, folder)
            visit.body_limit = self.context.max_upload_size
        else:
            visit.body_limit = min(visit.body_limit, METADATA_LIMIT)

    def sent(self) -> Sent:
        """Return the whole body. Raises InvalidInputError, and DiskFullError."""
        if self._upload is None:
            return Sent(_json_object(b"".join(self.whole_body())), None, is_upload=False)
        self.visit.end_body()
        parts = self._upload.finish()
        return Sent(_json_object(parts.metadata), parts.archive, is_upload=True)

    def on_finish(self) -> None:
        super().on_finish()
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
