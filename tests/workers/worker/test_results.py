"""What a script returns, as JSON that Tableau takes."""

import datetime
import decimal
import json
from typing import Any

import pytest

from tabpy.tabpy_server.workers.worker import results

NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (None, "null"),
        (True, "true"),
        (1, "1"),
        (1.0, "1.0"),
        ("ä\u2028", '"ä\u2028"'),
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


@pytest.mark.parametrize("value", [object(), {1, 2}, len, 1j, b"x", [[object()]], {"a": object()}])
def test_what_has_no_form_is_refused_by_its_type(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^The script returned an? .*, which has no form in JSON"):
        results.encode(value)


def test_what_goes_wrong_in_a_lazy_sequence_is_the_scripts_own_error() -> None:
    with pytest.raises(ZeroDivisionError):
        results.encode(1 / each for each in [1, 0])


def test_a_list_inside_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises((TypeError, ValueError, RecursionError)):
        results.encode(value)


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
    ("np.timedelta64(90, 's')", 90.0),
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
    "expression", ["np.complex128(1)", "np.array([1j])", "np.zeros(1, 'i4,i4')"]
)
def test_numpy_values_without_a_form_are_refused(expression: str) -> None:
    np = pytest.importorskip("numpy")
    with pytest.raises(TypeError, match="no form in JSON"):
        results.encode(eval(expression, {"np": np}))
