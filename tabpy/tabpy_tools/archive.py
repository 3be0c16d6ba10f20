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

from tabpy.tabpy_tools import reducers
from tabpy.tabpy_tools.custom_query_object import CustomQueryObject
from tabpy.tabpy_tools.function_text import PYTHON, bytecode, rebuilt
from tabpy.tabpy_tools.generated_classes import portable
from tabpy.tabpy_tools.installation import Installation
from tabpy.tabpy_tools.text_search import TextSearch

# In every archive, whatever the function does.
_MACHINERY = ("tabpy", "cloudpickle")

# cloudpickle keeps the modules to take along in one registry for the whole process.
_registry = threading.Lock()


@dataclass(frozen=True)
class Archive:
    """An open file with the pickle of a `CustomQueryObject`, and what its code refers to.

    `packages` maps distributions to the versions here; it knows those whose functions, classes or
    modules were met on the way, or are imported inside a function. `compiled` names the functions
    that only this minor version of Python can load, since their text isn't known.
    """

    file: IO[bytes]
    size: int
    python: str
    packages: dict[str, str]
    compiled: list[str]


@contextmanager
def archived(query_object: CustomQueryObject) -> Iterator[Archive]:
    """Pickle into a temporary file, open until the block ends.

    Code from modules that aren't installed packages goes into the archive, since the server won't
    have them. Warns of what can't: imports of such modules that run with the function. Raises
    TypeError for an object that can't be pickled.
    """
    installation = Installation()
    with tempfile.TemporaryFile() as file:
        pickler = _Pickler(file)
        with _registry, _taken_along(installation):
            try:
                pickler.dump(query_object)
            except Exception as error:  # the objects' own reducers raise what they like
                raise TypeError(
                    f"{_title(query_object.custom_query)} can't be deployed, as something it "
                    f"refers to can't be pickled: {error}"
                ) from error
        for module in sorted(filter(installation.finds_locally, pickler.imported_inside)):
            warnings.warn(
                f"{_title(query_object.custom_query)} imports {module!r} when it runs, which is a "
                "file of this machine that the server doesn't have: import it at the top of the "
                "notebook or module instead, and it is deployed along.",
                stacklevel=4,
            )
        size = file.tell()
        file.seek(0)
        packages = installation.versions(pickler.modules | pickler.imported_inside)
        code = {name: version for name, version in packages.items() if name not in _MACHINERY}
        yield Archive(file, size, platform.python_version(), code, sorted(pickler.compiled))


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle publishes no types
    """cloudpickle's, which sends functions as text, and notes the top-level modules it meets."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.modules: set[str] = set()
        self.imported_inside: set[str] = set()
        self.compiled: set[str] = set()
        self._texts = TextSearch()

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, types.ModuleType):
            self._note(obj.__name__)
            return self._module(obj)
        if isinstance(obj, types.CodeType):
            return self._code(obj)
        if isinstance(obj, type | types.FunctionType | types.BuiltinFunctionType):
            self._note(obj.__module__)
        if (own := reducers.reduced(obj)) is not None:
            return own
        if (own := reducers.opaque(obj)) is not None:
            self.compiled.add(reducers.name_of(obj))
            return own
        reduced = super().reducer_override(obj)
        if reduced is NotImplemented:
            return reduced
        if isinstance(obj, types.FunctionType):
            self.imported_inside.update(_imports(obj.__code__))
        return portable(obj, reduced) if isinstance(obj, type) and len(reduced) > 2 else reduced

    def _code(self, code: types.CodeType) -> Any:
        """Send the text that gives this code; where there is none, bytecode for this Python."""
        if (text := self._texts.text_of(code)) is not None:
            return rebuilt, tuple(text)
        self.compiled.add(code.co_name)
        _, arguments = cloudpickle.Pickler.dispatch_table[types.CodeType](code)
        return bytecode, (PYTHON, code.co_name, *arguments)

    def _note(self, module: object) -> None:
        if isinstance(module, str):
            self.modules.add(module.partition(".")[0])

    def _module(self, module: types.ModuleType) -> Any:
        """Take a module along: make it first and fill it then, since its parts may refer to it."""
        if module.__name__ not in cloudpickle.list_registry_pickle_by_value():
            return NotImplemented
        machinery = {"__builtins__", "__cached__", "__file__", "__loader__", "__path__", "__spec__"}
        state = {name: value for name, value in vars(module).items() if name not in machinery}
        return types.ModuleType, (module.__name__,), state


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
