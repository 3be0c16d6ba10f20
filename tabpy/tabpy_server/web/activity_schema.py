"""The shape of what GET /activity answers."""

from collections.abc import Mapping

from tabpy.tabpy_server.web.schemas import NUMBER, TEXT, Schema, by_name, record

FLOAT: Schema = {"type": "number"}
MAYBE_BYTES: Schema = {"type": ["integer", "null"]}
DURATIONS: Schema = {  # milliseconds, to 8 %; null: there was none
    "oneOf": [record({"p50": FLOAT, "p99": FLOAT}), {"type": "null"}]
}
COUNTED: Mapping[str, Schema] = {
    "requests": NUMBER,
    "errors": by_name(NUMBER),
    "queued": DURATIONS,
    "run": DURATIONS,
}
ACTIVITY = record(
    {
        "machine": {"type": "string", "description": "Whose activity it is, and only its"},
        "sees": {"enum": ["all", "own"], "description": "Whose requests are listed"},
        "memory_limit": MAYBE_BYTES,
        "now": {"type": "number", "description": "Seconds since 1970"},
        "web_processes": NUMBER,
        "workers": NUMBER,
        "busy": NUMBER,
        "waiting": NUMBER,
        "memory": MAYBE_BYTES,
        "rate": {"type": "number", "description": "Requests a second"},
        "hour": record(COUNTED),
        "minutes": {
            "type": "array",
            "items": record(
                {
                    "at": NUMBER,
                    **COUNTED,
                    "busy": {"type": ["number", "null"], "description": "Workers, on average"},
                    "memory": MAYBE_BYTES,
                }
            ),
        },
        "requests": {
            "type": "array",
            "items": record(
                {
                    "at": FLOAT,
                    "id": TEXT,
                    "user": {"type": ["string", "null"]},
                    "method": TEXT,
                    "route": TEXT,
                    "status": NUMBER,
                    "queued_ms": FLOAT,
                    "run_ms": FLOAT,
                    "total_ms": FLOAT,
                    "error": {"type": ["string", "null"]},
                    "line": {"type": ["integer", "null"]},
                    "function": {"type": ["string", "null"]},
                }
            ),
        },
    }
)
