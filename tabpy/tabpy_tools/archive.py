"""A function made an archive: the bytes that a server unpickles, and what they rely on."""

import platform
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import cloudpickle

from tabpy.tabpy_tools.careful_pickler import pickled, title_of
from tabpy.tabpy_tools.custom_query_object import CustomQueryObject
from tabpy.tabpy_tools.installation import Installation
from tabpy.tabpy_tools.remarks import warn

# In every archive, whatever the function does.
_MACHINERY = ("tabpy", "cloudpickle")

# cloudpickle keeps the modules to take along in one registry for the whole process.
_registry = threading.Lock()


@dataclass(frozen=True)
class Archive:
    """An open file with the pickle of a `CustomQueryObject`, and what its code refers to.

    `packages` maps distributions to the versions here; it knows those whose functions, classes or
    modules were met on the way, or are imported inside a function. `compiled` names the functions
    that only this minor version of Python can load, since their text isn't known; `changed_files`
    are those in which it probably was.
    """

    file: IO[bytes]
    size: int
    python: str
    packages: dict[str, str]
    compiled: list[str]
    changed_files: list[str]


@contextmanager
def archived(query_object: CustomQueryObject) -> Iterator[Archive]:
    """Pickle into a temporary file, open until the block ends.

    Code from modules that aren't installed packages goes into the archive, since the server won't
    have them; what can't be pickled in such a module and isn't needed stays behind. Warns of what
    the server won't have: modules whose import runs with the function, and files that it names.
    Warns of open files, too, since all that is in them travels.
    Raises TypeError that names what can't be pickled.
    """
    installation = Installation()
    with tempfile.TemporaryFile() as file:
        with _registry, _taken_along(installation):
            pickler = pickled(query_object, file)
        for module in sorted(filter(installation.finds_locally, pickler.imported_inside)):
            warn(
                f"{title_of(query_object)} imports {module!r} when it runs, which is a "
                "file of this machine that the server doesn't have: import it at the top of the "
                "notebook or module instead, and it is deployed along."
            )
        for path in sorted(pickler.local_files):
            warn(
                f"{title_of(query_object)} names {path!r}, a file of this machine that "
                "the server doesn't have: read it before, into a variable that the function uses, "
                "and what was read is deployed along."
            )
        for path in sorted(pickler.open_files):
            warn(
                f"{title_of(query_object)} takes the open file {path!r} along, and all that is in "
                "it is deployed: read before what the function needs of it, into a variable that "
                "the function uses, and only that is deployed along."
            )
        size = file.tell()
        file.seek(0)
        packages = installation.versions(pickler.modules | pickler.imported_inside)
        code = {name: version for name, version in packages.items() if name not in _MACHINERY}
        yield Archive(
            file,
            size,
            platform.python_version(),
            code,
            sorted(pickler.compiled),
            sorted(pickler.changed_files),
        )


@contextmanager
def _taken_along(installation: Installation) -> Iterator[None]:
    """Have cloudpickle pickle by value what comes from local modules."""
    already = cloudpickle.list_registry_pickle_by_value()
    registered = [
        module for module in installation.local_modules() if module.__name__ not in already
    ]
    for module in registered:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in registered:
            cloudpickle.unregister_pickle_by_value(module)
