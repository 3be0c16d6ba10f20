"""What a function's signature says of its arguments and result, as JSON Schemas."""

import collections.abc
import datetime
import decimal
import enum
import inspect
import math
import sys
import types
import typing
import uuid
from collections.abc import Callable, Sequence
from typing import Any

Schema = dict[str, Any]

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_SIMPLE: dict[type, Schema] = {
    type(None): {"type": "null"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    decimal.Decimal: {"type": "number"},
    datetime.timedelta: {"type": "number"},
    str: {"type": "string"},
    uuid.UUID: {"type": "string", "format": "uuid"},
    datetime.datetime: {"type": "string", "format": "date-time"},
    datetime.date: {"type": "string", "format": "date"},
    datetime.time: {"type": "string", "format": "time"},
}
# By the names of classes, so that nothing is imported for it.
_OF_LIBRARIES: dict[str, Schema] = {
    "numpy.ndarray": {"type": "array"},
    "pandas.Series": {"type": "array"},
    "pandas.Index": {"type": "array"},
    "pandas.DataFrame": {"type": "object"},
    "pandas.Timestamp": {"type": "string", "format": "date-time"},
}
# Other names of a hint, by their type's name, and where they have it.
_ALIASES = {"NewType": "__supertype__", "TypeAliasType": "__value__"}
_UNIONS = (typing.Union, types.UnionType)


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter] | None:
    """Return the parameters of anything callable, None where Python can't tell."""
    found = _signature(function)
    return None if found is None else list(found.parameters.values())


def named_parameters(function: Callable[..., Any]) -> list[inspect.Parameter] | None:
    """Return those that can be given by name, None where there must be others or none is known."""
    found = parameters(function)
    if found is None or any(
        each.kind is inspect.Parameter.POSITIONAL_ONLY and each.default is inspect.Parameter.empty
        for each in found
    ):
        return None
    return [each for each in found if each.kind in _NAMED] or None


def input_schema(function: Callable[..., Any]) -> Schema | None:
    """Return an object with a property for each argument, None where no names are known."""
    named = named_parameters(function)
    if named is None:
        return None
    schema: Schema = {
        "type": "object",
        "properties": {each.name: _parameter_schema(each) for each in named},
    }
    required = [each.name for each in named if each.default is inspect.Parameter.empty]
    return schema | {"required": required} if required else schema


def output_schema(function: Callable[..., Any]) -> Schema | None:
    """Return the schema of what it returns, None where nothing says so."""
    found = _signature(function)
    if found is None or found.return_annotation is inspect.Signature.empty:
        return None
    return of_hint(found.return_annotation) or None


def of_hint(hint: Any) -> Schema:
    """Return the schema of a type hint; an empty one, which fits anything, where it tells none."""
    if hint is None:
        return of_hint(type(None))
    if name := _ALIASES.get(type(hint).__name__):
        return of_hint(getattr(hint, name))
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return of_hint(arguments[0])
    if origin in _UNIONS:
        return _any_of([of_hint(each) for each in arguments])
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    kind = hint if origin is None else origin
    return _of_class(kind, arguments) if isinstance(kind, type) else {}


def _of_class(kind: type, arguments: Sequence[Any]) -> Schema:
    for base in kind.__mro__:
        name = f"{base.__module__.partition('.')[0]}.{base.__name__}"
        if name in _OF_LIBRARIES:
            return dict(_OF_LIBRARIES[name])
    if issubclass(kind, enum.Enum):
        return {"enum": [each.value for each in kind]}
    if issubclass(kind, collections.abc.Mapping):
        return _with({"type": "object"}, "additionalProperties", arguments[1:2])
    if issubclass(kind, collections.abc.Iterable) and not issubclass(kind, str | bytes):
        alike = not issubclass(kind, tuple) or arguments[1:] == (Ellipsis,)
        return _with({"type": "array"}, "items", arguments[:1] if alike else ())
    return next((dict(_SIMPLE[base]) for base in kind.__mro__ if base in _SIMPLE), {})


def _with(schema: Schema, key: str, arguments: Sequence[Any]) -> Schema:
    inside = of_hint(arguments[0]) if arguments else {}
    return schema | {key: inside} if inside else schema


def _any_of(schemas: Sequence[Schema]) -> Schema:
    """Return what fits one of them: one list of types where that says it all."""
    if not all(schemas):
        return {}
    if all(each.keys() == {"type"} for each in schemas):
        return {"type": sorted({each["type"] for each in schemas})}
    return {"anyOf": list(schemas)}


def _parameter_schema(parameter: inspect.Parameter) -> Schema:
    has_hint = parameter.annotation is not inspect.Parameter.empty
    schema = of_hint(parameter.annotation) if has_hint else {}
    if parameter.default is inspect.Parameter.empty:
        return schema
    default = parameter.default
    if not schema and default is not None:
        schema = of_hint(type(default))
    # Not whole tables: a schema is for people, and its size is limited.
    return schema | {"default": default} if _is_short(default) else schema


def _is_short(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or type(value) in (bool, int) or (type(value) is str and len(value) < 200)


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    """Return the signature, with hints as objects where their names are known here."""
    ways: list[dict[str, Any]] = [{"eval_str": True}, {}]
    if sys.version_info >= (3, 14):
        from annotationlib import Format

        ways.append({"annotation_format": Format.FORWARDREF})
    for options in ways:
        try:
            return inspect.signature(function, **options)
        except Exception:  # noqa: BLE001, S112 # nosec B112 - a hint may raise anything
            continue
    return None
