"""JSON Schemas from examples or type hints, for people who look up how to call an endpoint."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tabpy.tabpy_tools import hints
from tabpy.tabpy_tools.jsonable import values_of

Schema = dict[str, Any]

# How a schema that nobody wrote is told from one that somebody did.
_INFERRED = {"$comment": "From the function's type hints and defaults."}
_SCALARS = {type(None): "null", bool: "boolean", int: "integer", float: "number", str: "string"}


def generate_schema(
    input: object,  # noqa: A002 - the names are TabPy's
    output: object,
    input_description: str | dict[str, str] | None = None,
    output_description: str | dict[str, str] | None = None,
) -> dict[str, Any]:
    """Make `{"input": schema, "sample": input, "output": schema}` of a function, from one example.

    For one parameter, `input` is its value and `input_description` a sentence. For several, both
    are dictionaries by parameter name; so may `output` and its description be. The schemas follow
    json-schema.org. Raises TypeError for values that JSON has no form for and ValueError for
    descriptions that don't match their example.
    """
    sample = values_of(input)
    return {
        "input": _described("input", _schema([sample]), input_description),
        "sample": sample,
        "output": _described("output", _schema([values_of(output)]), output_description),
    }


def schema_of(function: Callable[..., Any]) -> dict[str, Any] | None:
    """Make `{"input": schema, "output": schema}` of a function's signature.

    `input` has a property for each argument; its type is that of the hint, else of the default.
    What isn't known is left out, None if that is all. Raises nothing, whatever the hints are.
    """
    try:
        known = {
            "input": hints.input_schema(function),
            "output": hints.output_schema(function),
        }
        found = values_of({key: schema for key, schema in known.items() if schema is not None})
    except Exception:  # noqa: BLE001 - hints can be anybody's objects
        return None
    return {**_INFERRED, **found} if found else None


def is_inferred(schema: object) -> bool:
    """Tell whether `schema_of` made it."""
    return isinstance(schema, Mapping) and _INFERRED.items() <= schema.items()


def _described(role: str, schema: Schema, description: str | dict[str, str] | None) -> Schema:
    properties: dict[str, Schema] | None = schema.get("properties")
    if description is None:
        return schema
    if properties is None:
        if isinstance(description, dict):
            raise ValueError(
                f"{role}_description is a dictionary, but the {role} is none: give a string."
            )
        return schema | {"description": description}
    if not isinstance(description, dict):
        raise ValueError(
            f"{role}_description has to be a dictionary with keys among {sorted(properties)}, as "
            f"the {role} is one."
        )
    if unknown := sorted(description.keys() - properties.keys()):
        raise ValueError(
            f"{role}_description describes {unknown}, but the {role} has {sorted(properties)}."
        )
    for key, text in description.items():
        properties[key]["description"] = text
    return schema


def _schema(samples: Sequence[Any]) -> Schema:
    """Return the narrowest schema that all samples conform to."""
    types = {_SCALARS[type(sample)] for sample in samples if type(sample) in _SCALARS}
    if "number" in types:
        types.discard("integer")
    structures = []
    if arrays := [sample for sample in samples if isinstance(sample, list)]:
        structures.append(_array(arrays))
    if objects := [sample for sample in samples if isinstance(sample, dict)]:
        structures.append(_object(objects))
    detailed = []
    for structure in structures:
        if len(structure) > 1:
            detailed.append(structure)
        else:
            types.add(structure["type"])
    alternatives = [_of_types(types), *detailed] if types else detailed
    return alternatives[0] if len(alternatives) == 1 else {"anyOf": alternatives}


def _of_types(types: set[str]) -> Schema:
    return {"type": sorted(types) if len(types) > 1 else next(iter(types))}


def _array(arrays: Sequence[list[Any]]) -> Schema:
    items = [item for array in arrays for item in array]
    return {"type": "array", "items": _schema(items)} if items else {"type": "array"}


def _object(objects: Sequence[dict[str, Any]]) -> Schema:
    schema: Schema = {"type": "object"}
    names = list(dict.fromkeys(name for each in objects for name in each))
    if names:
        schema["properties"] = {
            name: _schema([each[name] for each in objects if name in each]) for name in names
        }
    if required := [name for name in names if all(name in each for each in objects)]:
        schema["required"] = sorted(required)
    return schema
