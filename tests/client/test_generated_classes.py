"""What Python makes of a class is left out of an archive, and made anew where it is loaded."""

import dataclasses
import enum
import io
import pickle
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import cloudpickle
import pytest

from tabpy.tabpy_tools.pickler import Pickler


@pytest.fixture(autouse=True)
def as_elsewhere() -> Iterator[None]:
    """What is of this module goes along, and nobody knows its classes afterwards."""
    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    yield
    cloudpickle.unregister_pickle_by_value(module)


def pickled(value: object) -> bytes:
    file = io.BytesIO()
    pickler = Pickler(file)
    pickler.dump(value)
    assert pickler.compiled == set()
    cloudpickle.cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.clear()
    return file.getvalue()


def there_and_back(value: Any) -> Any:
    return pickle.loads(pickled(value))


@dataclass(order=True)
class Point:
    x: int
    y: "int" = 0

    def __repr__(self) -> str:
        return f"at {self.x}, {self.y}"


@dataclass(frozen=True)
class Price:
    amount: float

    def __hash__(self) -> int:
        return 7


@dataclass(frozen=True)
class Unhashable:
    amount: float
    __hash__ = None  # type: ignore[assignment]


class Row(NamedTuple):
    name: "str"
    size: int = 1

    def twice(self) -> int:
        return self.size * 2


class Size(enum.IntFlag):
    SMALL = 1
    LARGE = 2

    def nice(self) -> str:
        return str(self.name).title()


def test_a_data_class_is_made_anew_with_what_its_author_wrote() -> None:
    archive = pickled(Point)
    assert b"__lt__" not in archive
    loaded = pickle.loads(archive)
    assert loaded is not Point
    assert (repr(loaded(1)), loaded(1) < loaded(2), loaded(1) == loaded(1)) == ("at 1, 0", 1, 1)
    assert loaded.__annotations__ == {"x": int, "y": "int"}
    assert [each.type for each in dataclasses.fields(loaded)] == [int, "int"]
    assert loaded.__match_args__ == ("x", "y")
    with pytest.raises(TypeError, match="unhashable"):
        hash(loaded(1))


@dataclass(match_args=False)
class Unmatched:
    x: int


def test_a_data_class_that_is_not_to_be_matched_by_place_stays_so() -> None:
    assert not hasattr(there_and_back(Unmatched), "__match_args__")


def test_a_hash_of_its_own_stays() -> None:
    assert hash(there_and_back(Price)(1)) == 7
    with pytest.raises(TypeError, match="unhashable"):
        hash(there_and_back(Unhashable)(1))


def test_an_instance_comes_with_its_class() -> None:
    loaded = there_and_back([Point(1, 2), Price(3), Row("a", 2), Size.LARGE])
    assert [repr(each) for each in loaded] == [
        "at 1, 2", "Price(amount=3)", "Row(name='a', size=2)", "<Size.LARGE: 2>"
    ]  # fmt: skip


def test_a_named_tuple_is_made_anew_with_its_methods() -> None:
    loaded = there_and_back(Row)
    assert loaded("a").twice() == 2
    assert loaded("a")._replace(size=3) == ("a", 3)
    assert loaded._field_defaults == {"size": 1}
    assert loaded.__module__ == __name__
    assert set(loaded.__annotations__) == {"name", "size"}


def test_an_enumeration_has_nothing_of_this_python() -> None:
    archive = pickled(Size)
    assert b"_flag_mask_" not in archive
    loaded = pickle.loads(archive)
    assert (loaded.LARGE.nice(), loaded(3).value, loaded.SMALL | 2) == ("Large", 3, 3)


class Kept(enum.Flag, boundary=enum.KEEP):
    ONE = 1


def test_a_flag_keeps_what_it_does_with_values_that_are_none_of_its_own() -> None:
    assert there_and_back(Kept)(8).value == 8


@dataclass
class Base:
    x: int

    def other(self) -> "Derived":
        return Derived(self.x, 2)


@dataclass
class Derived(Base):
    y: int = 0


def test_classes_that_refer_to_each_other_know_all_their_fields() -> None:
    for name in ("Base", "Derived"):
        loaded = there_and_back(globals()[name])
        assert repr(loaded(1).other()) == "Derived(x=1, y=2)"
