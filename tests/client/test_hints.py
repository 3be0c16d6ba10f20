"""`schema_of`: what a function's signature says, whatever is in it."""

import collections.abc
import dataclasses
import datetime
import enum
import functools
import sys
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal, NewType, Optional, Union

import numpy as np
import pandas as pd
import pytest

from tabpy.tabpy_tools.hints import of_hint
from tabpy.tabpy_tools.schema import generate_schema, is_inferred, schema_of


class Colour(enum.Enum):
    RED = "red"


class Hostile(type):
    def __mro__(cls) -> Any:  # type: ignore[override]
        raise LookupError

    def __subclasscheck__(cls, other: type) -> bool:
        raise LookupError


Number = NewType("Number", float)


def test_hints_and_defaults_make_a_schema() -> None:
    def price(costs: list[float], margin: float = 0.25, note=None) -> list[float]:  # type: ignore[no-untyped-def]
        return [cost / (1 - margin) for cost in costs]

    schema = schema_of(price)
    assert is_inferred(schema)
    assert schema is not None
    assert schema["input"] == {
        "type": "object",
        "properties": {
            "costs": {"type": "array", "items": {"type": "number"}},
            "margin": {"type": "number", "default": 0.25},
            "note": {"default": None},
        },
        "required": ["costs"],
    }
    assert schema["output"] == {"type": "array", "items": {"type": "number"}}
    assert not is_inferred(generate_schema(1, 2))
    assert not is_inferred(None)


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        (int, {"type": "integer"}),
        (bool, {"type": "boolean"}),
        (str, {"type": "string"}),
        (None, {"type": "null"}),
        (np.float64, {"type": "number"}),
        (datetime.datetime, {"type": "string", "format": "date-time"}),
        (datetime.date, {"type": "string", "format": "date"}),
        (list, {"type": "array"}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (typing.List[int], {"type": "array", "items": {"type": "integer"}}),  # noqa: UP006
        (collections.abc.Sequence[str], {"type": "array", "items": {"type": "string"}}),
        (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
        (tuple[int, str], {"type": "array"}),
        (set[int], {"type": "array", "items": {"type": "integer"}}),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (
            list[list[float]],
            {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
        ),
        (float | None, {"type": ["null", "number"]}),
        (Optional[float], {"type": ["null", "number"]}),  # noqa: UP045
        (Union[int, list[int]], {"anyOf": [{"type": "integer"}, of_hint(list[int])]}),  # noqa: UP007
        (Union[int, Any], {}),  # noqa: UP007
        (Literal["a", "b"], {"enum": ["a", "b"]}),
        (Annotated[int, "how many"], {"type": "integer"}),
        (Number, {"type": "number"}),
        (Colour, {"enum": ["red"]}),
        (np.ndarray, {"type": "array"}),
        (pd.Series, {"type": "array"}),
        (pd.DataFrame, {"type": "object"}),
        (Any, {}),
        (object, {}),
        (bytes, {}),
        (Callable[[int], int], {}),
        ("what nobody knows", {}),
        (typing.TypeVar("T"), {}),
    ],
    ids=str,
)
def test_each_kind_of_hint(hint: Any, schema: dict[str, Any]) -> None:
    assert of_hint(hint) == schema


def test_hints_that_are_text_are_looked_up() -> None:
    def price(a: "list[float]", b: "nowhere", c: float) -> "int":  # type: ignore[name-defined] # noqa: F821
        return 1

    del price.__annotations__["b"]
    schema = schema_of(price)
    assert schema is not None
    assert schema["input"]["properties"]["a"] == {"type": "array", "items": {"type": "number"}}
    assert schema["output"] == {"type": "integer"}


def test_a_text_that_means_nothing_here_costs_itself_only() -> None:
    def price(a: "nowhere", b: float = 1.0) -> "nowhere":  # type: ignore[name-defined] # noqa: F821
        return 1

    schema = schema_of(price)
    assert schema is not None
    assert schema["input"]["properties"] == {"a": {}, "b": {"type": "number", "default": 1.0}}
    assert "output" not in schema


class Scorer:
    def __call__(self, rows: list[float]) -> list[int]:
        return []


@pytest.mark.parametrize(
    "function", [Scorer(), Scorer().__call__, functools.partial(lambda x, rows: [], 1)]
)
def test_anything_callable_has_a_schema(function: Callable[..., Any]) -> None:
    schema = schema_of(function)
    assert schema is not None
    assert list(schema["input"]["properties"]) == ["rows"]


def strange(x: Hostile("X", (), {})) -> None:  # type: ignore[valid-type]
    """Its hint raises when it is looked at."""


TABLE = pd.DataFrame({"a": [1]})


def large(x: str = "a" * 10_000, y: Any = TABLE, z: float = float("nan")) -> None:
    """Its defaults are no use in a schema."""


@pytest.mark.parametrize("function", [strange, len, dict, type("X", (), {"__signature__": 1}), int])
def test_no_function_is_too_strange(function: Callable[..., Any]) -> None:
    schema_of(function)  # raises nothing


def test_defaults_that_are_long_or_no_json_are_left_out() -> None:
    schema = schema_of(large)
    assert schema is not None
    assert schema["input"]["properties"] == {
        "x": {"type": "string"},
        "y": {"type": "object"},
        "z": {"type": "number"},
    }


@dataclasses.dataclass
class Row:
    a: int


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type statements came with Python 3.12")
def test_a_type_statement_is_what_it_stands_for() -> None:
    names: dict[str, Any] = {}
    exec("type Column = list[float]", names)
    assert of_hint(names["Column"]) == {"type": "array", "items": {"type": "number"}}
