"""The page's style, browser modules and pictures.

Their addresses have a hash of all of them as a folder, so that a browser may keep them for a year,
and modules find each other by names beside their own.
"""

import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cache

from tabpy.tabpy_server.package_files import OUR_PAGE

FOREVER = "private, max-age=31536000, immutable"  # a year, in seconds
MODULE = "text/javascript"  # RFC 9239; Python 3.11 knows the old name


@dataclass(frozen=True)
class File:
    """A file's bytes, and what they are."""

    content: bytes
    type: str


@cache
def files() -> dict[str, File]:
    """Return all of them by name: they don't change while a server runs."""
    # Not the machine's own table, which may call a module something that no browser runs. mimetypes
    # reads it all the same, which takes longer than importing this: so it isn't made there.
    types = mimetypes.MimeTypes(filenames=())
    types.add_type(MODULE, ".js")
    return {
        each.name: File(each.read_bytes(), types.guess_type(each.name)[0] or "")
        for each in sorted(OUR_PAGE.iterdir())
        if each.is_file()
    }


@cache
def version() -> str:
    """Return what differs when one of them does."""
    digest = hashlib.sha256()
    for name, file in files().items():
        digest.update(f"{name} {len(file.content)}\n".encode() + file.content)
    return digest.hexdigest()[:16]


def address(name: str) -> str:
    """Return where a file is, below the server's root. Raises KeyError for one that isn't there."""
    assert files()[name]
    return f"static/{version()}/{name}"
