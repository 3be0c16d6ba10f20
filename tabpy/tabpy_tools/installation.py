"""What of the code in memory comes from installed packages, and what is somebody's own file."""

import importlib.util
import inspect
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from importlib import metadata
from pathlib import Path
from types import ModuleType

_STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib")).resolve()
_PACKAGE_FOLDERS = {"site-packages", "dist-packages"}


class Installation:
    """The packages that Python finds on this machine, as they are when it is made.

    A module is *local* when a server can't be expected to have it: it lies in a file that neither
    Python nor an installed distribution brought. An editable installation counts as local.
    """

    def local_modules(self) -> Iterator[ModuleType]:
        """Return the local ones among the modules imported so far."""
        for name, module in list(sys.modules.items()):
            if name in ("__main__", "__mp_main__") or not isinstance(module, ModuleType):
                continue
            names = vars(module)  # a lazy module would do its import on getattr()
            if self._is_local(name, names.get("__file__"), names.get("__path__")):
                yield module

    def finds_locally(self, name: str) -> bool:
        """Tell whether importing the top-level module `name` would read a local file."""
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            return False
        if spec is None:
            return False
        origin = spec.origin if spec.has_location else None
        return self._is_local(name, origin, spec.submodule_search_locations)

    def versions(self, modules: Iterable[str]) -> dict[str, str]:
        """Return the version of each distribution that has one of these top-level modules."""
        found = {}
        for module in modules:
            owners = set(self._distributions.get(module, ()))
            if len(owners) == 1:  # a namespace such as `google` belongs to many: can't tell
                owner = owners.pop()
                found[owner] = metadata.version(owner)
        return dict(sorted(found.items()))

    @cached_property
    def _distributions(self) -> Mapping[str, list[str]]:
        return _distributions(_installed())

    def _is_local(self, name: str, file: object, folders: Sequence[str] | None) -> bool:
        top_level = name.partition(".")[0]
        place = file or (next(iter(folders), None) if folders else None)
        if top_level == "tabpy" or not isinstance(place, str):
            return False
        path = Path(place).resolve()
        if _PACKAGE_FOLDERS.intersection(path.parts) or path.is_relative_to(_STANDARD_LIBRARY):
            return False
        return not any(
            _is_installed_at(metadata.distribution(owner), path)
            for owner in self._distributions.get(top_level, ())
        )


def _installed() -> tuple[tuple[str, int], ...]:
    """Return each folder that distributions are installed in, and when one was last added to it or
    removed from it."""
    folders = [Path(folder) for folder in dict.fromkeys(sys.path)]
    return tuple(
        (str(folder), folder.stat().st_mtime_ns)
        for folder in folders
        if any(folder.glob("*.dist-info")) or any(folder.glob("*.egg-info"))
    )


@lru_cache(maxsize=1)  # it takes a quarter of a second and more, and who deploys one deploys many
def _distributions(_installed: tuple[tuple[str, int], ...]) -> Mapping[str, list[str]]:
    """Return the distributions that have each top-level module."""
    if sys.version_info >= (3, 11):
        return metadata.packages_distributions()
    return _distributions_by_their_files()


def _distributions_by_their_files() -> dict[str, list[str]]:
    """Return the distributions that have each top-level module, from the lists of their files.

    What Python 3.10 gives for it knows only those that still have a `top_level.txt`.
    """
    found: dict[str, list[str]] = {}
    for distribution in metadata.distributions():
        first = {file.parts[0] for file in distribution.files or ()}
        names = {inspect.getmodulename(name) or name for name in first}
        for name in filter(str.isidentifier, names):
            found.setdefault(name, []).append(distribution.metadata["Name"])
    return found


def _is_installed_at(distribution: metadata.Distribution, path: Path) -> bool:
    """Tell whether it was installed where `path` is; source trees have metadata but no RECORD."""
    root = Path(str(distribution.locate_file(""))).resolve()
    return path.is_relative_to(root) and distribution.read_text("RECORD") is not None
