"""What clients say of a function is taken as it is, or refused with what would be right."""

import ast
from typing import Any

import pytest

from tabpy.tabpy_server.errors import InvalidInputError
from tabpy.tabpy_server.functions.metadata import (
    DEPTH,
    DESCRIPTION_LIMIT,
    DeployRequest,
    parse_metadata,
)


@pytest.mark.parametrize("character", ["a", "ä", "\ud800"])
def test_a_description_has_a_limit(character: str) -> None:
    largest = character * (DESCRIPTION_LIMIT // len(character.encode("utf-8", "surrogatepass")))
    assert parse_metadata({"name": "f", "description": largest}).given == {"description": largest}
    size = len((largest + "aaa").encode("utf-8", "surrogatepass"))
    assert refusal({"name": "f", "description": largest + "aaa"}) == (
        f"'description' is too large. It has {size} bytes, and 65536 are allowed."
    )


def nested(levels: int, *, objects: bool = False) -> Any:
    value: Any = {} if objects else []
    for _ in range(levels - 1):
        value = {"a": value} if objects else [0, value]
    return value


def refusal(metadata: Any, name: str | None = None) -> str:
    with pytest.raises(InvalidInputError) as raised:
        parse_metadata(metadata, name)
    return str(raised.value)


def test_what_is_said_is_taken_and_what_is_null_is_not_said() -> None:
    said = {
        "name": "f",
        "description": "d",
        "docstring": "",
        "methods": [],
        "dependencies": ["g"],
        "target": None,
        "schema": {"a": 1},
        "is_public": False,
        "python": "3.11.7",
        "packages": {"numpy": "2"},
        "requirements": ["numpy"],
        "origin": "o",
        "unknown": 5,
    }
    given = {"description", "docstring", "methods", "dependencies", "schema", "is_public"}
    assert parse_metadata(said) == DeployRequest(
        "f",
        "model",
        {key: said[key] for key in given},
        "3.11.7",
        {"numpy": "2"},
        ["numpy"],
        "o",
    )


@pytest.mark.parametrize("pure", [True, False, None])
def test_whether_it_is_pure_is_said_or_not(pure: bool | None) -> None:
    assert parse_metadata({"name": "f", "pure": pure}) == DeployRequest("f", "model", {}, pure=pure)


def test_the_name_in_the_path_counts() -> None:
    assert parse_metadata({"name": "other"}, "f").name == "f"
    assert parse_metadata({}, "f") == DeployRequest("f", "model", {})


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ([], 'Metadata is not a JSON object. Expected {"name": ..., ...}.'),
        ({}, "The endpoint's name can't be used. An endpoint's name is a string, not NoneType."),
        ({"name": "a/b"}, "The endpoint's name can't be used. 'a/b' can't name an endpoint:"),
        ({"name": "f", "type": "x" * 50}, f"'{'x' * 40}' is no type of endpoint. It is 'model'"),
        ({"name": "f", "type": {}}, "'{}' is no type of endpoint. It is 'model' or 'alias'."),
        (
            {"name": "f", "schema": 5},
            "'schema' is of the wrong type. Expected an object, got a number.",
        ),
        (
            {"name": "f", "is_public": 1},
            "'is_public' is of the wrong type. Expected a boolean, got a number.",
        ),
        ({"name": "f", "target": "a/b"}, "The target's name can't be used."),
        ({"name": "f", "requirements": [1]}, "'requirements' is no array of strings."),
        ({"name": "f", "packages": {"a": 1}}, "'packages' is no object of strings."),
    ],
)
def test_what_cannot_be_right_is_named(metadata: Any, message: str) -> None:
    assert refusal(metadata).startswith(message)


@pytest.mark.parametrize("key", ["schema", "methods", "dependencies"])
@pytest.mark.parametrize("objects", [False, True])
def test_nesting_has_a_limit(key: str, objects: bool) -> None:
    def metadata(levels: int) -> dict[str, Any]:
        inside = levels if key == "schema" else levels - 1
        value = nested(inside, objects=objects)
        return {"name": "f", key: value if key == "schema" else [value]}

    assert parse_metadata(metadata(DEPTH)).given.keys() == {key}
    assert (
        refusal(metadata(DEPTH + 1)) == f"'{key}' is nested too deep. {DEPTH} levels are allowed."
    )


def test_a_schema_that_is_a_text_is_left_to_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ast, "literal_eval", None)
    request = parse_metadata({"name": "f", "description": "d", "schema": "{'a': 1}"})
    assert request.schema_text == "{'a': 1}"
    assert parse_metadata({"name": "f", "schema": {"a": 1}}).schema_text == ""
    assert parse_metadata({"name": "f"}).schema_text == ""


def test_what_a_worker_found_in_it_takes_its_place() -> None:
    request = parse_metadata({"name": "f", "description": "d", "schema": "text"})
    found = request.with_schema({"a": 1})
    assert found.given == {"description": "d", "schema": {"a": 1}}
    assert found.schema_text == ""
    with pytest.raises(InvalidInputError, match="'schema' is nested too deep"):
        request.with_schema(nested(DEPTH + 1, objects=True))
