"""An archive on its way into the store: opened once, so that its name doesn't matter any more.

A script may run as the same user as the server, and put something else under that name at any
moment: a symbolic link to a secret, a FIFO that nobody ever writes to, another person's function.
"""

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple

from tabpy.tabpy_server.errors import RefusedError

# A link isn't followed, and a FIFO doesn't block. Windows has neither flag, but one for bytes.
_NO_FOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT: int = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class Stored(NamedTuple):
    """An archive's SHA-256, and its size in bytes."""

    sha256: str
    size: int


class OpenedArchive:
    """An archive's open file; `path` is its name, for the worker that tries to load it."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.file = file
        self.stored = Stored("", 0)

    def measure(self) -> None:
        """Find out what it will be stored as. Reads all of it, so it belongs on a thread."""
        size = os.fstat(self.file.fileno()).st_size
        self.stored = Stored("", size)
        digest = hashlib.sha256()
        for data in self.parts(1 << 20):
            digest.update(data)
        self.stored = Stored(digest.hexdigest(), size)

    def parts(self, size: int) -> Iterator[bytes]:
        """Yield its bytes, up to the measured size, in parts of `size` bytes."""
        self.file.seek(0)
        left = self.stored.size
        while left and (data := self.file.read(min(size, left))):
            left -= len(data)
            yield data

    def check_name(self) -> None:
        """Refuse it if its name leads to something else by now."""
        try:
            found = self.path.stat()
        except OSError:
            raise changed_archive_error() from None
        if not os.path.samestat(found, os.fstat(self.file.fileno())):
            raise changed_archive_error()

    def close(self) -> None:
        self.file.close()

    def __enter__(self) -> "OpenedArchive":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def open_archive(path: Path) -> OpenedArchive:
    """Open what a client or a worker has written.

    Raises RefusedError for all but a regular file without other names that belongs to the server's
    user (or root, who may write anywhere anyway).
    """
    archive = OpenedArchive(path, _open(path, opener=unfollowed))
    found = os.fstat(archive.file.fileno())
    foreign = hasattr(os, "geteuid") and found.st_uid not in (os.geteuid(), 0)
    if found.st_nlink != 1 or foreign:
        archive.close()
        raise _unusable("it belongs to another user" if foreign else "it has several names")
    return archive


def open_operators(path: Path) -> OpenedArchive:
    """Open a file that the operator put there: links are fine, and so is any owner. Raises
    RefusedError for what is no file."""
    return OpenedArchive(path, _open(path, opener=_unblocked))


@contextmanager
def copied(original: OpenedArchive, folder: Path) -> Iterator[OpenedArchive]:
    """Have a copy in `folder`, from which workers may load it and which they can't change. Raises
    OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as copy:
            original.file.seek(0)
            shutil.copyfileobj(original.file, copy)
        with open_archive(Path(name)) as archive:
            yield archive
    finally:
        remove(Path(name))


def remove(path: Path) -> None:
    """Remove whatever has that name: scripts may have put something else there."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        shutil.rmtree(path, ignore_errors=True)  # which follows no links


def unfollowed(path: str, flags: int) -> int:
    """Open as `os.open` does, but no symbolic link, and don't wait for a FIFO; for `open`."""
    return os.open(path, flags | _NO_FOLLOW | _NO_WAIT, 0o600)


def changed_archive_error() -> RefusedError:
    """Return the error for an archive that is another one than the one that came."""
    return RefusedError("The archive was changed while it was checked.", "Deploy it again.")


def _unblocked(path: str, flags: int) -> int:
    return os.open(path, flags | _NO_WAIT)


def _open(path: Path, opener: Callable[[str, int], int]) -> BinaryIO:
    try:
        file = open(path, "rb", opener=opener)  # noqa: SIM115 - with flags; whoever asked closes it
    except IsADirectoryError:
        raise _unusable("it is a folder") from None
    except OSError as error:
        raise _unusable(error.strerror or "it can't be opened") from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise _unusable("it is no regular file")
    return file


def _unusable(why: str) -> RefusedError:
    return RefusedError(
        "The archive can't be used.",
        f"Expected a regular file of the server's user, with one name: {why}.",
    )
