"""What a function takes, in words, with an example: from its schema, which may be anything."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LONGEST_SAMPLE = 2_000  # characters: a longer one would be the whole page
PLURALS = {"number": "numbers", "integer": "whole numbers", "string": "texts", "boolean": "flags"}
WORDS = {
    "number": "a number",
    "integer": "a whole number",
    "string": "a text",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "nothing",
}
MADE: Mapping[str, Any] = {
    "number": 1.5,
    "integer": 1,
    "string": "a",
    "boolean": True,
    "object": {},
    "null": None,
}


@dataclass(frozen=True)
class Parameter:
    """An argument: `kind` in words, `sample` a value that it could have, as JSON in `text`."""

    name: str
    kind: str
    description: str
    is_required: bool
    sample: Any
    text: str


def parameters_of(schema: object) -> list[Parameter]:
    """Return what a schema says of each argument, in its order; nothing of a schema without."""
    described = schema if isinstance(schema, Mapping) else {}
    inputs = _mapping(described.get("input"))
    properties = _mapping(inputs.get("properties"))
    required = inputs.get("required")
    samples = _mapping(described.get("sample"))
    return [
        _parameter(
            name, _mapping(one), name in required if isinstance(required, list) else False, samples
        )
        for name, one in properties.items()
    ]


def result_of(schema: object) -> str:
    """Return in words what comes back; "" where the schema doesn't say."""
    described = schema if isinstance(schema, Mapping) else {}
    return _kind(_mapping(described.get("output")))


def positional_sample(schema: object) -> list[Any]:
    """Return arguments for a function whose arguments have no names in its schema."""
    described = schema if isinstance(schema, Mapping) else {}
    if "sample" in described and _is_short(described["sample"]):
        return [described["sample"]]
    return [[1, 2, 3]]


def as_json(value: object) -> str:
    """Return it as people read it: letters are letters."""
    return json.dumps(value, ensure_ascii=False)


def _parameter(
    name: str, schema: Mapping[str, Any], is_required: bool, samples: Mapping[str, Any]
) -> Parameter:
    for source, key in ((samples, name), (schema, "default"), (schema, "example")):
        if key in source and _is_short(source[key]):
            sample = source[key]
            break
    else:
        sample = _made(schema)
    description = schema.get("description")
    return Parameter(
        name,
        _kind(schema),
        description if isinstance(description, str) else "",
        is_required,
        sample,
        as_json(sample),
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _types(schema: Mapping[str, Any]) -> list[str]:
    """Return its types but for null, which anything may be."""
    kind = schema.get("type")
    kinds = kind if isinstance(kind, list) else [kind]
    return [each for each in kinds if isinstance(each, str) and each != "null"]


def _kind(schema: Mapping[str, Any]) -> str:
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return "one of " + ", ".join(as_json(each)[:40] for each in schema["enum"][:10])
    types = _types(schema)
    if types == ["array"]:
        items = _types(_mapping(schema.get("items")))
        return (
            f"a list of {PLURALS[items[0]]}"
            if len(items) == 1 and items[0] in PLURALS
            else ("a list")
        )
    return " or ".join(WORDS.get(each, each[:40]) for each in types)


def _made(schema: Mapping[str, Any]) -> Any:
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][0]
    types = _types(schema)
    if not types:
        return [1, 2, 3]
    if types[0] != "array":
        return MADE.get(types[0])
    items = _types(_mapping(schema.get("items")))
    lists: Mapping[str, Any] = {
        "number": [1.5, 2.5, 3.5],
        "string": ["a", "b", "c"],
        "boolean": [True, False, True],
    }
    return lists.get(items[0] if items else "", [1, 2, 3])


def _is_short(value: object) -> bool:
    return len(as_json(value)) <= LONGEST_SAMPLE
