"""What a script returns, as JSON that Tableau takes, and as a function gets it from a script."""

import dataclasses
import datetime
import decimal
import enum
import json
import math
import re
import uuid
from array import array
from collections import deque, namedtuple
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any

import pytest

from tabpy.tabpy_server.workers.worker import results
from tabpy.tabpy_server.workers.worker.results import UnfitError
from tabpy.tabpy_tools import values

NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (None, "null"),
        (True, "true"),
        (1, "1"),
        (1.0, "1.0"),
        ("ä\u2028", r'"\u00e4\u2028"'),  # differences 36
        ([], "[]"),
        ((1, [2, (3,)]), "[1,[2,[3]]]"),
        ({"a": [1]}, '{"a":[1]}'),
        ({1: "a", None: "b"}, '{"1":"a","null":"b"}'),
        (NAN, "null"),
        ([INFINITY, -INFINITY, {"x": NAN}], '[null,null,{"x":null}]'),
        (range(3), "[0,1,2]"),
        (map(str, [1, 2]), '["1","2"]'),
        ({"a": 1, "b": 2}.keys(), '["a","b"]'),
        ({"column": (each for each in [1, 2])}, '{"column":[1,2]}'),
        ([zip([1], [2], strict=True)], "[[[1,2]]]"),
        (decimal.Decimal("0.5"), "0.5"),
        (datetime.date(2024, 2, 29), '"2024-02-29"'),
        (datetime.datetime(2024, 2, 29, 1, 2, 3), '"2024-02-29T01:02:03"'),
        (datetime.time(1, 2, 3), '"01:02:03"'),
        (datetime.timedelta(minutes=1), "60.0"),
    ],
)
def test_pythons_own_values(value: Any, encoded: str) -> None:
    assert results.encode(value).decode() == encoded


@pytest.mark.parametrize(
    "value",
    [2**64, -(2**63) - 1, [1, 2**70], {"a": [2**70]}, "\ud800", ["\udfff", None, True, 1.5]],
)
def test_what_the_fast_encoder_refuses_arrives_all_the_same(value: Any) -> None:
    assert json.loads(results.encode(value)) == value


def test_numbers_that_are_none_become_null_on_the_slow_way_too() -> None:
    value = [2**70, NAN, INFINITY, {"x": (NAN, datetime.date(2024, 2, 29))}]
    encoded = json.loads(results.encode(value))
    assert encoded == [2**70, None, None, {"x": [None, "2024-02-29"]}]


def refusal(value: Any) -> BaseException:
    """What the author of a value is told that can't be JSON."""
    with pytest.raises(UnfitError) as raised:
        results.encode(value)
    return raised.value.reason()


@pytest.mark.parametrize("value", [object(), len, 1j, [[object()]], {"a": object()}, {len}])
def test_what_has_no_form_is_refused_by_its_type(value: Any) -> None:
    error = refusal(value)
    assert type(error) is TypeError
    assert str(error).startswith(("The script returned a ", "The script returned an "))
    assert str(error).endswith(
        ", which has no form in JSON: return numbers, strings, booleans, None, or lists of them."
    )


def failing() -> Iterator[float]:
    yield 1.0
    yield 1 / 0


class Contrary(list[object]):
    def __iter__(self) -> Iterator[object]:
        return iter([1 // 0])


@dataclasses.dataclass(slots=True)
class Incomplete:
    size: int = dataclasses.field(init=False)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (failing(), ZeroDivisionError),
        ([1, failing()], ZeroDivisionError),
        ([[failing()]], ZeroDivisionError),
        (map(int, ["x"]), ValueError),
        ([2**70, failing()], ZeroDivisionError),
        (decimal.Decimal("sNaN"), ValueError),
        ([Contrary([object()])], ZeroDivisionError),
        ([2**70, Incomplete()], AttributeError),
    ],
)
def test_what_a_value_raises_is_its_authors_to_read(value: Any, kind: type[Exception]) -> None:
    assert type(refusal(value)) is kind


def test_a_mistake_of_our_own_is_nobodys_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Any) -> str:
        raise LookupError("ours")

    monkeypatch.setattr(values, "an", broken)
    for value in (object(), [2**70, object()]):
        with pytest.raises(LookupError, match="ours"):
            results.encode(value)


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def inside_itself() -> list[Any]:
    inside_list: list[Any] = []
    inside_list.append(inside_list)
    inside_dict: dict[str, Any] = {}
    inside_dict["a"] = [1, inside_dict]
    return [inside_list, inside_dict]


@pytest.mark.parametrize("value", [*inside_itself(), nested(10_000)], ids=["list", "dict", "deep"])
@pytest.mark.parametrize("convert", [results.encode, results.plain])
def test_what_has_no_end_is_refused(convert: Any, value: Any) -> None:
    with pytest.raises(UnfitError) as raised:
        convert(value)
    error = raised.value.reason()
    assert type(error) is TypeError
    assert "that contains itself or is nested too deeply" in str(error)


@pytest.mark.parametrize("depth", [250, 260, 390])
def test_what_is_merely_deep_is_not(depth: int) -> None:
    value = nested(depth)
    assert json.loads(results.encode(value)) == value


def test_what_can_be_read_once_is_read_once() -> None:
    value = [1, (each for each in [2**70, math.nan]), {"a": (each for each in "ab")}]
    assert json.loads(results.encode(value)) == [1, [2**70, None], {"a": ["a", "b"]}]


NUMPY = [
    ("np.float32(0.5)", 0.5),
    ("np.uint8(255)", 255),
    ("np.bool_(False)", False),
    ("np.array(1.5)", 1.5),
    ("np.array([[1, 2], [3, 4]]).T", [[1, 3], [2, 4]]),
    ("np.array([1, np.nan], dtype='float16')", [1, None]),
    ("np.array(['x', 'y'])", ["x", "y"]),
    ("np.array([1, 'x', None], dtype=object)", [1, "x", None]),
    ("np.datetime64('2024-02-29T12:00')", "2024-02-29T12:00:00"),
    ("np.datetime64('NaT')", None),
    ("[np.datetime64('2024-02-29'), np.datetime64('NaT')]", ["2024-02-29T00:00:00", None]),
    *((f"[None, np.datetime64('NaT', '{unit}'), 'x']", [None, None, "x"])
      for unit in ("Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns")),
    ("[1, {'a': [2, np.datetime64('NaT', 'ns')]}]", [1, {"a": [2, None]}]),
    ("np.array([None, np.datetime64('NaT', 'D')], dtype=object)", [None, None]),
    ("['1970-01-01T00:00:00', np.datetime64('1970-01-01')]", ["1970-01-01T00:00:00"] * 2),
    ("np.timedelta64(90, 's')", 90.0),
    ("np.longdouble(1.5)", 1.5),
    ("np.array([1.5, np.nan], dtype=np.longdouble)", [1.5, None]),
    ("[1, np.longdouble('inf'), 2**70]", [1, None, 2**70]),
    ("{'a': np.arange(2), np.int64(3): np.float64(4)}", {"a": [0, 1], "3": 4.0}),
    ("[np.arange(2), {'x': np.array(['2024-02-29', 'NaT'], 'M8[ns]')}]",
     [[0, 1], {"x": ["2024-02-29T00:00:00", None]}]),
]  # fmt: skip
PANDAS = [
    ("pd.Series([True, None], dtype='boolean')", [True, None]),
    ("pd.Series([1.5, None], dtype='Float64')", [1.5, None]),
    ("pd.Series(['a', None], dtype='string')", ["a", None]),
    ("pd.array([1, None], dtype='Int64')", [1, None]),
    ("pd.date_range('2024-02-28', periods=2)", ["2024-02-28T00:00:00", "2024-02-29T00:00:00"]),
    ("pd.Timedelta('1 day')", 86400.0),
    ("pd.Period('2024-02')", "2024-02"),
    ("[pd.NA, pd.NaT]", [None, None]),
    ("pd.DataFrame({'a': [1, 2], 3: [None, 'x']}, index=[5, 5])", {"a": [1, 2], "3": [None, "x"]}),
    ("pd.DataFrame({'c': pd.Categorical(['x', None])})", {"c": ["x", None]}),
    ("{'table': pd.DataFrame({'a': [float('inf')]})}", {"table": {"a": [None]}}),
]


@pytest.mark.parametrize(("expression", "expected"), NUMPY + PANDAS)
def test_values_of_numpy_and_pandas(expression: str, expected: Any) -> None:
    np, pd = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    value = eval(expression, {"np": np, "pd": pd})
    assert json.loads(results.encode(value)) == expected


@pytest.mark.parametrize(
    "expression",
    ["np.complex128(1)", "np.array([1j])", "np.zeros(1, 'i4,i4')", "[np.clongdouble(1)]"],
)
def test_numpy_values_without_a_form_are_refused(expression: str) -> None:
    np = pytest.importorskip("numpy")
    error = refusal(eval(expression, {"np": np}))
    assert type(error) is TypeError
    assert str(error).endswith("no form in JSON: return real numbers or strings.")


def test_an_array_inside_itself_is_refused() -> None:
    np = pytest.importorskip("numpy")
    value = np.empty(1, dtype=object)
    value[0] = value
    assert "contains itself" in str(refusal(value))


def test_of_two_columns_of_one_name_the_last_is_sent_and_a_warning_says_so() -> None:
    # differences 23
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"])
    with pytest.warns(UserWarning, match="several columns 'a': only the last one is sent"):
        assert json.loads(results.encode(table)) == {"a": [3], "b": [2]}


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        ([("a", "x"), ("a", "y")], ["a_x", "a_y"]),
        ([("city", ""), ("sales", "sum")], ["city", "sales_sum"]),
        ([(2024, "x"), (2025, "x")], ["2024_x", "2025_x"]),
    ],
)
def test_levels_of_column_names_are_joined(columns: list[Any], names: list[str]) -> None:
    # differences, section 4
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples(columns))
    assert json.loads(results.encode(table)) == {names[0]: [1], names[1]: [2]}


@pytest.mark.parametrize(
    "expression", ["groupby('a')", "groupby('a').a", "rolling(2)", "pd.offsets.MonthEnd()"]
)
def test_what_pandas_has_yet_to_compute_is_refused(expression: str) -> None:
    # differences, section 4
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"a": [1, 2]})
    value = eval(expression if "pd." in expression else f"table.{expression}")
    told = str(refusal(value))
    assert told.startswith(f"The script returned a {type(value).__name__}, which has no form in")
    assert table is not None


Sample = namedtuple("Sample", ["statistic", "pvalue"])


class Score(float):
    pass


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Sample(1.5, 0.25), [1.5, 0.25]),  # differences 21
        ([Sample(1, 2), Sample(3, NAN)], [[1, 2], [3, None]]),  # differences 21
        ({"test": Sample("a", [1])}, {"test": ["a", [1]]}),  # differences 21
        (b"abc", "abc"),  # differences 22
        ([b"\xc3\xa9", bytearray(b"x"), memoryview(b"y")], ["é", "x", "y"]),  # differences 22
        ({b"a": 1}, {"a": 1}),  # differences 22
        ({3, 1, 2}, [1, 2, 3]),
        ([frozenset({"a"})], [["a"]]),
        ({1} | {"a"} - {"a"}, [1]),
        (deque([1, 2], maxlen=2), [1, 2]),
        (array("d", [1.5]), [1.5]),
        ({"a": 1}.items(), [["a", 1]]),
        (Score(1.5), 1.5),
        ([Score(NAN), Score(2)], [None, 2.0]),
        (Fraction(1, 4), 0.25),
        (PurePosixPath("/a/b"), "/a/b"),
        (decimal.Decimal("1.10"), 1.1),
    ],
    ids=lambda each: re.sub(" at 0x[0-9a-f]+", "", repr(each)),
)
def test_more_of_pythons_values(value: Any, expected: Any) -> None:
    # differences, section 4
    assert json.loads(results.encode(value)) == expected
    assert json.loads(results.encode([value, 2**70])) == [expected, 2**70]
    if "None" not in repr(expected):
        assert results.plain(value) == expected


def test_a_set_that_has_no_order_is_sent_as_it_is() -> None:
    assert set(json.loads(results.encode({1, "a"}))) == {1, "a"}


def test_bytes_that_are_no_text_are_their_authors_mistake() -> None:
    # differences 22
    assert type(refusal(b"\xff")) is UnicodeDecodeError


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("np.bytes_(b'x')", "x"),  # differences 22
        ("np.array([b'a', b'b'])", ["a", "b"]),  # differences 22
        ("np.longdouble('0.5')", 0.5),
        ("[np.longdouble('0.5')]", [0.5]),
        ("pd.DataFrame({'a': [(1, 2)]}).itertuples(index=False)", [[[1, 2]]]),  # differences 21
    ],
)
def test_more_of_libraries_values(expression: str, expected: Any) -> None:
    np, pd = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    assert json.loads(results.encode(eval(expression, {"np": np, "pd": pd}))) == expected


def test_results_of_scipys_tests_are_lists() -> None:
    # differences 21
    stats = pytest.importorskip("scipy.stats")
    found = stats.ttest_ind([1.0, 2.0, 3.0], [2.0, 3.0, 5.0])
    assert json.loads(results.encode(found)) == pytest.approx([*found])
    line = stats.linregress([1.0, 2.0, 3.0], [2.0, 3.0, 5.0])
    assert json.loads(results.encode({"line": line}))["line"] == pytest.approx([*line])


# --- between a script and a function ---


class Colour(enum.Enum):
    RED = "red"


class Text(str):
    def __str__(self) -> str:
        return "something else"


@dataclasses.dataclass
class Point:
    x: float
    _hidden: int = 1


Pair = namedtuple("Pair", ["a", "b"])

ALIKE = [
    None, True, 1, 2**70, 1.5, "ä\ud800", [], {}, [1, "a", None, 2.5, False],
    (1, (2, 3)), {"a": [{"b": (1,)}]}, {True: 2, None: 3, 2: 4, 1.5: 5},
    {(1, 2): 3, 2**70: 4, datetime.date(2024, 2, 29): 5},
    range(3), {"a": 1}.keys(), {"a": 1}.values(), Colour.RED, [Colour.RED],
    enum.IntEnum("Number", "ONE").ONE, Text("x"), [Text("x")], {Text("k"): 1},  # type: ignore[attr-defined]
    datetime.datetime(2024, 2, 29, 1, 2, 3), datetime.date(2024, 2, 29), datetime.time(1, 2),
    datetime.timedelta(minutes=1), decimal.Decimal("0.5"), uuid.UUID(int=5), Point(1.5),
]  # fmt: skip


@pytest.mark.parametrize("value", ALIKE, ids=repr)
def test_values_arrive_as_they_would_by_http(value: Any) -> None:
    assert results.plain(value) == json.loads(results.encode(value))
    assert results.plain([value, 2**70]) == json.loads(results.encode([value, 2**70]))


@pytest.mark.parametrize(
    ("expression", "expected"), [each for each in NUMPY + PANDAS if "nan" not in each[0]]
)
def test_values_of_libraries_arrive_as_they_would_by_http(expression: str, expected: Any) -> None:
    np, pd = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    value = results.plain(eval(expression, {"np": np, "pd": pd}))
    assert (
        json.loads(json.dumps(value).replace("Infinity", "null").replace("NaN", "null")) == expected
    )


def test_but_numbers_that_are_none_stay_numbers() -> None:
    given = [NAN, INFINITY, {"a": (NAN, [NAN])}]
    got = results.plain(given)
    assert [*map(repr, got)] == ["nan", "inf", "{'a': [nan, [nan]]}"]
    np = pytest.importorskip("numpy")
    assert repr(results.plain([np.float64("nan"), np.array([1.5, np.nan])])) == "[nan, [1.5, nan]]"


def types_in(value: Any) -> set[type]:
    if isinstance(value, dict):
        return {type(value)}.union(*map(types_in, (*value, *value.values())))
    if isinstance(value, list):
        return {type(value)}.union(*map(types_in, value))
    return {type(value)}


@pytest.mark.parametrize("value", [*ALIKE, Pair(1, [2]), [Pair(1, 2)]], ids=repr)
def test_only_pythons_own_types_arrive(value: Any) -> None:
    assert types_in(results.plain(value)) <= {dict, list, str, int, float, bool, type(None)}


def test_nothing_is_shared_with_what_was_given() -> None:
    column: list[Any] = [3.0, 1.0, 2.0]
    given = {"a": column, "b": [column, column], "c": {"d": [{}]}}
    got = results.plain(given)
    assert got == given
    got["a"].sort()
    got["b"][0].append(4.0)
    got["c"]["d"][0]["e"] = 5
    assert got["b"][1] == column == [3.0, 1.0, 2.0]
    assert given["c"] == {"d": [{}]}


def test_what_has_no_form_is_refused_between_them_too() -> None:
    for value in (object(), [1, {len}], {"a": 1j}):
        with pytest.raises(UnfitError, match="no form in JSON"):
            results.plain(value)


@pytest.mark.parametrize("wrap", [lambda text: text, lambda text: [1, text]], ids=["bare", "list"])
def test_a_huge_text_is_left_to_an_encoder_that_can_run_out_of_memory(
    wrap: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "HUGE_TEXT", 10)
    monkeypatch.setattr(results, "quick", lambda _: pytest.fail("orjson would end the process"))
    assert json.loads(results.encode(wrap("ä" * 11))) == wrap("ä" * 11)
