"""Archives that clients on this machine put into the upload destination, TabPy's client for one."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tabpy.tabpy_server.errors import (
    DrainingError,
    InternalError,
    InvalidInputError,
    StoreUnavailableError,
    TabPyError,
)
from tabpy.tabpy_server.functions.store.opened_archive import OpenedArchive, open_archive

ARCHIVE = "pickle_archive"  # what TabPy's client calls the file in the folder it names
# A request that failed like that may be sent again as it is.
TRY_AGAIN = (DrainingError, InternalError, StoreUnavailableError)


def staged_archive(source: Any, destination: Path) -> OpenedArchive:
    """Open the archive in the folder `source`, which has to lie in the folder `destination`.

    Raises InvalidInputError for whatever else a client may name, and RefusedError for what is no
    file of the server's user.
    """
    return open_archive(_path(source, destination))


def _path(source: Any, destination: Path) -> Path:
    """Return where the archive is, whatever lies there. Raises InvalidInputError."""
    # realpath, since links could lead out of the one folder that clients may name.
    allowed = Path(os.path.realpath(destination))
    try:
        archive = Path(os.path.realpath(source)) / ARCHIVE
        is_there = os.path.lexists(archive)
    except (TypeError, ValueError, OSError):  # no string, not encodable, too long
        raise InvalidInputError("src_path is no path.", "It is the path of a folder.") from None
    if allowed not in archive.parent.parents:
        raise InvalidInputError(
            "src_path is not inside the upload destination.",
            "GET /configurations/endpoint_upload_destination says where clients on this "
            "machine put archives; others send them along.",
        )
    if not is_there:
        raise InvalidInputError(
            "There is no archive at src_path.", f"Expected a file {ARCHIVE} in it."
        )
    return archive


@contextmanager
def removing_staged(source: Any, destination: Path) -> Iterator[None]:
    """Remove the folder `source` when the archive in it has been stored or refused for good."""
    try:
        yield
    except TRY_AGAIN:
        raise
    except TabPyError:
        _remove(source, destination)
        raise
    _remove(source, destination)


def _remove(source: Any, destination: Path) -> None:
    with contextlib.suppress(InvalidInputError):
        shutil.rmtree(_path(source, destination).parent, ignore_errors=True)
