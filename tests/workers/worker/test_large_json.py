"""A text with long arrays is read in pieces, and nobody can tell."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabpy.tabpy_server import json_codec
from tabpy.tabpy_server.workers.worker import large_json

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.sampled_from('",[]{}\\: aä\n')),
)
VALUES = st.recursive(
    SCALARS, lambda each: st.lists(each) | st.dictionaries(st.text(max_size=3), each)
)
COLUMNS = st.lists(st.one_of(st.lists(SCALARS), VALUES))
BODIES = st.one_of(
    st.fixed_dictionaries({"data": COLUMNS, "script": st.text()}),
    st.fixed_dictionaries(
        {"script": st.text(), "data": st.dictionaries(st.text(max_size=5), st.lists(SCALARS))}
    ),
    VALUES,
)
FORMS: list[dict[str, Any]] = [
    {},
    {"separators": (",", ":")},
    {"indent": 1},
    {"ensure_ascii": False},
]


@pytest.fixture(autouse=True)
def _everything_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_json, "PIECE", 64)
    monkeypatch.setattr(large_json, "LONG", 8)
    monkeypatch.setattr(large_json, "SHORT", 8)


def read(text: bytes) -> Any:
    return large_json.loads(memoryview(text))


@given(BODIES, st.sampled_from(FORMS))
def test_it_is_read_as_it_would_be_at_once(body: Any, form: dict[str, Any]) -> None:
    text = json.dumps(body, **form).encode("utf-8", "surrogatepass")
    assert repr(read(text)) == repr(json_codec.loads(text))


@given(BODIES, st.integers(0, 10**6), st.binary(max_size=2) | st.sampled_from([b",", b"[", b"]"]))
def test_what_is_no_json_is_no_json_in_pieces(body: Any, at: int, typed: bytes) -> None:
    text = json.dumps(body).encode()
    at %= len(text) + 1
    broken = text[:at] + typed + text[at + len(typed) // 2 :]
    try:
        expected: Any = repr(json_codec.loads(broken))
    except ValueError as error:
        expected = type(error)
    try:
        found: Any = repr(read(broken))
    except ValueError as error:
        found = type(error)
    assert found == expected


def columns_of(length: int) -> dict[str, list[Any]]:
    source = random.Random(0)
    return {
        "numbers": [source.uniform(-1, 1) for _ in range(length)],
        "whole numbers": [source.randrange(-(10**9), 10**9) for _ in range(length)],
        "numbers and nulls": [source.choice([None, 1.5, 7]) for _ in range(length)],
        "nulls": [None] * length,
        "booleans": [source.choice([True, False]) for _ in range(length)],
        "texts": [source.choice(["a", "b, c", "d"]) for _ in range(length)],
        "texts and nulls": [source.choice(["a", None]) for _ in range(length)] + [None],
        "rows": [[1, 2.5, "x"] for _ in range(length)],
        "objects": [{"a": 1, "b": [2]} for _ in range(length)],
    }


@pytest.mark.parametrize("kind", [*columns_of(0)])
@pytest.mark.parametrize("form", FORMS[:2], ids=["blanks", "compact"])
def test_columns_of_each_kind_are_read_in_pieces(
    kind: str, form: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"data": {"_arg1": columns_of(100)[kind], "_arg2": [1.5] * 100}, "script": "return [1]"}
    text = json.dumps(body, **form).encode()
    monkeypatch.setattr(json_codec, "loads", only_short(json_codec.loads, 300))
    assert repr(read(text)) == repr(body)


def only_short(loads: Any, limit: int) -> Any:
    """Refuse what is left to be read at once."""

    def loads_short(text: bytes | memoryview) -> Any:
        assert len(text) < limit, "it wasn't read in pieces"
        return loads(text)

    return loads_short


@pytest.mark.parametrize("long", [2**64, 2**64 + 1, -(2**63) - 1, 10**40 + 1])
@pytest.mark.parametrize("others", [[1], [1.5, None], ["x"], [10**30]], ids=str)
def test_long_integers_are_exact(long: int, others: list[Any]) -> None:
    column = [*others * 50, long, *others * 50]
    assert read(json.dumps({"data": [column]}).encode()) == {"data": [column]}


def test_a_name_that_is_there_twice_is_the_last_ones() -> None:
    text = b'{"data": {"_arg1": [%b1], "_arg1": [%b2]}}' % (b"0, " * 50, b"9, " * 50)
    assert read(text) == {"data": {"_arg1": [9] * 50 + [2]}}


def test_a_script_may_have_arrays_in_it() -> None:
    body = {
        "script": "x = [" + "1, " * 99 + "]; return [_arg1, ']', \"[\"]",
        "data": {"_arg1": [7] * 99},
    }
    assert read(json.dumps(body).encode()) == body
