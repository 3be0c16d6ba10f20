"""A function made an archive: the bytes that a server unpickles, and what they rely on."""

import dis
import platform
import tempfile
import threading
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import cloudpickle

from tabpy.tabpy_tools.custom_query_object import CustomQueryObject
from tabpy.tabpy_tools.installation import Installation
from tabpy.tabpy_tools.left_out import needed, without_unpicklable
from tabpy.tabpy_tools.local_files import named_in
from tabpy.tabpy_tools.unpicklable import MACHINERY, culprit

# In every archive, whatever the function does.
_MACHINERY = ("tabpy", "cloudpickle")

# cloudpickle keeps the modules to take along in one registry for the whole process.
_registry = threading.Lock()


@dataclass(frozen=True)
class Archive:
    """An open file with the pickle of a `CustomQueryObject`, and what its code refers to.

    `packages` maps distributions to the versions here; it knows those whose functions, classes or
    modules were met on the way, or are imported inside a function.
    """

    file: IO[bytes]
    size: int
    python: str
    packages: dict[str, str]


@contextmanager
def archived(query_object: CustomQueryObject) -> Iterator[Archive]:
    """Pickle into a temporary file, open until the block ends.

    Code from modules that aren't installed packages goes into the archive, since the server won't
    have them; what can't be pickled in such a module and isn't needed stays behind. Warns of what
    the server won't have: modules whose import runs with the function, and files that it names.
    Raises TypeError that names what can't be pickled.
    """
    installation = Installation()
    with tempfile.TemporaryFile() as file:
        with _registry, _taken_along(installation):
            pickler = _pickled(query_object, file)
        for module in sorted(filter(installation.finds_locally, pickler.imported_inside)):
            warnings.warn(
                f"{_title(query_object.custom_query)} imports {module!r} when it runs, which is a "
                "file of this machine that the server doesn't have: import it at the top of the "
                "notebook or module instead, and it is deployed along.",
                stacklevel=4,
            )
        for path in sorted(pickler.local_files):
            warnings.warn(
                f"{_title(query_object.custom_query)} names {path!r}, a file of this machine that "
                "the server doesn't have: read it before, into a variable that the function uses, "
                "and what was read is deployed along.",
                stacklevel=4,
            )
        size = file.tell()
        file.seek(0)
        packages = installation.versions(pickler.modules | pickler.imported_inside)
        code = {name: version for name, version in packages.items() if name not in _MACHINERY}
        yield Archive(file, size, platform.python_version(), code)


def _pickled(query_object: CustomQueryObject, file: IO[bytes]) -> "_Pickler":
    """Pickle into the file, and return the pickler. Raises TypeError that names what can't be."""
    pickler = _Pickler(file)
    try:
        pickler.dump(query_object)
    except Exception:  # noqa: BLE001 - the objects' own reducers raise what they like
        file.seek(0)
        file.truncate()
    else:
        return pickler
    title = _title(query_object.custom_query)
    careful = _CarefulPickler(file, {})
    try:
        careful.dump(query_object)
    except Exception as error:
        why = culprit(query_object, error, careful.another)
        raise TypeError(f"{title} can't be deployed: {why}") from error
    if missing := careful.missing():
        raise TypeError(f"{title} can't be deployed without {missing}")
    return careful


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle publishes no types
    """cloudpickle's, noting the top-level modules it meets, and good at modules in circles."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.modules: set[str] = set()
        self.imported_inside: set[str] = set()
        self.local_files: set[str] = set()

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, types.ModuleType):
            self._note(obj.__name__)
            return self._module(obj)
        reduced = super().reducer_override(obj)
        if isinstance(obj, type | types.FunctionType | types.BuiltinFunctionType):
            self._note(obj.__module__)
        if isinstance(obj, types.FunctionType) and reduced is not NotImplemented:
            self.imported_inside.update(_imports(obj.__code__))
            self.local_files.update(named_in(obj))
        return reduced

    def _note(self, module: object) -> None:
        if isinstance(module, str):
            self.modules.add(module.partition(".")[0])

    def _module(self, module: types.ModuleType) -> Any:
        """Take a module along: make it first and fill it then, since its parts may refer to it."""
        if module.__name__ not in cloudpickle.list_registry_pickle_by_value():
            return NotImplemented
        return types.ModuleType, (module.__name__,), self._globals(module)

    def _globals(self, module: types.ModuleType) -> dict[str, Any]:
        return {name: value for name, value in vars(module).items() if name not in MACHINERY}


class _CarefulPickler(_Pickler):
    """Leaves out of the modules that it takes along what can't be pickled.

    `modules` has what it takes along of each, and is shared with those that try a part.
    """

    def __init__(self, file: IO[bytes], modules: dict[str, dict[str, Any]]) -> None:
        super().__init__(file)
        self._modules = modules
        self._functions: list[types.FunctionType] = []

    def another(self, file: IO[bytes]) -> "_CarefulPickler":
        return _CarefulPickler(file, self._modules)

    def missing(self) -> str | None:
        """Return what one of the functions names of what was left out, and why it was."""
        return needed(self._functions, self._modules)

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, types.FunctionType):
            self._functions.append(obj)
        return super().reducer_override(obj)

    def _globals(self, module: types.ModuleType) -> dict[str, Any]:
        name = module.__name__
        if name not in self._modules:
            self._modules[name] = {}  # what leads back to it is no reason to leave something out
            everything = super()._globals(module)
            self._modules[name] = without_unpicklable(name, everything, self.another)
        return self._modules[name]


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


def _imports(code: types.CodeType) -> Iterator[str]:
    """Yield the top-level modules that the code, or a function in it, imports by absolute name."""
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IMPORT_NAME" and (top := instruction.argval.partition(".")[0]):
            yield top
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _imports(constant)


def _title(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)
