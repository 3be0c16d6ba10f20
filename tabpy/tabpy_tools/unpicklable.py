"""Which part of a function keeps it from being pickled, in words for its author.

The parts of what can't be pickled are tried one by one, then the parts of the first that can't be,
and so on. Somebody's objects can take any time for that, so it is bounded.
"""

import dis
import functools
import time
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import IO, Any, Protocol

import cloudpickle

ADVICE = (
    "Make it when the function runs: inside it, or in a function with @functools.cache that it "
    "calls."
)
TRIES, SECONDS, DEPTH = 500, 5.0, 20
SIZE = 64 << 20  # bytes: a part that comes so far counts as one that can be pickled
ITEMS = 1_000  # of a container
TEXT_LIMIT = 300  # characters of an error's text, and of a name
MACHINERY = {"__builtins__", "__cached__", "__file__", "__loader__", "__path__", "__spec__"}
CONTAINERS = (list, tuple, set, frozenset)
PLAIN = (str, bytes, int, float, complex, type(None), type(Ellipsis))

Part = tuple[str, Any]  # what it is to the whole, such as "global 'lock'"


class Pickler(Protocol):
    """Like `pickle.Pickler`."""

    def dump(self, obj: Any, /) -> None: ...


def culprit(
    query_object: object,
    error: BaseException,
    new_pickler: Callable[[IO[bytes]], Pickler] = cloudpickle.Pickler,
) -> str:
    """Return what in a query object, or in any other, can't be pickled, and what to do about it.

    `error` is what pickling it raised; `new_pickler` makes a pickler of the kind that did.
    """
    search = _Search(new_pickler)
    function = getattr(query_object, "custom_query", None)
    root = query_object if function is None or search.can_pickle(function) else function
    where, value = search.find(root, _name(root), 0)
    reason = f"{type(error).__name__}: {error}"[:TEXT_LIMIT]
    if value is root or _name(value):
        return f"{where or 'it'} can't be pickled ({reason}). {ADVICE}"
    kind = type(value)
    name = (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )
    return f"{where} is of type {name}, which can't be pickled ({reason}). {ADVICE}"


class EnoughError(Exception):
    """As much has been pickled as anybody waits for."""


class Sink:
    """A file that keeps nothing, and raises EnoughError when it has got `limit` bytes."""

    def __init__(self, limit: float) -> None:
        self._left = limit

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        self._left -= size
        if self._left < 0:
            raise EnoughError
        return size


class _Search:
    def __init__(self, new_pickler: Callable[[Any], Pickler]) -> None:
        self._new_pickler = new_pickler
        self._tries = 0
        self._end = time.monotonic() + SECONDS
        self._on_the_way: list[object] = []

    def can_pickle(self, value: object) -> bool:
        if isinstance(value, PLAIN):
            return True
        self._tries += 1
        try:
            self._new_pickler(Sink(SIZE)).dump(value)
        except EnoughError:
            return True
        except Exception:  # noqa: BLE001 - the objects' own reducers raise what they like
            return False
        return True

    def find(self, whole: object, where: str, depth: int) -> tuple[str, object]:
        """Return the innermost part that can't be pickled, and where it is; `where` is the whole's
        own place."""
        self._on_the_way.append(whole)
        for label, part in _parts(whole):
            if depth == DEPTH or self._tries > TRIES or time.monotonic() > self._end:
                break
            if any(part is each for each in self._on_the_way) or self.can_pickle(part):
                continue
            place = f"the {label} of {where}" if where else f"its {label}"
            name = _name(part)
            found, value = self.find(part, name or place, depth + 1)
            return (place, value) if value is part else (found, value)
        return where, whole


def _name(value: object) -> str:
    """Return what people call a function, class or module; "" for other objects."""
    if isinstance(value, types.ModuleType):
        return f"the module {value.__name__}"
    if isinstance(value, type | types.FunctionType | types.MethodType):
        return value.__name__
    return ""


def _parts(whole: object) -> Iterator[Part]:
    """Yield what a pickler would pickle of an object, the likeliest first."""
    try:
        yield from islice(_parts_of(whole), ITEMS)
    except Exception:  # noqa: BLE001 - it can't be taken apart, so it is whole
        return


def _parts_of(whole: object) -> Iterator[Part]:
    if isinstance(whole, types.FunctionType):
        yield from _parts_of_function(whole)
    elif isinstance(whole, types.MethodType):
        yield "object", whole.__self__
        yield "function", whole.__func__
    elif isinstance(whole, functools.partial):
        yield "function", whole.func
        yield from _numbered("argument", whole.args)
        yield from _named("argument", whole.keywords)
    elif isinstance(whole, types.ModuleType):
        yield from _named("global", vars(whole), leave_out=MACHINERY)
    elif isinstance(whole, type):
        yield from _named("attribute", vars(whole), leave_out={"__dict__", "__weakref__"})
        yield from _numbered("base", whole.__bases__)
    elif isinstance(whole, dict):
        yield from _named("item", whole)
        yield from _numbered("key", whole)
    elif isinstance(whole, CONTAINERS):
        yield from _numbered("item", whole)
    elif not isinstance(whole, PLAIN):
        yield from _parts_of_object(whole)


def _parts_of_function(function: types.FunctionType) -> Iterator[Part]:
    code = function.__code__
    yield from _named("global", _globals(function))
    yield from _named("variable", _variables(function))
    defaults = function.__defaults__ or ()
    with_default = code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount]
    yield from _named("default of", dict(zip(with_default, defaults, strict=True)))
    yield from _named("default of", function.__kwdefaults__ or {})
    yield from _named("attribute", vars(function))
    yield from _named("annotation of", function.__annotations__)


def _parts_of_object(whole: object) -> Iterator[Part]:
    reduced = whole.__reduce_ex__(4)
    if isinstance(reduced, str):
        return
    make, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
    yield from _named_state(state)
    yield from _numbered("argument", arguments)
    yield from _numbered("item", items or ())
    yield from _named("item", dict(islice(pairs or (), ITEMS)))
    yield "maker", make


def _named_state(state: Any) -> Iterator[Part]:
    if isinstance(state, dict):
        yield from _named("attribute", state)
    elif isinstance(state, tuple):  # with slots, it is a pair of dictionaries
        for each in state:
            if isinstance(each, dict):
                yield from _named("attribute", each)
            else:
                yield "state", each
    elif state is not None:
        yield "state", state


def _named(kind: str, values: Mapping[Any, Any], leave_out: Iterable[str] = ()) -> Iterator[Part]:
    for name, value in values.items():
        if name not in leave_out:
            yield f"{kind} {repr(name)[:TEXT_LIMIT]}", value


def _numbered(kind: str, values: Iterable[Any]) -> Iterator[Part]:
    for number, value in enumerate(values, 1):
        yield f"{kind} {number}", value


def referred(function: types.FunctionType) -> dict[str, Any]:
    """Return what a function refers to, by name: globals, and variables of those around it."""
    return {**_globals(function), **_variables(function)}


def _globals(function: types.FunctionType) -> dict[str, Any]:
    every = function.__globals__
    return {name: every[name] for name in _global_names(function.__code__) if name in every}


def _global_names(code: types.CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname.endswith("_GLOBAL"):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_names(constant)


def _variables(function: types.FunctionType) -> dict[str, Any]:
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            continue  # not yet set
    return found


def names_in(code: types.CodeType) -> set[str]:
    """Return the globals and attributes that code names, those in its inner functions too."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= names_in(constant)
    return names
