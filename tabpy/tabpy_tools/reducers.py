"""Objects whose pickles name a Python's internals, taken apart so that any Python can make them.

Archives name the functions without underscore that make objects: they are part of the format.
"""

import builtins
import functools
import importlib
import pathlib
import sys
import types
import typing
from collections.abc import Callable
from typing import Any, TypeAlias

import cloudpickle.cloudpickle as by_value

from tabpy.tabpy_tools.function_text import PYTHON, as_made

# What `__reduce__` may return, for a pickler.
Reduced: TypeAlias = tuple[Any, ...]

# What `functools` gives a cache by itself; `__annotate__` is code, from Python 3.14 on.
_OF_A_CACHE = {"__wrapped__", "cache_parameters", "__annotate__"}


def reduced(obj: Any) -> Reduced | None:
    """Return what makes the object in any Python; None where cloudpickle's way is as good."""
    if isinstance(obj, type):
        return by_public_name(obj)
    reducer = _REDUCERS.get(type(obj))
    if reducer is None and type(obj).__name__ == "CPUDispatcher":
        reducer = _jit_function
    return None if reducer is None else reducer(obj)


def compiled(obj: Any) -> Reduced | None:
    """Return what makes an object in this version of Python only, None for any other object.

    Such are numba's, except what `jit` makes: bytecode is in their pickles, where nobody sees it.
    """
    if not str(type(obj).__module__).startswith("numba."):
        return None
    parts = obj.__reduce_ex__(5)
    if not isinstance(parts, tuple):
        return None
    make, arguments, *rest = parts
    name = getattr(obj, "__name__", "a function of numba's")
    return as_made, (PYTHON, name, make, *arguments), *rest


def goes_by_name(obj: Any) -> bool:
    """Tell whether an archive only names the object: it is where its name says, and not local."""
    found = by_value._lookup_module_and_qualname(obj)
    return found is not None and not by_value._is_registered_pickle_by_value(found[0])


def by_public_name(obj: Any) -> Reduced | None:
    """Return the place of a class or function in its package, if it is one of the standard library
    and its module is private: another Python has other ones, such as `pathlib._local`."""
    package, _, module = str(obj.__module__).rpartition(".")
    if not module.startswith("_") or package.partition(".")[0] not in sys.stdlib_module_names:
        return None
    name = obj.__name__
    public = sys.modules.get(package)
    return (getattr, (public, name)) if getattr(public, name, None) is obj else None


def _function(function: types.FunctionType) -> Reduced | None:
    """IPython puts an `open` of its own into notebooks, which guards standard streams."""
    of_ipython = str(function.__globals__.get("__name__")).startswith("IPython.")
    if of_ipython and getattr(function, "__wrapped__", None) is builtins.open:
        return getattr, (builtins, "open")
    if function.__globals__ is vars(functools) and hasattr(function, "dispatch"):
        return _single_dispatch(function)
    return by_public_name(function)


def _single_dispatch(function: Any) -> Reduced | None:
    """It has a cache of weak references."""
    if goes_by_name(function):
        return None
    registry = {cls: each for cls, each in function.registry.items() if cls is not object}
    arguments = (function.registry[object],)
    return functools.singledispatch, arguments, registry, None, None, finish_single_dispatch


def finish_single_dispatch(function: Any, registry: dict[type, Callable[..., Any]]) -> None:
    """Register an implementation for each class."""
    for cls, implementation in registry.items():
        function.register(cls, implementation)


def _method(method: types.MethodType) -> Reduced | None:
    """A method that a descriptor makes anew, such as scikit-learn's `available_if`, goes by its
    name: its function has none, and would take its module along."""
    owner, name = method.__self__, getattr(method.__func__, "__name__", "")
    named = goes_by_name(owner if isinstance(owner, type) else type(owner))
    if named and not goes_by_name(method.__func__) and getattr(owner, name, None) == method:
        return getattr, (owner, name)
    return None


def _cached(cached: Any) -> Reduced | None:
    if goes_by_name(cached):
        return None
    parameters = cached.cache_parameters()
    arguments = cached.__wrapped__, parameters["maxsize"], parameters["typed"]
    attributes = {name: value for name, value in vars(cached).items() if name not in _OF_A_CACHE}
    return cached_function, arguments, attributes, None, None, finish_cached_function


def cached_function(function: Callable[..., Any], maxsize: int | None, typed: bool) -> Any:
    """Return the function with an empty cache."""
    return functools.lru_cache(maxsize, typed)(function)


def finish_cached_function(cached: Any, attributes: dict[str, Any]) -> None:
    """Give it its attributes: a function that calls its own cache is made before it has any."""
    vars(cached).update(attributes)


def _jit_function(function: Any) -> Reduced | None:
    """numba compiles it again for the arguments that it gets."""
    if not type(function).__module__.startswith("numba.") or goes_by_name(function):
        return None
    return jit_function, (function.py_func, dict(function.targetoptions))


def jit_function(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    """Return what `numba.jit` makes of the function. Raises ModuleNotFoundError without numba."""
    return importlib.import_module("numba").jit(**options)(function)


def _cached_property(obj: Any) -> Reduced:
    """Before Python 3.12 it has a lock, and needs it."""
    return cached_property, (obj.func, obj.attrname, obj.__doc__)


def cached_property(function: Callable[[Any], Any], name: str | None, doc: str | None) -> Any:
    """Return a `functools.cached_property`; `name` is the attribute's, None if it has none yet."""
    made: Any = functools.cached_property(function)
    made.attrname = name
    made.__doc__ = doc
    return made


def _path(path: pathlib.PurePath) -> Reduced:
    """One of Windows can't be made on Linux, nor the other way round."""
    return pathlib.Path, (path.as_posix(),)


def _forward_reference(obj: Any) -> Reduced:
    """It keeps its code once it has been asked for."""
    return forward_reference, (obj.__forward_arg__, obj.__forward_is_argument__)


def forward_reference(text: str, is_argument: bool) -> Any:
    """Return a `typing.ForwardRef` that hasn't been looked up."""
    return typing.ForwardRef(text, is_argument=is_argument)


_REDUCERS: dict[type, Callable[[Any], Reduced | None]] = {
    types.FunctionType: _function,
    types.MethodType: _method,
    functools._lru_cache_wrapper: _cached,
    functools.cached_property: _cached_property,
    typing.ForwardRef: _forward_reference,
    pathlib.PosixPath: _path,
    pathlib.WindowsPath: _path,
}
