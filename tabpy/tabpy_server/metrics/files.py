"""The files in which prometheus-client keeps each web process's numbers.

It maps them into memory: https://prometheus.github.io/client_python/multiprocess/
"""

import os
import shutil
import tempfile
from pathlib import Path

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # prometheus-client reads it when it's imported
KINDS = ("counter", "histogram", "gauge_livesum", "gauge_livemax")  # it has a file for each
SIZE = 1 << 18  # bytes; all routes with all methods and likely statuses are fewer


def prepare(folder: Path) -> None:
    """Make `folder` empty before the web processes are forked; if it can't be had, a temporary one.

    Scripts don't need a folder that can be written to, so metrics may not either. The temporary one
    has the same name in each run, so that the next start removes it; `folder` has to be named for
    what only one server has at a time, its port.
    """
    temporary = Path(tempfile.gettempdir(), f"tabpy-{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    found = _emptied(folder) or _emptied(temporary)
    os.environ[FOLDER] = str(found or tempfile.mkdtemp(prefix="tabpy-metrics-"))


def _emptied(folder: Path) -> Path | None:
    """Return the folder, new and for this user alone; None if somebody else has it, or a file."""
    try:
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True, mode=0o700)
    except OSError:
        return None
    return folder


def reserve() -> None:
    """Make this process's files, with their room on the disk, before it counts anything.

    Writing to a mapped file that has none, on a full disk, is SIGBUS and the end of the process.
    Raises OSError if there is no room.
    """
    for kind in KINDS:
        file = Path(os.environ[FOLDER], f"{kind}_{os.getpid()}.db")
        if file.exists() or not hasattr(os, "posix_fallocate"):
            continue  # a process that had the same number has counted in it, or not on Linux
        unfinished = file.with_suffix(".new")  # others read all that end in .db
        try:
            with unfinished.open("wb") as opened:
                os.posix_fallocate(opened.fileno(), 0, SIZE)
            unfinished.rename(file)
        finally:
            unfinished.unlink(missing_ok=True)


def forget_process(pid: int) -> None:
    """Forget what a web process that has ended had just then, but not what it has counted."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(pid)  # type: ignore[no-untyped-call]
