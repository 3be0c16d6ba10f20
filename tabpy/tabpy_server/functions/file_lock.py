"""A lock that is a file's: one web process of a machine has it at a time."""

import asyncio
import contextlib
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

from tabpy.tabpy_server.functions.store.opened_archive import remove, unfollowed

if sys.platform != "win32":
    import fcntl


@asynccontextmanager
async def locked(file: Path, interval: float) -> AsyncIterator[None]:
    """Wait for the lock, looking every `interval` seconds, and hold it as long as the context."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _open(file) as held:  # the kernel lets go of it when this process dies
        while not _lock(held):  # noqa: ASYNC110 - it's other processes that are waited for
            await asyncio.sleep(interval)  # not on a thread, which can't be cancelled
        yield


def _lock(file: BinaryIO) -> bool:
    """Say whether nobody else has the lock, which is ours then. On Windows there is one web
    process."""
    if sys.platform != "win32":
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _open(file: Path) -> BinaryIO:
    """Open a file to lock, in place of whatever else a script may have put there."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(file.lstat().st_mode):
            remove(file)
    return open(file, "ab", opener=unfollowed)
