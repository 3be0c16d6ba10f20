"""Both sides: the frames that travel between a web process and its script workers.

A frame is a kind (one byte), the length of its meta (4 bytes), the length of its body (8 bytes),
the meta (a small JSON object) and the body (bytes, as they came or as they will be sent). What a
worker sends closes with `END`. The template's frame about a worker's death has no such byte
anywhere in it, so it can never complete what a worker was killed in the middle of.
"""

import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

from tabpy.tabpy_server import json_codec

HEADER = struct.Struct("!cIQ")

HELLO = b"H"  # worker: ready for a job; meta {"pid", "cold"}
JOB = b"J"  # web process: run this; meta says what it is, body is the request's raw body
RESULT = b"R"  # worker: body is the reply's JSON; meta may have "printed" and "retire"
ERROR = b"E"  # worker: meta {"status", "message", "info"}
NEED = b"N"  # worker, in the middle of a job: what does a function's name stand for; meta {"name"}
ANSWER = b"A"  # web process: meta {"reference"} or {"status", "message", "info"}
DEATH = b"D"  # template process: the worker is gone; meta {"reason"}

END = b"\xff"  # no byte of UTF-8


class Frame(NamedTuple):
    kind: bytes
    meta: dict[str, Any]
    body: bytes | memoryview


def head(kind: bytes, meta: Mapping[str, Any], body_length: int) -> bytes:
    """The bytes before the body."""
    encoded = json_codec.dumps(meta)
    return HEADER.pack(kind, len(encoded), body_length) + encoded


def sizes(header: bytes | bytearray | memoryview) -> tuple[bytes, int, int]:
    """Kind, meta length and body length of a header of `HEADER.size` bytes."""
    kind, meta_length, body_length = HEADER.unpack(header)
    return kind, meta_length, body_length
