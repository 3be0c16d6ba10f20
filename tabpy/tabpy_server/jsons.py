"""JSON as clients write it."""

import json
from typing import Any

import orjson


def loads(text: bytes | memoryview) -> Any:
    """JSON, the way clients write it: what orjson refuses (integers over 64 bits, lone surrogates,
    NaN and infinities) is read by the slower `json`."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(bytes(text))


def json_type(value: object) -> str:
    """What JSON calls it, for people who see their request and not our Python."""
    if value is None:
        return "null"
    names = {bool: "a boolean", str: "a string", list: "an array", dict: "an object"}
    return names.get(type(value), "a number")
