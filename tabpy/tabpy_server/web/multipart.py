"""A request that carries a deployment's metadata and its archive together, taken in as it comes."""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError, MultipartParseError
from python_multipart.multipart import parse_options_header

from tabpy.tabpy_server.errors import InvalidInputError
from tabpy.tabpy_server.functions.store.opened_archive import OpenedArchive, remove

METADATA_LIMIT = 4 << 20  # bytes
METADATA, ARCHIVE = "metadata", "archive"


class Parts(NamedTuple):
    """What an upload brought: JSON, and its archive, if there was one."""

    metadata: bytes
    archive: OpenedArchive | None


class Upload:
    """The two parts of a multipart/form-data body: `metadata` (JSON, kept in memory) and `archive`
    (written to a file in `folder`, which `discard` removes)."""

    def __init__(self, content_type: str, folder: Path) -> None:
        """Raises InvalidInputError for a content type without a boundary, or with one too long."""
        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if not boundary:
            raise malformed_upload_error("its Content-Type names no boundary")
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._header_field,
                    "on_header_value": self._header_value,
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._headers_finished,
                    "on_part_data": self._data,
                    "on_end": self._end,
                },
            )
        except FormParserError:
            raise malformed_upload_error("its boundary is too long") from None
        self._folder = folder
        self._archive: OpenedArchive | None = None
        self._part = ""
        self._header = (b"", b"")
        self.complete = False
        self._seen: set[str] = set()
        self._metadata = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Take in the next piece. Raises InvalidInputError."""
        try:
            self._parser.write(chunk)
        except MultipartParseError as error:
            raise malformed_upload_error(str(error)) from None

    def finish(self) -> Parts:
        """Return what came. Raises InvalidInputError for a body that is cut off."""
        if not self.complete:
            raise malformed_upload_error("it ends before its last boundary")
        if METADATA not in self._seen:
            raise malformed_upload_error(f"it has no part '{METADATA}'")
        if self._archive is not None:
            self._archive.file.flush()
        return Parts(bytes(self._metadata), self._archive)

    def discard(self) -> None:
        """Remove the archive's file."""
        if self._archive is not None:
            archive, self._archive = self._archive, None
            with contextlib.suppress(OSError):  # what a full disk hasn't taken
                archive.close()
            remove(archive.path)

    def _begin(self) -> None:
        self._part = ""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header = (self._header[0] + data[start:end], self._header[1])

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header = (self._header[0], self._header[1] + data[start:end])

    def _header_end(self) -> None:
        name, value = self._header
        self._header = (b"", b"")
        if name.lower() == b"content-disposition":
            self._part = parse_options_header(value)[1].get(b"name", b"").decode("latin-1")

    def _headers_finished(self) -> None:
        if self._part not in (METADATA, ARCHIVE) or self._part in self._seen:
            raise malformed_upload_error(
                f"it has a part '{self._part[:40]}' that isn't expected there"
            )
        self._seen.add(self._part)
        if self._part == ARCHIVE:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor, name = tempfile.mkstemp(dir=self._folder)
            self._archive = OpenedArchive(Path(name), os.fdopen(descriptor, "w+b"))

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._part == ARCHIVE:
            assert self._archive is not None
            self._archive.file.write(memoryview(data)[start:end])
            return
        self._metadata += memoryview(data)[start:end]
        if len(self._metadata) > METADATA_LIMIT:
            raise malformed_upload_error(f"its metadata is larger than {METADATA_LIMIT} bytes")

    def _end(self) -> None:
        self.complete = True


def malformed_upload_error(problem: str) -> InvalidInputError:
    """Return the error that says what is wrong with an upload."""
    return InvalidInputError(
        "The upload can't be read.",
        f"As multipart/form-data, {problem}: send the parts 'metadata' (JSON) and 'archive'.",
    )
