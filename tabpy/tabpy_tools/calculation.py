"""What to paste into Tableau for a deployed function."""

import keyword
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tabpy.tabpy_tools import hints
from tabpy.tabpy_tools.schema import is_inferred

# Tableau's types, by JSON Schema's.
_SUFFIXES = {"number": "REAL", "integer": "INT", "string": "STR", "boolean": "BOOL"}
_NOT_SUMMED = ("string", "boolean")


@dataclass(frozen=True)
class Calculation:
    """A call of the endpoint `name` with `arguments`, the names of its fields in Tableau.

    `types` are JSON Schema's types by argument, as far as they are known, `result` that of what
    comes back. `by_name`: the function takes arguments by these names. `keywords`: it isn't known
    that it takes them in this order, too.
    """

    name: str
    arguments: Sequence[str]
    types: Mapping[str, str]
    result: str
    by_name: bool
    keywords: bool = False

    @property
    def model(self) -> str | None:
        """The `MODEL_EXTENSION_` form, None where the function can't be called by names."""
        # Tableau sends the arguments by name, and splits their names at commas.
        if not self.by_name or not self.arguments or any("," in each for each in self.arguments):
            return None
        names = ",".join(self.arguments)
        return self._call("MODEL_EXTENSION", _quoted(self.name), _quoted(names))

    @property
    def script(self) -> str:
        """The `SCRIPT_` form, a script that can do something with the answer."""
        arguments = [f"_arg{number}" for number in range(1, len(self.arguments) + 1)]
        if self.keywords and all(map(_is_keyword, self.arguments)):
            pairs = zip(self.arguments, arguments, strict=True)
            arguments = [f"{name}={value}" for name, value in pairs]
        values = ", ".join([f"'{self.name}'", *arguments])
        return self._call("SCRIPT", _quoted(f"return tabpy.query({values})['response']"))

    def _call(self, function: str, *texts: str) -> str:
        fields = [_field(each, self.types.get(each, "")) for each in self.arguments]
        suffix = _SUFFIXES.get(self.result, "REAL")
        return f"{function}_{suffix}({', '.join([*texts, *fields])})"


def calculation_of(
    name: str, function: Callable[..., Any], schema: Mapping[str, Any] | None
) -> Calculation:
    """Return the calculation for a function and its schema.

    The arguments are those that have no default: Tableau sends a list for each, and a default is
    mostly no list. Where all have one, it's all.
    """
    properties, required = _properties(schema)
    named = hints.named_parameters(function)
    found = hints.parameters(function) or []
    if named is not None:
        needed = [each.name for each in named if each.default is each.empty]
        arguments = needed or [each.name for each in named]
    elif any(each.kind is each.VAR_KEYWORD for each in found) and properties:
        arguments = [each for each in properties if each in required] or list(properties)
    else:
        arguments = [each.name for each in found if each.default is each.empty] or ["_arg1"]
    return Calculation(
        name,
        tuple(arguments),
        {each: _element_type(properties.get(each)) for each in arguments},
        _element_type((schema or {}).get("output")),
        by_name=named is not None or bool(properties),
    )


def calculation_of_schema(name: str, schema: object) -> Calculation:
    """Return the calculation for a deployed function of which only its schema is known, if that.

    The arguments are those that the schema requires, else all it has; without any it's one list.
    """
    described = schema if isinstance(schema, Mapping) else None
    properties, required = _properties(described)
    arguments = [each for each in properties if each in required] or list(properties) or ["_arg1"]
    return Calculation(
        name,
        tuple(arguments),
        {each: _element_type(properties.get(each)) for each in arguments},
        _element_type((described or {}).get("output")),
        by_name=bool(properties),
        keywords=bool(properties) and not is_inferred(schema),
    )


def _is_keyword(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name)


def _properties(schema: Mapping[str, Any] | None) -> tuple[Mapping[str, Any], list[str]]:
    described = (schema or {}).get("input")
    if not isinstance(described, Mapping) or not isinstance(described.get("properties"), Mapping):
        return {}, []
    required = described.get("required")
    return described["properties"], required if isinstance(required, list) else []


def _element_type(schema: object) -> str:
    """Return the type of a column's values, or of one value; "" where the schema has no one."""
    if not isinstance(schema, Mapping):
        return ""
    if schema.get("type") == "array":
        return _element_type(schema.get("items"))
    kind = schema.get("type")
    kinds = [kind] if isinstance(kind, str) else kind if isinstance(kind, list) else []
    known = [each for each in kinds if each != "null"]
    return str(known[0]) if len(known) == 1 else ""


def _field(name: str, kind: str) -> str:
    field = f"[{name.replace(']', ']]')}]"
    return f"{'ATTR' if kind in _NOT_SUMMED else 'SUM'}({field})"


def _quoted(text: str) -> str:
    """Return Tableau's text literal: a quote in it is doubled."""
    doubled = text.replace('"', '""')
    return f'"{doubled}"'
