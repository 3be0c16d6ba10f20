"""Requests and histories, as tests need them."""

from typing import Any

from tabpy.tabpy_server.activity.history import History, Request

NOON = 1_764_590_400.0  # seconds since 1970, a whole minute


def request(at: float = NOON, **facts: Any) -> Request:
    """A script of Anna's that worked, but for these facts."""
    usual: dict[str, Any] = {
        "id": "id",
        "user": "anna",
        "method": "POST",
        "route": "/evaluate",
        "status": 200,
        "queued_ms": 0.0,
        "run_ms": 10.0,
        "total_ms": 12.0,
    }
    return Request(at, **{**usual, **facts})


def history(*requests: Request) -> History:
    made = History()
    for each in requests:
        made.note(each, signed_in=True)
    return made
