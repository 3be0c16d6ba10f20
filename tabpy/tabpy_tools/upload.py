"""The body of a deploy request: metadata and archive in one stream, with progress to look at."""

import secrets
import sys
from collections.abc import Iterator
from typing import IO, Any

from tabpy.tabpy_tools.jsonable import dumps

_WORTH_A_BAR = 5 * 1024 * 1024

# One write must fit into the connection's timeout of ten seconds even on a slow line.
_CHUNK = 64 * 1024


class Upload:
    """`multipart/form-data` of a part `metadata` (JSON) and a part `archive` (the file).

    Has a length, so that it is sent with Content-Length; each iteration reads the file anew.
    """

    def __init__(self, metadata: dict[str, Any], archive: IO[bytes], size: int) -> None:
        boundary = secrets.token_hex(16)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._archive = archive
        self._size = size
        self._head = b"".join(
            (
                f"--{boundary}\r\n".encode(),
                b'Content-Disposition: form-data; name="metadata"\r\n',
                b"Content-Type: application/json\r\n\r\n",
                dumps(metadata),
                f"\r\n--{boundary}\r\n".encode(),
                b'Content-Disposition: form-data; name="archive"; filename="pickle_archive"\r\n',
                b"Content-Type: application/octet-stream\r\n\r\n",
            )
        )
        self._tail = f"\r\n--{boundary}--\r\n".encode()

    def __len__(self) -> int:
        return len(self._head) + self._size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        self._archive.seek(0)
        if self._size > _WORTH_A_BAR and _is_watched():
            yield from self._chunks_with_bar()
        else:
            yield from self._chunks()
        yield self._tail

    def _chunks(self) -> Iterator[bytes]:
        while chunk := self._archive.read(_CHUNK):
            yield chunk

    def _chunks_with_bar(self) -> Iterator[bytes]:
        from tqdm import tqdm

        with tqdm(total=self._size, unit="B", unit_scale=True, desc="Uploading") as bar:
            for chunk in self._chunks():
                yield chunk
                bar.update(len(chunk))


def _is_watched() -> bool:
    """Tell whether somebody looks: standard error is a terminal, or this runs in a notebook."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules
