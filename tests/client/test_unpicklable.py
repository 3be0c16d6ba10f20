"""What keeps a function from being deployed is named."""

import functools
import sys
import threading
import types
from collections.abc import Callable
from typing import Any

import cloudpickle
import pytest

from tabpy.tabpy_tools import unpicklable
from tabpy.tabpy_tools.custom_query_object import CustomQueryObject
from tabpy.tabpy_tools.unpicklable import ADVICE, culprit

LOCK = threading.Lock()


class Holder:
    def __init__(self) -> None:
        self.rows = [1, {"guard": LOCK}]

    def method(self) -> None: ...


class Slotted:
    __slots__ = ("lock",)

    def __init__(self) -> None:
        self.lock = LOCK


@pytest.fixture(autouse=True)
def by_value() -> Any:
    """This module is one that the server hasn't."""
    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    yield
    cloudpickle.unregister_pickle_by_value(module)


def told(obj: Any) -> str:
    """What is said of an object that can't be pickled, without what to do."""
    with pytest.raises(Exception) as raised:  # noqa: PT011 - whatever it is
        cloudpickle.dumps(obj)
    said = culprit(obj, raised.value)
    assert said.endswith(f" {ADVICE}")
    return said.removesuffix(f" {ADVICE}")


REASON = "which can't be pickled (TypeError: cannot pickle '_thread.lock' object)."


def uses_lock() -> bool:
    return LOCK.locked()


def uses_another() -> bool:
    return uses_lock()


def inside() -> Callable[[], bool]:
    return lambda: not LOCK.locked()


def with_default(a: int = 1, b: Any = LOCK, *, c: Any = 1) -> Any:
    return a, b, c


def with_keyword(a: int = 1, *, c: Any = LOCK) -> Any:
    return a, c


def uses_attribute(value: Any) -> Any:
    return value.LOCK, REFUSES


HOLDER, SLOTTED = Holder(), Slotted()


def uses_holder() -> Any:
    return HOLDER.rows


def uses_slotted() -> Any:
    return SLOTTED.lock


class Local:
    lock = LOCK

    def method(self) -> None: ...


def uses_class() -> Any:
    return Local


def closure() -> Callable[[], Any]:
    connection = LOCK

    def query() -> Any:
        return connection

    return query


def attribute() -> None: ...


attribute.lock = LOCK  # type: ignore[attr-defined]

MODULE = types.ModuleType("prices")
MODULE.lock = LOCK  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("obj", "where"),
    [
        (uses_lock, "the global 'LOCK' of uses_lock"),
        (uses_another, "the global 'LOCK' of uses_lock"),
        (inside, "the global 'LOCK' of inside"),
        (with_default, "the default of 'b' of with_default"),
        (with_keyword, "the default of 'c' of with_keyword"),
        (
            uses_holder,
            "the item 'guard' of the item 2 of the attribute 'rows' of the global 'HOLDER' of "
            "uses_holder",
        ),
        (uses_slotted, "the attribute 'lock' of the global 'SLOTTED' of uses_slotted"),
        (uses_class, "the attribute 'lock' of Local"),
        (closure(), "the variable 'connection' of query"),
        (attribute, "the attribute 'lock' of attribute"),
        (functools.partial(print, 1, LOCK), "its argument 2"),
        (functools.partial(print, file=LOCK), "its argument 'file'"),
        (
            Holder().method,
            "the item 'guard' of the item 2 of the attribute 'rows' of the object of method",
        ),
        (CustomQueryObject(uses_lock), "the global 'LOCK' of uses_lock"),
        (CustomQueryObject(len, schema={"a": LOCK}), "the item 'a' of its attribute 'schema'"),
    ],
    ids=range(15),
)
def test_where_it_is(obj: Any, where: str) -> None:
    assert told(obj) == f"{where} is of type _thread.lock, {REASON}"


@pytest.mark.parametrize(
    ("value", "kind"),
    [((str(each) for each in range(1)), "generator"), (threading.local(), "_thread._local")],
    ids=["generator", "local"],
)
def test_what_it_is(value: Any, kind: str) -> None:
    def query() -> Any:
        return value

    assert told(query).startswith(f"the variable 'value' of query is of type {kind}, which can't")


def test_a_thing_that_is_the_whole() -> None:
    assert told(LOCK) == "it can't be pickled (TypeError: cannot pickle '_thread.lock' object)."


class Refuses:
    def __reduce_ex__(self, _: Any) -> Any:
        raise ValueError("never")


REFUSES = Refuses()


def uses_refusing() -> Any:
    return REFUSES


def test_what_refuses_in_its_own_words() -> None:
    assert told(uses_refusing) == (
        "the global 'REFUSES' of uses_refusing is of type tests.client.test_unpicklable.Refuses, "
        "which can't be pickled (ValueError: never)."
    )


def test_an_attribute_is_not_taken_for_a_global_of_its_name() -> None:
    assert told(uses_attribute).startswith("the global 'REFUSES' of uses_attribute")


def test_what_leads_in_a_circle_ends() -> None:
    loop: list[Any] = [LOCK]
    loop.insert(0, loop)
    assert told(loop).startswith("its item 2 is of type _thread.lock")


@pytest.mark.parametrize(("bound", "value"), [("TRIES", 3), ("SECONDS", -1.0), ("DEPTH", 3)])
def test_a_search_without_end_is_given_up(
    monkeypatch: pytest.MonkeyPatch, bound: str, value: float
) -> None:
    monkeypatch.setattr(unpicklable, bound, value)
    nested: list[Any] = [LOCK]
    for _ in range(10):
        nested = [nested]
    assert "is of type _thread.lock" not in told(nested)


def test_what_is_large_is_not_pickled_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpicklable, "SIZE", 100)
    assert told([[0] * 1000, LOCK]).startswith("its item 2 is of type _thread.lock")


def test_a_module_that_is_taken_along() -> None:
    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, obj: Any) -> Any:
            if obj is MODULE:
                return types.ModuleType, ("prices",), {"lock": LOCK}
            return super().reducer_override(obj)

    said = culprit(MODULE, TypeError("x"), Pickler)
    assert said.startswith("the global 'lock' of the module prices is of type _thread.lock")
