"""What a function takes, in words and with an example; and how it is called from elsewhere."""

import ast
import shlex
from typing import Any

import pytest

from tabpy.tabpy_server.json_codec import loads
from tabpy.tabpy_server.web.page import examples
from tabpy.tabpy_server.web.page.parameters import (
    LONGEST_SAMPLE,
    parameters_of,
    positional_sample,
    result_of,
)
from tabpy.tabpy_tools.schema import generate_schema, schema_of

URL = "https://tabpy.test"


def test_a_signature_says_what_is_taken_and_what_may_be_left_out() -> None:
    def price(costs: list[float], names: list[str], margin: float = 0.25) -> list[int]:
        return []

    schema = schema_of(price)
    assert [(each.name, each.kind, each.is_required) for each in parameters_of(schema)] == [
        ("costs", "a list of numbers", True),
        ("names", "a list of texts", True),
        ("margin", "a number", False),
    ]
    assert [each.sample for each in parameters_of(schema)][1:] == [["a", "b", "c"], 0.25]
    assert result_of(schema) == "a list of whole numbers"


def test_an_example_that_somebody_gave_is_the_sample() -> None:
    schema = generate_schema({"x": [7, 8], "y": "ä"}, 1.0, {"x": "Sales", "y": "A name"})
    assert [(each.text, each.description) for each in parameters_of(schema)] == [
        ("[7, 8]", "Sales"),
        ('"ä"', "A name"),
    ]
    assert positional_sample(generate_schema([5, 6], 1)) == [[5, 6]]


def test_however_long_a_schema_is_its_words_are_few() -> None:
    properties = {"x": {"enum": ["a" * 1_000] * 50}, "y": {"type": "b" * 1_000}}
    choice, other = parameters_of({"input": {"properties": properties}})
    assert len(choice.kind) < 500
    assert len(other.kind) == 40


def test_a_long_example_is_no_sample() -> None:
    long = generate_schema([0] * LONGEST_SAMPLE, 1)
    assert positional_sample(long) == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("schema", "kind", "sample"),
    [
        ({}, "", [1, 2, 3]),
        ({"type": ["number", "null"]}, "a number", 1.5),
        ({"type": ["integer", "string"]}, "a whole number or a text", 1),
        ({"type": "boolean"}, "true or false", True),
        ({"type": "array"}, "a list", [1, 2, 3]),
        ({"type": "array", "items": {"type": "boolean"}}, "a list of flags", [True, False, True]),
        ({"type": "array", "items": {"type": "object"}}, "a list", [1, 2, 3]),
        ({"enum": ["a", 2]}, 'one of "a", 2', "a"),
        ({"enum": []}, "", [1, 2, 3]),
        ({"type": 5, "default": None}, "", None),
        ({"type": "number", "example": 9}, "a number", 9),
        ({"type": "array", "default": [0] * LONGEST_SAMPLE}, "a list", [1, 2, 3]),
    ],
)
def test_each_type_has_words_and_a_value(schema: dict[str, Any], kind: str, sample: Any) -> None:
    [found] = parameters_of({"input": {"properties": {"x": schema}}})
    assert (found.kind, found.sample) == (kind, sample)


@pytest.mark.parametrize("schema", [None, "x", 5, [], {"input": 5}, {"input": {"properties": []}}])
def test_of_what_is_no_schema_nothing_is_known(schema: object) -> None:
    assert parameters_of(schema) == []
    assert result_of(schema) == ""
    assert positional_sample(schema) == [[1, 2, 3]]


# --- calls ---

AWKWARD = {"costs": [1.5], "class": True, "Unit Price": None, "name": 'it\'s "ä" 🔑'}


def test_a_shell_passes_the_arguments_on_as_they_are() -> None:
    words = shlex.split(examples.curl(URL, "it's me", "With Tax", AWKWARD))
    assert words[:5] == ["curl", "-u", "it's me", f"{URL}/query/With%20Tax", "-d"]
    assert loads(words[5].encode()) == {"data": AWKWARD}


def test_python_does_so_too() -> None:
    program = ast.parse(examples.python(URL, "paolo", "Price", AWKWARD))
    [call] = (
        each
        for each in ast.walk(program)
        if isinstance(each, ast.Call) and ast.unparse(each.func) == "client.query"
    )
    given: dict[str, Any] = {}
    for each in call.keywords:
        value = ast.literal_eval(each.value)
        given |= {each.arg: value} if each.arg else value
    assert given == AWKWARD
    assert ast.literal_eval(call.args[0]) == "Price"


def test_an_open_server_gets_no_user() -> None:
    assert " -u " not in examples.curl(URL, None, "Price", [[1, 2]])
    program = examples.python(URL, None, "Price", [[1, 2]])
    assert "getpass" not in program
    assert "client.query('Price', [1, 2])" in program
