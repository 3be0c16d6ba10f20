"""What a route's method takes and answers, said beside it: `/openapi.json` is made of that.

    @operation("Run a script", Reply(200, "What it returned", ANY), body=Body(SCRIPT))
    async def post(self) -> None:

Every route also gives the errors of `web.openapi`; a method names the others that it can give.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from tabpy.tabpy_server.web.schemas import JSON, Schema

Method = TypeVar("Method", bound=Callable[..., object])


@dataclass(frozen=True)
class Reply:
    """One of the answers of a method that works. Without a schema there is no body."""

    status: int
    description: str
    schema: Schema | None = None
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)  # names to what they say


@dataclass(frozen=True)
class Body:
    """What a request carries: a schema for each type of content that it may have."""

    content: Mapping[str, Schema]
    required: bool = True


@dataclass(frozen=True)
class Parameter:
    """What the query of an URL may say."""

    name: str
    description: str
    schema: Schema


@dataclass(frozen=True)
class Operation:
    """A method of a route."""

    summary: str
    replies: tuple[Reply, ...]
    body: Body | None
    errors: tuple[int, ...]
    query: tuple[Parameter, ...]


_OPERATIONS: dict[Callable[..., object], Operation] = {}


def operation(
    summary: str,
    *replies: Reply,
    body: Body | None = None,
    errors: tuple[int, ...] = (),
    query: tuple[Parameter, ...] = (),
) -> Callable[[Method], Method]:
    """Say what the method below it does. `errors`: statuses that not every route can give."""

    def declare(method: Method) -> Method:
        _OPERATIONS[method] = Operation(summary, replies, body, errors, query)
        return method

    return declare


def operation_of(method: Callable[..., object]) -> Operation | None:
    """Return what was said of a method, if anything was."""
    return _OPERATIONS.get(method)
