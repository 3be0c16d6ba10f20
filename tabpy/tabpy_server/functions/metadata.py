"""What a client says of a function that it deploys."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tabpy.tabpy_server.errors import InvalidInputError
from tabpy.tabpy_server.functions.store.endpoint import ALIAS, MODEL
from tabpy.tabpy_server.json_codec import json_type
from tabpy.tabpy_tools.names import check_endpoint_name

DESCRIPTION_LIMIT = 64 << 10  # bytes of UTF-8; the store limits the whole, see `rows.LIMIT`
DEPTH = 100  # levels that a schema may have
CONTAINERS = (dict, list)  # JSON's
Types = type | tuple[type, ...]
FLAG = (bool, "a boolean")
FIELDS: Mapping[str, tuple[Types, str]] = {
    "description": (str, "a string"),
    "docstring": (str, "a string"),
    "methods": (list, "an array"),
    "dependencies": (list, "an array"),
    "target": (str, "a string"),
    "schema": ((dict, list, str), "an object"),
    "is_public": FLAG,
}


@dataclass(frozen=True)
class DeployRequest:
    """A request to deploy: a name, the given fields of `EndpointMetadata`, and what is known of the
    archive. `author` is who has signed in to send it, None where nobody has. `pure`: see
    `Endpoint`; None if nothing was said."""

    name: str
    type: str
    given: Mapping[str, Any]
    python: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    requirements: list[str] = field(default_factory=list)
    origin: str = ""
    author: str | None = None
    pure: bool | None = None

    @property
    def schema_text(self) -> str:
        """The schema, if it was given as a text and not as the object that may be in it."""
        schema = self.given.get("schema")
        return schema if isinstance(schema, str) else ""

    def with_schema(self, schema: dict[str, Any]) -> "DeployRequest":
        """Return it with what was in `schema_text`. Raises InvalidInputError."""
        _check_depth("schema", schema)
        return replace(self, given={**self.given, "schema": schema})


def parse_metadata(
    metadata: Any, name: str | None = None, author: str | None = None
) -> DeployRequest:
    """Return the request that a JSON value makes. `name` is the one in the request's path, `author`
    who has signed in.

    Walks over all of it, so megabytes belong on a thread. Raises InvalidInputError that names what
    is wrong.
    """
    if not isinstance(metadata, dict):
        raise InvalidInputError("Metadata is not a JSON object.", 'Expected {"name": ..., ...}.')
    name = _name(name or metadata.get("name"), "endpoint's name")
    kind = MODEL if metadata.get("type") is None else metadata["type"]
    if kind not in (MODEL, ALIAS):
        raise InvalidInputError(
            f"'{str(kind)[:40]}' is no type of endpoint.", "It is 'model' or 'alias'."
        )
    given = {}
    for key, (types, expected) in FIELDS.items():
        value = metadata.get(key)
        if value is None:
            continue
        _check_type(key, value, types, expected)
        given[key] = value
    pure = metadata.get("pure")
    if pure is not None:
        _check_type("pure", pure, *FLAG)
    _check_size(_text(metadata, "description"))
    for key, value in given.items():
        _check_depth(key, value)
    if given.get("target"):
        _name(given["target"], "target's name")
    return DeployRequest(
        name=name,
        type=kind,
        given=given,
        python=_text(metadata, "python"),
        packages=_texts_by_name(metadata, "packages"),
        requirements=_texts(metadata, "requirements"),
        origin=_text(metadata, "origin"),
        author=author,
        pure=pure,
    )


def _check_type(key: str, value: Any, types: Types, expected: str) -> None:
    if not isinstance(value, types):
        raise InvalidInputError(
            f"'{key}' is of the wrong type.", f"Expected {expected}, got {json_type(value)}."
        )


def _check_size(description: str) -> None:
    size = len(description.encode("utf-8", "surrogatepass"))
    if size > DESCRIPTION_LIMIT:
        raise InvalidInputError(
            "'description' is too large.",
            f"It has {size} bytes, and {DESCRIPTION_LIMIT} are allowed.",
        )


def _check_depth(key: str, value: Any) -> None:
    """Refuse JSON with more levels than may be: with very many, it can't be written again."""
    containers = [value] if type(value) in CONTAINERS else []
    for _ in range(DEPTH):
        containers = [
            inner
            for outer in containers
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) in CONTAINERS
        ]
    if containers:
        raise InvalidInputError(f"'{key}' is nested too deep.", f"{DEPTH} levels are allowed.")


def _name(name: Any, what: str) -> str:
    try:
        check_endpoint_name(name)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"The {what} can't be used.", str(error)) from None
    assert isinstance(name, str)
    return name


def _text(metadata: Mapping[str, Any], key: str) -> str:
    value = metadata.get(key)
    return value if isinstance(value, str) else ""


def _texts(metadata: Mapping[str, Any], key: str) -> list[str]:
    value = metadata.get(key) or []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise InvalidInputError(f"'{key}' is no array of strings.", 'Expected ["...", ...].')
    return value


def _texts_by_name(metadata: Mapping[str, Any], key: str) -> dict[str, str]:
    value = metadata.get(key) or {}
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise InvalidInputError(f"'{key}' is no object of strings.", 'Expected {"name": "..."}.')
    return value
