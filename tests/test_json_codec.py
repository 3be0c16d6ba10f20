"""JSON as clients write it."""

import json
import math
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabpy.tabpy_server.json_codec import PIECE, dumps, in_ascii, json_type, loads

# orjson refuses lone surrogates, which `json` writes.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, 2.5, null, true, "x"]}', {"a": [1, 2.5, None, True, "x"]}),
        (" [] \n", []),
        ("9223372036854775807", 2**63 - 1),
        ("18446744073709551615", 2**64 - 1),
        (str(2**100), 2**100),  # a power of two is the same as a float
        ('"\\ud800"', "\ud800"),
        ("Infinity", math.inf),
        ("[-Infinity, 1]", [-math.inf, 1]),
    ],
)
def test_what_clients_write_is_read(text: str, value: Any) -> None:
    for kind in (bytes, bytearray, memoryview):
        assert loads(kind(text.encode())) == value


@pytest.mark.parametrize(
    "number", [2**64, 2**64 + 1, -(2**63) - 1, 123456789012345678901234567890, -(10**400) - 1]
)
@pytest.mark.parametrize("form", ["{}", "[{}]", '{{"a": [1,{}, 2]}}', '{{"a":{}}}', " \n{}"])
def test_long_integers_are_exact(number: int, form: str) -> None:
    # differences 25
    text = form.format(number).encode()
    for kind in (bytes, bytearray, memoryview):
        assert loads(kind(text)) == json.loads(text)


@pytest.mark.parametrize("before", [PIECE - 30, PIECE - 19, PIECE - 10, PIECE, PIECE + 5])
def test_long_integers_are_exact_wherever_they_stand(before: int) -> None:
    # differences 25
    text = b"[" + b" " * before + str(2**70 + 1).encode() + b"]"
    assert loads(text) == [2**70 + 1]


def test_digits_that_are_no_integer_are_left_to_the_quick_reader(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # differences 25
    monkeypatch.setattr(json, "loads", lambda _: pytest.fail("slow"))
    assert loads(b'["12345678901234567890", 0.12345678901234567890, 1234567890123456]') == [
        "12345678901234567890",
        0.12345678901234567890,
        1234567890123456,
    ]


def test_an_integer_of_more_digits_than_python_reads_is_a_value_error() -> None:
    # differences 25
    with pytest.raises(ValueError, match="digits"):
        loads(b"[1" + b"0" * 5000 + b"]")


def test_nan_is_read() -> None:
    assert math.isnan(loads(b"NaN"))


@pytest.mark.parametrize("text", [b"", b"{", b"[1,]", b"{'a': 1}", b"nan", b'"\xff"', b"1 2"])
def test_what_is_no_json_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        loads(text)


@pytest.mark.parametrize("value", [2**100, -(2**100), "\ud800", {"\udfff": [2**64]}, [None, 1.5]])
def test_what_can_be_read_can_be_written(value: Any) -> None:
    assert json.loads(dumps(value)) == value


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("beside", [1, 2**100])  # which `json` has to write
def test_what_is_no_number_becomes_null(number: float, beside: int) -> None:
    assert json.loads(dumps([number, {"a": number}, beside])) == [None, {"a": None}, beside]


def test_what_json_has_no_form_for_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        dumps({1, 2})


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "null"),
        (True, "a boolean"),
        ("x", "a string"),
        ([], "an array"),
        ({}, "an object"),
        (1, "a number"),
        (1.5, "a number"),
    ],
)
def test_values_are_called_what_json_calls_them(value: object, name: str) -> None:
    assert json_type(value) == name


@pytest.mark.parametrize(
    "value",
    [
        "é",
        'Größe \\u00e9 \\ \\\\ " \\" é\\',
        {"東京": ["\x00\x7f\u2028", "😀", '"', "\\", "\\n", "\n"]},
        ["\\é", "é\\", '\\\\é"', 'é"', '\\"é'],
    ],
)
def test_what_is_written_is_ascii_and_says_the_same(value: object) -> None:  # differences 36
    written = dumps(value)
    assert written.isascii()
    assert json.loads(written) == value


@given(st.recursive(TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner)))
def test_whatever_the_text_is_it_is_ascii_and_says_the_same(value: object) -> None:
    written = in_ascii(orjson.dumps(value))
    assert written.isascii()
    assert json.loads(written) == value
