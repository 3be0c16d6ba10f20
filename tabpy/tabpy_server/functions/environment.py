"""What loading a stored function depends on besides its archive."""

import contextlib
import hashlib
import os
import platform
import sys
from collections.abc import Iterator

INSTALLED = (".dist-info", ".egg-info")  # ends of the names of folders and files: NAME-VERSION


def environment(server_version: str) -> str:
    """Return a short text that is another one when Python, a package's version, the server's
    version or the kind of machine has changed.

    Takes a millisecond: packages are known by the names of what pip has left, which isn't read.
    """
    facts = (
        platform.python_implementation(),
        platform.python_version(),
        platform.system(),
        platform.machine(),
        server_version,
        *sorted(set(_installed())),
    )
    return hashlib.sha256("\n".join(facts).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _installed() -> Iterator[str]:
    for folder in sys.path:
        with contextlib.suppress(OSError), os.scandir(folder or ".") as found:
            yield from (each.name for each in found if each.name.endswith(INSTALLED))
