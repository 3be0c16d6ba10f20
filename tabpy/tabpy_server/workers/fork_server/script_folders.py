"""Temporary folders: each worker has one of its own, which goes when the worker does.

They lie below one folder of the server's, which the arbiter makes. What a script left can be
anything: folders a million deep, of mode 0, or swapped for links while they are removed.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "tabpy-scripts-"
ASIDE = "ended-"  # begins the name of a folder whose worker has ended


def make_root() -> Path:
    """Make the folder for all workers of this server, and remove those of servers that were
    killed. Raises OSError."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        pid = left.name.removeprefix(PREFIX).partition("-")[0]
        with contextlib.suppress(OSError):
            if left.lstat().st_uid == os.getuid() and not Path("/proc", pid).exists():
                remove(left)
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))


class ScriptFolders:
    """The folders of the workers of one fork server; none where `root` is ""."""

    def __init__(self, root: str, origin: str) -> None:
        """`root`: of `make_root`. `origin`: the fork server's name."""
        self._folder = Path(root) / origin if root else None
        self._removed = 0

    def make_root(self) -> str:
        """Make the folder that those of the workers are in; return its path. Raises OSError."""
        if self._folder is None:
            return ""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        return str(self._folder)

    def make(self, pid: int) -> str:
        """Make the folder of a worker; return its path. Raises OSError."""
        if self._folder is None:
            return ""
        self.make_root()
        folder = self._folder / f"worker-{pid}"
        folder.mkdir(mode=0o700)
        return str(folder)

    def discard(self, pid: int) -> Path | None:
        """Take away the folder of a worker that has ended. Return where it is now if something is
        in it that has to be removed."""
        if self._folder is None:
            return None
        folder = self._folder / f"worker-{pid}"
        try:
            folder.rmdir()
        except FileNotFoundError:
            return None
        except OSError:
            self._removed += 1
            aside = self._folder / f"{ASIDE}{self._removed}"
            folder.rename(aside)  # the kernel may give its number to the next worker
            return aside
        return None

    def remove_all(self) -> None:
        """Remove all that is left, at the end of the fork server."""
        if self._folder is not None:
            remove(self._folder)


def remove(folder: Path) -> None:
    """Remove a folder and all in it; what can't be removed stays, and is no error."""
    with contextlib.suppress(OSError):
        with _opened(folder.name, folder.parent) as inside:
            while _remove_a_layer(inside):
                pass
        folder.rmdir()


def _remove_a_layer(folder: int) -> bool:
    """Remove the files of an open folder, and its folders, whose own folders are moved up here: so
    no path is ever long. Return whether something was there that could be removed."""
    removed = False
    for name in os.listdir(folder):
        with contextlib.suppress(OSError):
            if not _unlinked(name, folder):
                with _opened(name, folder) as inside:
                    for inner in os.listdir(inside):  # noqa: PTH208
                        if not _unlinked(inner, inside):
                            _move_up(inner, inside, folder)
                os.rmdir(name, dir_fd=folder)
            removed = True
    return removed


def _unlinked(name: str, folder: int) -> bool:
    try:
        os.unlink(name, dir_fd=folder)
    except IsADirectoryError:
        return False
    return True


def _move_up(name: str, inside: int, folder: int) -> None:
    with _opened(name, inside):  # which makes it movable
        os.rename(name, os.urandom(8).hex(), src_dir_fd=inside, dst_dir_fd=folder)


@contextlib.contextmanager
def _opened(name: str, within: int | Path) -> Iterator[int]:
    """Open a folder, whatever its mode, and no link to one. Raises OSError."""
    flags = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    if isinstance(within, Path):
        handle = os.open(within / name, os.O_PATH | flags)
    else:
        handle = os.open(name, os.O_PATH | flags, dir_fd=within)
    try:
        itself = f"/proc/self/fd/{handle}"
        os.chmod(itself, 0o700)  # noqa: PTH101
        folder = os.open(itself, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        os.close(handle)
    try:
        yield folder
    finally:
        os.close(folder)
