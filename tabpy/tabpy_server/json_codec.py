"""JSON as clients write it."""

import ast
import json
from typing import Any

import orjson

DIGITS = 19  # of the smallest integers that need more than 64 bits
PIECE = 1 << 20  # bytes looked at at a time
LONG = b"0" * DIGITS
DIGITS_AS_0 = bytes(ord("0") if chr(byte).isdecimal() and byte < 128 else 32 for byte in range(256))
BEFORE_INTEGER = b":,[ \t\r\n-"  # not in a text, nor behind a decimal point


def loads(text: bytes | bytearray | memoryview) -> Any:
    """Read JSON the way clients write it. Raises ValueError for what isn't JSON, RecursionError for
    what is nested too deeply.

    What orjson refuses (lone surrogates, NaN and infinities) is read by the slower `json`, and so
    are integers over 64 bits, which orjson reads as floats.
    """
    try:
        read = orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(bytes(text))
    if _may_have_long_integers(text):
        return json.loads(bytes(text))
    return read


def _may_have_long_integers(text: bytes | bytearray | memoryview) -> bool:
    """Tell whether an integer of 19 digits or more may be there, for a sixth of what parsing
    costs."""
    if len(text) <= PIECE:
        return has_long_integer(bytes(text))
    view = memoryview(text)
    starts = range(0, len(view), PIECE)
    return any(has_long_integer(bytes(view[max(0, at - DIGITS) : at + PIECE])) for at in starts)


def has_long_integer(piece: bytes) -> bool:
    """Tell whether there is an integer of 19 digits or more."""
    zeros = piece.translate(DIGITS_AS_0)
    at = zeros.find(LONG)
    while at >= 0:
        # Fractions are often as long, so this is quicker than a regular expression for all.
        begin = zeros.rfind(b" ", 0, at) + 1
        if begin == 0 or piece[begin - 1] in BEFORE_INTEGER:
            return True
        end = zeros.find(b" ", at)
        at = zeros.find(LONG, end) if end >= 0 else -1
    return False


def dumps(value: Any) -> bytes:
    """Write whatever `loads` can read, in ASCII; NaN and infinities become null, as orjson has it.

    What orjson refuses (integers over 64 bits, lone surrogates) is written by the slower `json`.
    Raises TypeError for what JSON has no form for.
    """
    try:
        return in_ascii(orjson.dumps(value))
    except orjson.JSONEncodeError:
        finite = json.loads(json.dumps(value), parse_constant=lambda _: None)
        return json.dumps(finite).encode()


def in_ascii(encoded: bytes) -> bytes:
    r"""Return orjson's JSON with each character that isn't ASCII as `\uXXXX`.

    Every TabPy sends such JSON, without a charset for /evaluate. So that is all that Tableau's
    clients are known to read: a Java client may take bytes without a charset for Latin-1.
    """
    if encoded.isascii():
        return encoded
    # The C encoder also escapes quotes and backslashes, which are right already: that is undone. No
    # NUL is in JSON, so it can stand for a pair of backslashes meanwhile.
    escaped = json.encoder.encode_basestring_ascii(encoded.decode())[1:-1]
    return escaped.replace("\\\\", "\0").replace('\\"', '"').replace("\0", "\\").encode()


def json_type(value: object) -> str:
    """Return what JSON calls a value, for people who see their request and not our Python."""
    if value is None:
        return "null"
    names = {bool: "a boolean", str: "a string", list: "an array", dict: "an object"}
    return names.get(type(value), "a number")


def object_in(text: str) -> dict[str, Any] | None:
    """Return the object in a text, which is JSON or what Python's `str` makes of a dict, as TabPy
    has schemas; None for any other, and for what JSON in UTF-8 can't carry.

    Megabytes of it take seconds and gigabytes: not for an event loop.
    """
    for parse in (json.loads, ast.literal_eval):
        try:
            value = parse(text)
            if isinstance(value, dict):
                json.dumps(value, ensure_ascii=False).encode()
                return value
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
    return None
