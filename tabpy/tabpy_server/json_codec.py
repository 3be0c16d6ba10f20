"""JSON as clients write it."""

import json
from typing import Any

import orjson


def loads(text: bytes | bytearray | memoryview) -> Any:
    """JSON, the way clients write it: what orjson refuses (integers over 64 bits, lone surrogates,
    NaN and infinities) is read by the slower `json`."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(bytes(text))


def dumps(value: Any) -> bytes:
    """JSON of whatever `loads` can read; NaN and infinities become null, as orjson has it."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        finite = json.loads(json.dumps(value), parse_constant=lambda _: None)
        return json.dumps(finite).encode()


def json_type(value: object) -> str:
    """What JSON calls it, for people who see their request and not our Python."""
    if value is None:
        return "null"
    names = {bool: "a boolean", str: "a string", list: "an array", dict: "an object"}
    return names.get(type(value), "a number")
