"""The base of what an archive holds; every pickle of TabPy's client names this module."""

import abc
import shutil
from pathlib import Path
from typing import Any, TypeVar

ARCHIVE_NAME = "pickle_archive"

_Object = TypeVar("_Object", bound="QueryObject")


class QueryObject(abc.ABC):
    """Something to deploy: it answers queries and describes itself.

    The class's place and the names of its attributes are part of the archive's format: TabPy's
    client pickles it by reference. So nothing here may be needed that an old archive lacks.
    """

    description: str = ""

    def __init__(self, description: str = "") -> None:
        self.description = description

    @abc.abstractmethod
    def query(self, *args: Any, **kwargs: Any) -> Any:
        """Answer one query."""

    @abc.abstractmethod
    def get_docstring(self) -> str:
        """Return what `GET /endpoints` shows as `docstring`."""

    @abc.abstractmethod
    def get_methods(self) -> list[dict[str, Any]]:
        """Return the methods that can be called, as `{"method": name}`."""

    def get_dependencies(self) -> list[str]:
        """Return the names of the endpoints this one calls, as far as it says so."""
        return []

    def save(self, path: str | Path) -> None:
        """Write the archive into the folder `path`, in place of what is there."""
        from tabpy.tabpy_tools.pickler import Pickler

        folder = Path(path)
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder)
        else:
            folder.unlink(missing_ok=True)
        folder.mkdir(parents=True)
        with (folder / ARCHIVE_NAME).open("wb") as file:
            Pickler(file).dump(self)

    @classmethod
    def load(cls: type[_Object], path: str | Path) -> _Object:
        """Load the object in an archive's folder. This runs its code: only load what you trust."""
        import cloudpickle

        with (Path(path).expanduser() / ARCHIVE_NAME).open("rb") as file:
            loaded = cloudpickle.load(file)
        if not isinstance(loaded, cls):
            raise TypeError(f"{path} holds a {type(loaded).__name__}, not a {cls.__name__}.")
        return loaded
