"""What pickles a function whose modules have things in them that can't be pickled."""

import types
from typing import IO, Any

from tabpy.tabpy_tools.custom_query_object import CustomQueryObject
from tabpy.tabpy_tools.left_out import needed, without_unpicklable
from tabpy.tabpy_tools.pickler import Pickler
from tabpy.tabpy_tools.unpicklable import culprit


def pickled(query_object: CustomQueryObject, file: IO[bytes]) -> Pickler:
    """Pickle into the file, and return the pickler. Raises TypeError that names what can't be."""
    pickler = Pickler(file)
    try:
        pickler.dump(query_object)
    except Exception:  # noqa: BLE001 - the objects' own reducers raise what they like
        file.seek(0)
        file.truncate()
    else:
        return pickler
    title = title_of(query_object)
    careful = CarefulPickler(file, {})
    try:
        careful.dump(query_object)
    except Exception as error:
        why = culprit(query_object, error, careful.another)
        raise TypeError(f"{title} can't be deployed: {why}") from error
    if missing := careful.missing():
        raise TypeError(f"{title} can't be deployed without {missing}")
    return careful


class CarefulPickler(Pickler):
    """Leaves out of the modules that it takes along what can't be pickled.

    `modules` has what it takes along of each, and is shared with those that try a part.
    """

    def __init__(self, file: IO[bytes], modules: dict[str, dict[str, Any]]) -> None:
        super().__init__(file)
        self._modules = modules
        self._functions: list[types.FunctionType] = []

    def another(self, file: IO[bytes]) -> "CarefulPickler":
        made = CarefulPickler(file, self._modules)
        made.texts = self.texts  # which has read the files that code is in
        return made

    def missing(self) -> str | None:
        """Return what one of the functions names of what was left out, and why it was."""
        return needed(self._functions, self._modules)

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, types.FunctionType):
            self._functions.append(obj)
        return super().reducer_override(obj)

    def globals_of(self, module: types.ModuleType) -> dict[str, Any]:
        name = module.__name__
        if name not in self._modules:
            self._modules[name] = {}  # what leads back to it is no reason to leave something out
            everything = super().globals_of(module)
            self._modules[name] = without_unpicklable(name, everything, self.another)
        return self._modules[name]


def title_of(query_object: CustomQueryObject) -> str:
    """Return what people call the function."""
    function = query_object.custom_query
    return getattr(function, "__name__", type(function).__name__)
