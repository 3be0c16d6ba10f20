"""What pickles a function for a server of any Python: data as cloudpickle does, code as text."""

import dis
import types
from collections.abc import Iterator
from typing import IO, Any

import cloudpickle

from tabpy.tabpy_tools import reducers
from tabpy.tabpy_tools.function_text import PYTHON, bytecode, rebuilt
from tabpy.tabpy_tools.generated_classes import portable
from tabpy.tabpy_tools.local_files import named_in, opened
from tabpy.tabpy_tools.text_search import TextSearch, file_of
from tabpy.tabpy_tools.unpicklable import MACHINERY


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle publishes no types
    """cloudpickle's, which sends functions as text, and notes what it meets.

    `modules` and `imported_inside` are the top-level modules of what it has met, and those that
    functions import when they run; `local_files` what they name of this machine, and `open_files`
    those whose content went along. `compiled` names the functions that went as bytecode,
    and `changed_files` the files that aren't any more what some of them were made of.
    """

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.modules: set[str] = set()
        self.imported_inside: set[str] = set()
        self.local_files: set[str] = set()
        self.open_files: set[str] = set()
        self.compiled: set[str] = set()
        self.changed_files: set[str] = set()
        self.texts = TextSearch()

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, types.ModuleType):
            self._note(obj.__name__)
            return self._module(obj)
        if isinstance(obj, types.CodeType):
            return self._code(obj)
        if isinstance(obj, type | types.FunctionType | types.BuiltinFunctionType):
            self._note(obj.__module__)
        if (name := opened(obj)) is not None:
            self.open_files.add(name)
        if (own := reducers.reduced(obj)) is not None:
            return own
        if (own := reducers.compiled(obj)) is not None:
            self.compiled.add(own[1][1])
            return own
        reduced = super().reducer_override(obj)
        if reduced is NotImplemented:
            return reduced
        if isinstance(obj, types.FunctionType):
            self.imported_inside.update(_imports(obj.__code__))
            self.local_files.update(named_in(obj))
        return portable(obj, reduced) if isinstance(obj, type) and len(reduced) > 2 else reduced

    def _function_getnewargs(self, func: types.FunctionType) -> Any:
        """Leave out where the function's file is: nobody needs to know, unless it asks itself."""
        code, names, *rest = super()._function_getnewargs(func)
        for place in ("__file__", "__path__"):
            names.pop(place, None)
        return code, names, *rest

    def _code(self, code: types.CodeType) -> Any:
        """Send the text that gives this code; where there is none, bytecode for this Python."""
        if (text := self.texts.text_of(code)) is not None:
            return rebuilt, tuple(text)
        self.compiled.add(code.co_name)
        if (file := file_of(code)) is not None:
            self.changed_files.add(file)
        _, arguments = cloudpickle.Pickler.dispatch_table[types.CodeType](code)
        return bytecode, (PYTHON, code.co_name, *arguments)

    def _note(self, module: object) -> None:
        if isinstance(module, str):
            self.modules.add(module.partition(".")[0])

    def _module(self, module: types.ModuleType) -> Any:
        """Take a module along: make it first and fill it then, since its parts may refer to it."""
        if module.__name__ not in cloudpickle.list_registry_pickle_by_value():
            return NotImplemented
        return types.ModuleType, (module.__name__,), self.globals_of(module)

    def globals_of(self, module: types.ModuleType) -> dict[str, Any]:
        """Return what is taken along of a module."""
        return {name: value for name, value in vars(module).items() if name not in MACHINERY}


def _imports(code: types.CodeType) -> Iterator[str]:
    """Yield the top-level modules that the code, or a function in it, imports by absolute name."""
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IMPORT_NAME" and (top := instruction.argval.partition(".")[0]):
            yield top
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _imports(constant)
