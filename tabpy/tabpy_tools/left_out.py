"""What stays behind of a module that is taken along in an archive: values that can't be pickled.

A module of one's own goes into the archive whole, since nobody knows what its functions will look
up in it. A lock or an open file in it is no reason to refuse those that never touch it.
"""

import math
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

from tabpy.tabpy_tools.unpicklable import Pickler, Sink, culprit, names_in, referred

# What Python looks up in an object's class, and so past `__getattr__`.
_TOUCHES = (
    "__call__", "__enter__", "__exit__", "__aenter__", "__aexit__", "__iter__", "__next__",
    "__aiter__", "__anext__", "__await__", "__len__", "__bool__", "__contains__", "__getitem__",
    "__setitem__", "__delitem__", "__lt__", "__le__", "__gt__", "__ge__", "__add__", "__radd__",
    "__sub__", "__rsub__", "__mul__", "__rmul__", "__truediv__", "__rtruediv__", "__matmul__",
    "__int__", "__float__", "__index__", "__fspath__", "__str__", "__format__", "__setattr__",
)  # fmt: skip


class LeftOutError(RuntimeError):
    """A deployed function needs what couldn't be deployed with it."""


class LeftOut:
    """Stands in an archive for a global of a module; whatever is done with it raises LeftOutError
    that says why."""

    def __init__(self, what: str, why: str) -> None:
        """`what`: such as "'lock' of the module prices"; `why`: a sentence."""
        vars(self).update(_what=what, _why=why)  # not by assignment, which says why

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)  # Python only wants to know whether it is there
        _touched(self)

    def __repr__(self) -> str:
        return f"<{vars(self)['_what']}, which was left out>"

    def __reduce__(self) -> Any:
        return LeftOut, (vars(self)["_what"], vars(self)["_why"])


def _touched(left_out: LeftOut, *_: object) -> NoReturn:
    what, why = vars(left_out)["_what"], vars(left_out)["_why"]
    raise LeftOutError(f"{what} was not deployed: {why}")


for _name in _TOUCHES:
    setattr(LeftOut, _name, _touched)


def without_unpicklable(
    module: str, names: Mapping[str, Any], new_pickler: Callable[[Any], Pickler]
) -> dict[str, Any]:
    """Return a module's globals with a `LeftOut` in place of each that can't be pickled.

    `new_pickler` makes a pickler that writes to a file, of the kind that will pickle them.
    """
    kept: dict[str, Any] = {}
    pickler = new_pickler(Sink(math.inf))
    for name, value in names.items():
        try:
            pickler.dump(value)
        except Exception as error:  # noqa: BLE001 - the objects' own reducers raise what they like
            what = f"'{name}' of the module {module}"
            kept[name] = LeftOut(what, culprit(value, error, new_pickler))
            pickler = new_pickler(Sink(math.inf))  # the one that failed takes parts of it for done
        else:
            kept[name] = value
    return kept


def needed(
    functions: Iterable[types.FunctionType], modules: Mapping[str, Mapping[str, Any]]
) -> str | None:
    """Return what is missing and why, if one of the functions names a global that was left out of
    one of the modules: their names to what is taken along of each."""
    for function in functions:
        names = names_in(function.__code__)
        for value in referred(function).values():
            taken = modules.get(value.__name__, {}) if isinstance(value, types.ModuleType) else {}
            for name in sorted(names & taken.keys()):
                if type(taken[name]) is LeftOut:
                    parts = vars(taken[name])
                    return f"{parts['_what']}: {parts['_why']}"
    return None
