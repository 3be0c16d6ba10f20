"""`generate_schema`: JSON Schemas from examples, as TabPy's client makes them."""

from typing import Any

import numpy as np
import pytest

from tabpy.tabpy_tools.schema import generate_schema


def test_one_parameter() -> None:
    assert generate_schema(5, 25, "input value", "the squared value of input") == {
        "sample": 5,
        "input": {"type": "integer", "description": "input value"},
        "output": {"type": "integer", "description": "the squared value of input"},
    }


def test_several_parameters() -> None:
    schema = generate_schema(
        input={"x": 3, "y": [2.5]},
        output=6,
        input_description={"x": "value of x"},
        output_description="x times y",
    )
    assert schema["input"] == {
        "type": "object",
        "properties": {
            "x": {"type": "integer", "description": "value of x"},
            "y": {"type": "array", "items": {"type": "number"}},
        },
        "required": ["x", "y"],
    }


# The right-hand sides are what genson, which TabPy uses, makes of the left-hand ones.
@pytest.mark.parametrize(
    ("example", "schema"),
    [
        (None, {"type": "null"}),
        (True, {"type": "boolean"}),
        (1, {"type": "integer"}),
        (1.5, {"type": "number"}),
        ("a", {"type": "string"}),
        ([], {"type": "array"}),
        ({}, {"type": "object"}),
        ([1, 2.5], {"type": "array", "items": {"type": "number"}}),
        ([1, None], {"type": "array", "items": {"type": ["integer", "null"]}}),
        ([{}, 1], {"type": "array", "items": {"type": ["integer", "object"]}}),
        (
            [[1], ["a"]],
            {"type": "array", "items": {"type": "array", "items": {"type": ["integer", "string"]}}},
        ),
        (
            [{"a": 1}, {"a": 2, "b": None}],
            {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"a": {"type": "integer"}, "b": {"type": "null"}},
                    "required": ["a"],
                },
            },
        ),
        (
            [{}, {"a": 1}],
            {
                "type": "array",
                "items": {"type": "object", "properties": {"a": {"type": "integer"}}},
            },
        ),
        (
            [{"a": 1}, 1, "x"],
            {
                "type": "array",
                "items": {
                    "anyOf": [
                        {"type": ["integer", "string"]},
                        {
                            "type": "object",
                            "properties": {"a": {"type": "integer"}},
                            "required": ["a"],
                        },
                    ]
                },
            },
        ),
    ],
)
def test_the_narrowest_schema_of_an_example(example: object, schema: dict[str, Any]) -> None:
    assert generate_schema(example, 0)["input"] == schema


def test_arrays_count_as_lists() -> None:
    schema = generate_schema(np.array([1.5, 2.0]), np.int64(3))
    assert schema["sample"] == [1.5, 2.0]
    assert schema["input"] == {"type": "array", "items": {"type": "number"}}
    assert schema["output"] == {"type": "integer"}


@pytest.mark.parametrize(
    ("example", "description", "complaint"),
    [
        ({"x": 1}, "a number", r"has to be a dictionary with keys among \['x'\]"),
        ({"x": 1}, {"x": "a number", "z": "?"}, r"describes \['z'\], but the input has \['x'\]"),
        (1, {"x": "a number"}, "the input is none: give a string"),
    ],
)
def test_a_description_that_does_not_match_is_refused(
    example: object, description: str | dict[str, str], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        generate_schema(example, 1, description)


def test_a_value_without_json_form_is_refused() -> None:
    with pytest.raises(TypeError, match="You gave an object, which has no form in JSON"):
        generate_schema(object(), 1)
