"""Calls whose author wants to see what was printed on the server."""

from typing import Any

from tabpy.tabpy_tools.connection import Connection
from tabpy.tabpy_tools.rest import ResponseError


def debug(connection: Connection, body: object, *path: str, seconds: float | None) -> Any:
    """Post `body`, print here what was printed there, also where it failed, and return the reply.

    Raises what `Connection.ask` raises.
    """
    try:
        reply = connection.call(
            "POST", *path, body=body, parameters={"debug": "true"}, read_timeout=seconds
        )
    except ResponseError as error:
        _show(error.printed)
        raise
    if isinstance(reply, dict):
        _show(reply.get("printed"))
    return reply


def result_of(reply: Any) -> Any:
    """Return what a script returned. A server that can't debug replies with that alone."""
    is_told = isinstance(reply, dict) and reply.keys() == {"response", "printed"}
    return reply["response"] if is_told else reply


def _show(printed: object) -> None:
    if isinstance(printed, str) and printed:
        print(printed, end="" if printed.endswith("\n") else "\n")  # noqa: T201 - as if it ran here
