"""What a client says of a function that it deploys."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tabpy.tabpy_server.errors import RequestError
from tabpy.tabpy_server.functions.legacy.state_folder import schema_in
from tabpy.tabpy_server.functions.store.endpoint import ALIAS, MODEL
from tabpy.tabpy_server.json_codec import json_type
from tabpy.tabpy_tools.names import check_endpoint_name

DEPTH = 100  # levels that a schema may have
FIELDS: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    "description": (str, "a string"),
    "docstring": (str, "a string"),
    "methods": (list, "an array"),
    "dependencies": (list, "an array"),
    "target": (str, "a string"),
    "schema": ((dict, list, str), "an object"),
    "is_public": (bool, "a boolean"),
}


@dataclass(frozen=True)
class DeployRequest:
    """A request to deploy: a name, the given fields of `EndpointMetadata`, and what is known of the
    archive."""

    name: str
    type: str
    given: Mapping[str, Any]
    python: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    requirements: list[str] = field(default_factory=list)
    origin: str = ""


def parse_metadata(metadata: Any, name: str | None = None) -> DeployRequest:
    """A deployment from a request's JSON. `name` is the one in its path.

    Raises RequestError 400 that names what is wrong.
    """
    if not isinstance(metadata, dict):
        raise RequestError(400, "Metadata is not a JSON object.", 'Expected {"name": ..., ...}.')
    name = name or metadata.get("name")
    _check_name(name, "endpoint's name")
    assert name is not None
    kind = MODEL if metadata.get("type") is None else metadata["type"]
    if kind not in (MODEL, ALIAS):
        raise RequestError(
            400, f"'{str(kind)[:40]}' is no type of endpoint.", "It is 'model' or 'alias'."
        )
    given = {}
    for key, (types, expected) in FIELDS.items():
        value = metadata.get(key)
        if value is None:
            continue
        if not isinstance(value, types):
            raise RequestError(
                400,
                f"'{key}' is of the wrong type.",
                f"Expected {expected}, got {json_type(value)}.",
            )
        given[key] = value
    if isinstance(given.get("schema"), str):  # TabPy's client sends a dict's text
        given["schema"] = schema_in(given["schema"]) or given["schema"]
    for key, value in given.items():
        if not _fits(value, DEPTH):
            raise RequestError(400, f"'{key}' is nested too deep.", f"{DEPTH} levels are allowed.")
    if given.get("target"):
        _check_name(given["target"], "target's name")
    return DeployRequest(
        name=name,
        type=kind,
        given=given,
        python=_text(metadata, "python"),
        packages=_texts_by_name(metadata, "packages"),
        requirements=_texts(metadata, "requirements"),
        origin=_text(metadata, "origin"),
    )


def _fits(value: Any, levels: int) -> bool:
    """Whether JSON has at most so many levels: with very many, it can't be written again."""
    parts = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(parts, list):
        return True
    return levels > 0 and all(_fits(each, levels - 1) for each in parts)


def _check_name(name: Any, what: str) -> None:
    try:
        check_endpoint_name(name)
    except (TypeError, ValueError) as problem:
        raise RequestError(400, f"The {what} can't be used.", str(problem)) from None


def _text(metadata: Mapping[str, Any], key: str) -> str:
    value = metadata.get(key)
    return value if isinstance(value, str) else ""


def _texts(metadata: Mapping[str, Any], key: str) -> list[str]:
    value = metadata.get(key) or []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise RequestError(400, f"'{key}' is no array of strings.", 'Expected ["...", ...].')
    return value


def _texts_by_name(metadata: Mapping[str, Any], key: str) -> dict[str, str]:
    value = metadata.get(key) or {}
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise RequestError(400, f"'{key}' is no object of strings.", 'Expected {"name": "..."}.')
    return value
