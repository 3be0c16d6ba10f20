"""Functions in a Python file that isn't part of a program: imported, and found in it."""

import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from tabpy.tabpy_tools.endpoint import EndpointMark

Marked = tuple[Callable[..., Any], EndpointMark]


class SourceFile:
    """A file whose module, and those beside it that it imports, are there only while asked for.

    So files of one name in different folders don't get each other's modules.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder = str(path.resolve().parent)
        self._modules: dict[str, ModuleType] = {}

    def load(self) -> None:
        """Import it. Raises what it raises, and ImportError for a name that is taken."""
        name = self.path.stem
        with self.present():
            if name in sys.stdlib_module_names or name in sys.modules:
                raise ImportError(f"There is another module {name!r} already: rename the file.")
            spec = importlib.util.spec_from_file_location(name, self.path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            try:
                spec.loader.exec_module(module)
            except BaseException:
                del sys.modules[name]
                raise

    @contextmanager
    def present(self) -> Iterator[None]:
        """Have its modules be found, to deploy what is in them, until the block ends."""
        before = set(sys.modules)
        sys.path.insert(0, self._folder)
        sys.modules.update(self._modules)
        try:
            yield
        finally:
            sys.path.remove(self._folder)
            for name in set(sys.modules) - before:
                if self._is_beside(sys.modules[name]):
                    self._modules[name] = sys.modules.pop(name)

    def marked(self) -> list[Marked]:
        """Return the functions that `@endpoint` marks there, in their order."""
        return [
            (function, mark)
            for function in self._functions()
            if isinstance(mark := getattr(function, "__tabpy_endpoint__", None), EndpointMark)
        ]

    def public(self) -> list[Marked]:
        """Return all functions that are defined there and don't begin with an underscore."""
        return [
            (function, _mark(function))
            for function in self._functions()
            if inspect.isfunction(function) and not function.__name__.startswith("_")
        ]

    def named(self, name: str) -> Marked | None:
        """Return what is callable and has that name there, or None."""
        found = getattr(self._module, name, None)
        return (found, _mark(found, name)) if callable(found) else None

    @property
    def _module(self) -> ModuleType:
        return self._modules[self.path.stem]

    def _functions(self) -> list[Callable[..., Any]]:
        """Return what is callable and comes from there, each once."""
        own = {
            id(value): value
            for value in vars(self._module).values()
            if callable(value) and getattr(value, "__module__", None) == self.path.stem
        }
        return list(own.values())

    def _is_beside(self, module: ModuleType) -> bool:
        file = getattr(module, "__file__", None)
        return isinstance(file, str) and Path(file).resolve().is_relative_to(self._folder)


def _mark(function: Any, name: str = "") -> EndpointMark:
    mark = getattr(function, "__tabpy_endpoint__", None)
    if isinstance(mark, EndpointMark):
        return mark
    return EndpointMark(name or function.__name__)
