"""Archives as files, from which script workers load them. The folder is all web processes'."""

import asyncio
import contextlib
import os
import stat
import tempfile
import time
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from weakref import WeakValueDictionary

from tabpy.tabpy_server.errors import RefusedError
from tabpy.tabpy_server.functions.store.opened_archive import open_archive, remove

FORGET_AFTER = 3600.0  # seconds that a file stays which nobody is known to use: it may be new


class ArchiveFiles:
    """Files by the SHA-256 of what is in them, fetched from the store when first asked for."""

    def __init__(self, folder: Path, fetch: Callable[[str, Path], Awaitable[None]]) -> None:
        """`fetch` writes an archive to a file. Raises LookupError for one that can't be had."""
        self._folder = folder
        self._fetch = fetch
        # Weak, so that a lock lives as long as somebody holds it or waits for it.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def get(self, sha256: str, *, damaged: bool = False) -> Path:
        """Return an archive's file; if somebody found it `damaged`, it's looked at again and, if
        need be, replaced. Raises what fetching raises."""
        path = self._folder / sha256
        if damaged or not _touch(path):
            lock = self._locks.setdefault(sha256, asyncio.Lock())
            async with lock:
                if not await asyncio.to_thread(_is_whole, path):
                    await self._replace(path)
        return path

    async def remove_unused(self, used: Collection[str]) -> None:
        """Remove the files of all other archives, and what a killed server left half written; not
        young ones, which somebody may be writing or have just deployed."""
        await asyncio.to_thread(remove_old_files, self._folder, used)

    async def _replace(self, path: Path) -> None:
        temporary = await asyncio.to_thread(_new_file, self._folder)
        try:
            await self._fetch(path.name, temporary)
            await asyncio.to_thread(_rename, temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def remove_old_files(folder: Path, used: Collection[str] = ()) -> None:
    """Remove the files of a folder that haven't been written to for `FORGET_AFTER`, except those
    whose names are in `used`."""
    with contextlib.suppress(OSError), os.scandir(folder) as files:  # it may not be there yet
        for file in files:
            with contextlib.suppress(OSError):  # another web process does the same at this moment
                if file.name not in used and file.stat().st_mtime < time.time() - FORGET_AFTER:
                    Path(file).unlink()


def _rename(file: Path, path: Path) -> None:
    try:
        file.replace(path)
    except OSError:  # a folder, which a file can't replace
        remove(path)
        file.replace(path)


def _touch(path: Path) -> bool:
    """Make a file young again, since somebody is about to use it; false if there is none."""
    try:
        os.utime(path)
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _new_file(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(dir=folder)
    os.close(descriptor)
    return Path(name)


def _is_whole(path: Path) -> bool:
    try:
        with open_archive(path) as archive:
            archive.measure()
            return archive.stored.sha256 == path.name
    except (OSError, RefusedError):
        return False
