"""On a node: archives as files by their SHA-256, for all workers there, whoever's server they are.

What is in such a file is looked at by who loads it, so a wrong one does no harm: it is asked for
again.
"""

import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

FORGET_AFTER = 7 * 24 * 3600.0  # seconds since a file was used


class NodeArchives:
    """The files of one user on one node."""

    def __init__(self) -> None:
        """Make the folder, and remove what nobody has used for long. Raises OSError if somebody
        else has it."""
        self.folder = Path(tempfile.gettempdir()) / f"tabpy-archives-{os.getuid()}"
        self.folder.mkdir(mode=0o700, exist_ok=True)
        about = self.folder.lstat()
        if about.st_uid != os.getuid() or about.st_mode & 0o077 or self.folder.is_symlink():
            raise PermissionError(f"{self.folder} isn't this user's alone")
        for file in self.folder.iterdir():
            with contextlib.suppress(OSError):  # another worker's seat does the same
                if file.stat().st_mtime < time.time() - FORGET_AFTER:
                    file.unlink()

    def path(self, sha256: str) -> Path:
        """Return where an archive is, if it's there."""
        return self.folder / sha256

    def keep(self, sha256: str, fetch: Callable[[], bytes], *, anew: bool) -> None:
        """Have an archive's file there. `anew`: the one that is there isn't whole."""
        path = self.path(sha256)
        if not anew:
            with contextlib.suppress(OSError):
                os.utime(path)
                return
        handle, name = tempfile.mkstemp(dir=self.folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(fetch())
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
