"""Kinds of functions that people deploy, each with arguments and what it answers.

Runs on every Python that the client does, with cloudpickle alone beside it. Written as people write
in notebooks, hence without the types and rules of the rest.
"""

# mypy: ignore-errors
# ruff: noqa: C416, PLC2401, PLC3002, PLR0133, PLW0108, RET504, RUF001, RUF015, F821

from __future__ import annotations

import abc
import asyncio
import collections
import contextlib
import dataclasses
import enum
import functools
import itertools
import math
import operator
import pathlib
import statistics
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, NamedTuple, TypedDict, TypeVar

RATE = 1.5
T = TypeVar("T")


@dataclass(frozen=True)
class Kind:
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    answer: Any


KINDS: dict[str, Kind] = {}


def kind(*arguments: Any, answer: Any, name: str = "") -> Callable[[Any], Any]:
    """Mark a function as one to deploy."""

    def mark(function: Any) -> Any:
        KINDS[name or function.__name__] = Kind(function, arguments, answer)
        return function

    return mark


# --- functions ---


@kind(2, answer=3.0)
def a_global(x):
    return x * RATE


@kind([3, 1], answer=[1, 3])
def a_default(values, order=sorted, *, key=abs):
    return order(values, key=key)


def _make_closure():
    factor, offset = 3, {"by": 1}

    def closure(x):
        return x * factor + offset["by"]

    return closure


KINDS["a_closure"] = Kind(_make_closure(), (2,), 7)
KINDS["a_lambda"] = Kind(lambda x: x + 1, (1,), 2)
KINDS["one_of_two_lambdas"] = Kind([lambda x: x + 1, lambda x: x * 10][1], (2,), 20)
KINDS["a_lambda_over_lines"] = Kind(
    (
        lambda x, y=2: (
            x
            # a comment
            + y
        )
    ),
    (1,),
    3,
)
KINDS["a_nested_lambda"] = Kind((lambda n: lambda x: x + n)(5), (1,), 6)
KINDS["a_partial"] = Kind(functools.partial(lambda x, y: x - y, y=1), (3,), 2)
KINDS["a_lambda_with_constants"] = Kind(
    lambda: [-0.0, 0.0, 1, 1.0, True, (1, (2.0,)), "é", b"\x00", ...] and [str(-0.0), 1j == 1j],
    (),
    ["-0.0", True],
)


@kind(5, answer=120)
def recursion(n):
    return 1 if n < 2 else n * recursion(n - 1)


def _even(n):
    return n == 0 or _odd(n - 1)


def _odd(n):
    return n != 0 and _even(n - 1)


KINDS["mutual_recursion"] = Kind(_even, (7,), False)


def _make_self_closure():
    def down(n):
        return [] if n == 0 else [n, *down(n - 1)]

    return down


KINDS["a_closure_over_itself"] = Kind(_make_self_closure(), (3,), [3, 2, 1])


def _shouting(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        """Another docstring."""
        return function(*args, **kwargs).upper()

    return wrapper


@kind("a", answer="A")
@_shouting
def decorated(text):
    return text


def _times(n, /, *, then: Callable[[int], int] = lambda x: x) -> Any:
    def decorate(function):
        @functools.wraps(function)
        def repeated(x):
            for _ in range(n):
                x = function(x)
            return then(x)

        return repeated

    return decorate


@kind(1, answer=-8)
@_times(
    3,
    then=lambda x: -x,
)
def decorated_with_arguments(x):
    return x * 2


@kind(4, answer=[0, 1, 4, 9])
def a_generator_inside(n):
    def squares() -> Iterator[int]:
        for each in range(n):
            yield each * each

    return list(squares())


@kind(3, answer=6)
def an_async_function_inside(n):
    async def one(x):
        await asyncio.sleep(0)
        return x

    async def total():
        return sum([await one(x) async for x in _counting(n)])

    async def _counting(n):
        for each in range(1, n + 1):
            yield each

    return asyncio.run(total())


@kind([1, 2, 3], {"k": 2}, answer=[[2, 4, 6], {1: 1}, [1, 2, 3], 2, "1;2;3", [[0], [0, 1]]])
def comprehensions(values, table):
    factor = table["k"]
    return [
        [value * factor for value in values],
        {key: each for key, each in [(1, 1)]},
        sorted({v for v in values if v}),
        next(v for v in values if v > 1),
        ";".join(f"{value!s:>{1}}" for value in values),
        [[y for y in range(x)] for x in range(1, factor + 1)],
    ]


@kind({"kind": "point", "at": [1, 2, 3]}, answer=["point", 1, [2, 3]])
def a_match_statement(value):
    match value:
        case {"kind": str(name), "at": [x, *rest]} if rest:
            return [name, x, rest]
        case _:
            return None


@kind("x", answer="caught ValueError, finally")
def exceptions(text):
    said = []
    try:
        int(text)
    except (ValueError, TypeError) as error:
        said.append(f"caught {type(error).__name__}")
    finally:
        said.append("finally")
    return ", ".join(said)


@kind(answer="in, out")
def a_with_statement():
    said = []

    @contextlib.contextmanager
    def around():
        said.append("in")
        yield
        said.append("out")

    with around():
        pass
    return ", ".join(said)


@kind([4, 1, 3], answer=[1, 3, 4, 3])
def a_walrus_and_star(values):
    first, *rest = sorted(values)
    return [first, *rest, (n := len(values))] and [*sorted(values), n]


@kind(3.0, answer=[3.0, 6.0])
def imports_inside(x):
    import json
    from math import fsum as total

    return [json.loads(str(x)), total([x, x])]


@kind(-4, answer=2.0)
def a_global_module(x):
    return math.sqrt(operator.abs(x))


@kind("é", answer="naïve é – 1")
def not_ascii(text):
    größe = f"naïve {text} – {len(text)}"
    return größe


@kind(2, answer="int")
def annotations(x: int, *rest: list[int], **options: UnknownName) -> dict[str, Kind] | None:
    y: ClassVar[int] = x
    return type(y).__name__


def _counter():
    count = 0

    def step(by):
        nonlocal count
        count += by
        return count

    return step


KINDS["nonlocal"] = Kind(_counter(), (2,), 2)


# --- what functools and others wrap ---


@kind(10, answer=55)
@functools.cache
def a_cache(n):
    return n if n < 2 else a_cache(n - 1) + a_cache(n - 2)


@functools.cache
def _cached(x):
    return x * 2


@kind(4, answer=[8, 8, 1])
def uses_a_cache(x):
    return [_cached(x), _cached(x), _cached.cache_info().hits]


@kind([3, 4], answer=[4, 3])
def a_sort_by_comparison(values):
    return sorted(values, key=functools.cmp_to_key(lambda a, b: b - a))


@functools.singledispatch
def _shown(x):
    return "something"


@_shown.register
def _(x: int):
    return f"int {x}"


@_shown.register(list)
def _(x):
    return [_shown(each) for each in x]


KINDS["a_single_dispatch"] = Kind(_shown, ([1, "x"],), ["int 1", "something"])


# --- classes ---


class _Shape:
    """A shape."""

    sides: ClassVar[int] = 0
    __secret = 5

    def __init__(self, size):
        self._size = size
        self.__hidden = size + 1

    def area(self):
        return 0

    @property
    def size(self):
        return self._size

    @size.setter
    def size(self, value):
        self._size = value

    @classmethod
    def of(cls, size):
        return cls(size)

    @staticmethod
    def twice(x):
        return x * 2

    @functools.cached_property
    def slow(self):
        return self._size * 100

    @functools.lru_cache(maxsize=8)  # noqa: B019
    def remembered(self, x):
        return x + self._size

    def hidden(self):
        def inner():
            return self.__hidden + _Shape.__secret

        return inner()


class _Square(_Shape):
    sides = 4

    class Corner:
        def where(self):
            return "here"

    def area(self):
        return super().area() + self.size**2

    def hidden(self):
        return [super().hidden(), [super().hidden() for _ in "a"][0]] if 0 else [super().hidden()]

    def corner(self):
        return self.Corner().where()


@kind(3, answer=[9, 4, 6, 300, 8, [9], "here", 5])
def classes(x):
    square = _Square.of(x)
    said = [square.area(), square.sides, square.twice(3), square.slow, square.remembered(5)]
    said += [square.hidden(), square.corner()]
    square.size = 5
    return [*said, square.size]


KINDS["a_bound_method"] = Kind(_Square(4).area, (), 16)
KINDS["a_static_method"] = Kind(_Square.twice, (3,), 6)
KINDS["a_class_method"] = Kind(lambda: _Square.of(2).of(3).size, (), 3)


class _Callable:
    def __call__(self, x):
        return x + 1


KINDS["a_callable_object"] = Kind(_Callable(), (1,), 2)


class _Abstract(abc.ABC):
    @abc.abstractmethod
    def value(self): ...

    @property
    @abc.abstractmethod
    def name(self): ...


class _Concrete(_Abstract):
    name = "concrete"

    def value(self):
        return isinstance(self, _Abstract)


@kind(answer=[True, "concrete"])
def abstract_classes():
    try:
        _Abstract()
    except TypeError:
        return [_Concrete().value(), _Concrete().name]


class _Stack(Generic[T]):
    def __init__(self) -> None:
        self.items: list[T] = []

    def push(self, item: T) -> _Stack[T]:
        self.items.append(item)
        return self


@kind(1, answer=[1])
def a_generic_class(x):
    return _Stack[int]().push(x).items


class _Sized(typing.Protocol):
    def size(self) -> int: ...


class _One(_Sized):
    def size(self) -> int:
        return 1


KINDS["a_protocol"] = Kind(lambda: _One().size(), (), 1)


class _Slots:
    __slots__ = ("x",)

    def __init__(self, x):
        self.x = x


KINDS["slots"] = Kind(lambda x: _Slots(x).x, (3,), 3)


class _Meta(type):
    def __new__(mcs, name, bases, names):
        return super().__new__(mcs, name, bases, names)

    @property
    def kind(cls):
        return "meta"


class _OfMeta(metaclass=_Meta):
    pass


KINDS["a_metaclass"] = Kind(lambda: _OfMeta.kind, (), "meta")


class _MyError(ValueError):
    def __str__(self):
        return "mine"


@kind(answer="mine")
def an_exception_class():
    try:
        raise _MyError(1)
    except ValueError as error:
        return str(error)


# --- classes that Python makes a part of ---


@dataclass(order=True)
class _Point:
    x: float
    y: float = 0.0
    tags: list[str] = field(default_factory=list, repr=False, compare=False)
    count: ClassVar[int] = 7
    start: dataclasses.InitVar[int] = 2
    _: dataclasses.KW_ONLY
    z: int = 0

    def __post_init__(self, start):
        self.z += start

    def length(self):
        return math.hypot(self.x, self.y)


@dataclass(frozen=True)
class _Price:
    amount: float
    currency: str = field(default="EUR", metadata={"iso": 4217})

    def __str__(self):
        return f"{self.amount} {self.currency}"


@dataclass
class _Gross(_Point):
    rate: float = 0.2

    @classmethod
    def default(cls):
        return cls(1, 2)


@kind(3, 4, answer=[5.0, "_Point(x=3, y=4, z=3)", True, 7, ["x", "y", "tags", "z"], 2, 3])
def data_classes(x, y):
    point = _Point(x, y, z=1)
    names = [each.name for each in dataclasses.fields(_Point)]
    lower = _Point(1) < point and point == dataclasses.replace(point, z=1, start=2)
    return [point.length(), repr(point), lower, _Point.count, names, _Gross.default().z,
            len({_Price(1), _Price(1), _Price(2), _Price(1, "USD")})]  # fmt: skip


@kind(answer=["1 EUR", "FrozenInstanceError", 4217, ["unhashable type: '_Point'"]])
def frozen_data_classes():
    price = _Price(1)
    said = [str(price)]
    try:
        price.amount = 2
    except dataclasses.FrozenInstanceError as error:
        said.append(type(error).__name__)
    said.append(dataclasses.fields(price)[1].metadata["iso"])
    try:
        hash(_Point(1))
    except TypeError as error:
        said.append([str(error)])
    return said


@dataclass
class _Tree:
    value: int

    def leaf(self):
        return _Leaf(self.value, 1)


@dataclass
class _Leaf(_Tree):
    depth: int = 0


KINDS["data_classes_in_a_circle"] = Kind(
    lambda: [repr(_Tree(1).leaf()), _Leaf(1, 1) == _Tree(1).leaf()],
    (),
    ["_Leaf(value=1, depth=1)", True],
)
KINDS["a_data_classs_instance"] = Kind(_Point(3, 4).length, (), 5.0)


@dataclass(slots=True)
class _Slotted:
    a: int
    b: int = 2


KINDS["data_classes_with_slots"] = Kind(lambda: repr(_Slotted(1)), (), "_Slotted(a=1, b=2)")

_Pair = collections.namedtuple("_Pair", "left right", defaults=[9])


class _Row(NamedTuple):
    """A row."""

    name: str
    size: int = 1

    def twice(self):
        return self._replace(size=self.size * 2)

    @property
    def label(self):
        return f"{self.name}:{self.size}"


@kind(answer=[9, {"left": 1, "right": 2}, "a:2", "_Row(name='a', size=1)", "A row.", 5])
def named_tuples():
    a, _ = _Row("a")
    match _Pair(5, 6):
        case _Pair(left=x):
            pass
    return [_Pair(1).right, _Pair(1, 2)._asdict(), _Row(a).twice().label, repr(_Row(a)),
            _Row.__doc__, x]  # fmt: skip


class _Wide(collections.namedtuple("_Wide", ["a", "b"])):
    def total(self):
        return self.a + self.b


KINDS["a_subclass_of_a_named_tuple"] = Kind(lambda: _Wide(1, 2).total(), (), 3)


class _Colour(enum.Enum):
    RED = 1
    GREEN = "g"

    def nice(self):
        return self.name.title()

    @classmethod
    def _missing_(cls, value):
        return cls.RED


class _Planet(enum.Enum):
    EARTH = (1.0, "blue")
    MARS = (0.1, "red")

    def __init__(self, mass, colour):
        self.mass = mass
        self.colour = colour


KINDS["an_enumeration_with_attributes"] = Kind(
    lambda: [_Planet.MARS.mass, _Planet((1.0, "blue")).colour], (), [0.1, "blue"]
)


class _Size(enum.IntEnum):
    SMALL = enum.auto()
    LARGE = enum.auto()


class _Access(enum.Flag):
    READ = 1
    WRITE = 2


@kind("g", answer=["Green", "RED", 3, True, ["RED", "GREEN"], "<_Colour.RED: 1>"])
def enumerations(value):
    both = _Access.READ | _Access.WRITE
    return [_Colour(value).nice(), _Colour(9).name, both.value, _Size(1) < _Size.LARGE,
            [each.name for each in _Colour], repr(_Colour.RED)]  # fmt: skip


KINDS["a_member_of_an_enumeration"] = Kind(
    functools.partial(lambda x, y: [x.name, y.name, isinstance(y, int)], _Colour.RED, _Size.LARGE),
    (),
    ["RED", "LARGE", True],
)


class _Movie(TypedDict, total=False):
    title: str
    year: int


KINDS["a_typed_dict"] = Kind(lambda: dict(_Movie(title="x")), (), {"title": "x"})


# --- data ---

KINDS["statistics"] = Kind(lambda values: statistics.mean(values), ([1, 3],), 2)
KINDS["chained"] = Kind(lambda *lists: list(itertools.chain(*lists)), ([1], [2]), [1, 2])

KINDS["a_path"] = Kind(
    functools.partial(lambda path: path.name, pathlib.PurePosixPath("/a/b.txt")), (), "b.txt"
)
KINDS["collections"] = Kind(
    functools.partial(
        lambda *each: [list(one) for one in each],
        collections.OrderedDict(a=1), collections.Counter("aab"), collections.deque([1], 2),
        collections.defaultdict(list, b=[1]),
    ),
    (),
    [["a"], ["a", "b"], [1], ["b"]],
)  # fmt: skip
_made: dict[str, Any] = {}
exec("def made(x): return x + 1", _made)
# The only one whose text nobody knows.
KINDS["made_by_exec"] = Kind(_made["made"], (1,), 2)

# What Python has from 3.12 on: a module of its own, since others can't read it.
NEWER = """
from collections.abc import Callable


def first[T](values: list[T]) -> T:
    kept: list[T] = [*values]
    return kept[0]


class Box[T]:
    def __init__(self, value: T) -> None:
        self.value = value

    def mapped[U](self, by: Callable[[T], U]) -> "Box[U]":
        return Box[U](by(self.value))


def generic_function(x):
    return first([x, 2])


def generic_class(x):
    return Box[int](x).mapped(lambda value: value + 1).value


def nested_quotes(x):
    return f"{", ".join([f"{x}"])}"
"""
NEWER_KINDS = {"generic_function": 1, "generic_class": 2, "nested_quotes": "1"}
