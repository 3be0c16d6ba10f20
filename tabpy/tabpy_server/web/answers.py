"""The one table from what went wrong to an HTTP answer: status, words and headers."""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from tornado.web import HTTPError

from tabpy.tabpy_server import errors
from tabpy.tabpy_server.errors import TabPyError


@dataclass(frozen=True)
class Challenge:
    """How to sign in: a scheme, and what WWW-Authenticate says of the last try (RFC 6750, 3)."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What a refused request gets: `{"message", "info"}` as JSON, `headers` and a `challenge`."""

    status: int
    message: str
    info: str
    headers: Mapping[str, str] = field(default_factory=dict)
    challenge: Challenge | None = None


class RefusedRequestError(Exception):
    """A request that HTTP itself has an answer for: it is too large, or goes somewhere else."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.message)
        self.answer = answer


CLIENT_CLOSED = 499  # nginx's number for a client that didn't wait; for the log only

# What a client is told of. Whatever else is raised is an accident: it is logged, and answered 500.
TOLD = (TabPyError, RefusedRequestError)
Told = TabPyError | RefusedRequestError

STATUSES: Mapping[type[TabPyError], int] = {
    errors.InvalidInputError: 400,
    errors.WrongCredentialsError: 401,
    errors.WrongTokenError: 401,
    errors.KeysUnavailableError: 503,
    errors.MissingRightError: 403,
    errors.MissingScopeError: 403,
    errors.TooManySignInsError: 429,
    errors.UnexpectedCredentialsError: 406,  # as TabPy answers
    errors.ScriptFailedError: 500,
    errors.FunctionFailedError: 500,
    errors.JobTimeoutError: 408,
    errors.FunctionNotReadyError: 503,
    errors.AllBusyError: 503,
    errors.QueueFullError: 503,
    errors.WorkerDiedError: 500,
    errors.ClusterUnavailableError: 503,
    errors.DrainingError: 503,
    errors.NoWorkersError: 503,
    errors.StartingError: 503,
    errors.InternalError: 500,
    errors.UnknownTableError: 400,
    errors.TablesFullError: 503,
    errors.BadTableError: 500,
    errors.FlightUnavailableError: 503,
    errors.UnknownFunctionError: 404,
    errors.UnknownEndpointError: 404,
    errors.UnknownVersionError: 404,
    errors.EndpointExistsError: 400,
    errors.NotLoadableError: 500,
    errors.RefusedError: 400,
    errors.MissingArchiveError: 400,
    errors.StoreUnavailableError: 503,
    errors.DiskFullError: 507,
    errors.MetricsUnavailableError: 503,
}
HEADERS: Mapping[type[TabPyError], Callable[..., Mapping[str, str]]] = {
    errors.KeysUnavailableError: lambda _: {"Retry-After": "5"},
    errors.TooManySignInsError: lambda error: {"Retry-After": f"{error.wait:.0f}"},
    errors.FunctionNotReadyError: lambda _: {"Retry-After": "5"},
    errors.AllBusyError: lambda _: {"Retry-After": "5"},
    errors.QueueFullError: lambda _: {"Retry-After": "5"},
    errors.DrainingError: lambda _: {"Retry-After": "2"},
    errors.StartingError: lambda _: {"Retry-After": "1"},
    errors.ClusterUnavailableError: lambda _: {"Retry-After": "5"},
    errors.NoWorkersError: lambda _: {"Retry-After": "5"},
    errors.TablesFullError: lambda _: {"Retry-After": "60"},
    errors.FlightUnavailableError: lambda _: {"Retry-After": "5"},
    errors.StoreUnavailableError: lambda _: {"Retry-After": "5"},
}
BASIC, BEARER = "Basic", "Bearer"
CHALLENGES: Mapping[type[TabPyError], Callable[..., Challenge]] = {
    errors.WrongCredentialsError: lambda _: Challenge(BASIC),
    errors.WrongTokenError: lambda error: Challenge(
        BEARER,
        {"error": "invalid_token", "error_description": error.reason} if error.reason else {},
    ),
    errors.MissingScopeError: lambda error: Challenge(
        BEARER, {"error": "insufficient_scope", "scope": error.scope}
    ),
}
# What only HTTP clients have a use for.
INFOS: Mapping[type[TabPyError], Callable[..., str]] = {
    errors.EndpointExistsError: lambda error: (
        f"PUT /endpoints/{error.name} replaces it (the client: override=True)."
    ),
    errors.MissingArchiveError: lambda _: (
        "Send one as the part 'archive' of a multipart request, or name it with src_path."
    ),
}


def answer_to(error: Told) -> Answer:
    """Return what the client is told of `error`."""
    if isinstance(error, RefusedRequestError):
        return error.answer
    kind = type(error)
    return Answer(
        STATUSES[kind],
        error.message,
        INFOS[kind](error) if kind in INFOS else error.info,
        HEADERS[kind](error) if kind in HEADERS else {},
        CHALLENGES[kind](error) if kind in CHALLENGES else None,
    )


# Errors that somebody who runs the server has to mend; the others are their sender's or author's.
OURS = (
    errors.InternalError,
    errors.NoWorkersError,
    errors.StoreUnavailableError,
    errors.MetricsUnavailableError,
    errors.KeysUnavailableError,
    errors.FlightUnavailableError,
)
RAISED = re.compile("([A-Za-z_][A-Za-z0-9_.]{0,79}) :")  # how `info` begins after a failed script


@dataclass(frozen=True)
class Reason:
    """Why a request failed, as the log may say it: never anything that a client sent or a script
    works on.

    `kind`: a class, or what HTTP calls the status; None for one that didn't fail. `at`: the
    line and the function where a script failed; 0 and "" for what isn't known.
    """

    kind: str | None = None
    level: int = logging.INFO
    at: tuple[int, str] = (0, "")


def why(error: BaseException | None, status: int) -> Reason:
    """Return why a request failed that raised `error`, or was refused."""
    if isinstance(error, errors.ScriptFailedError | errors.FunctionFailedError):
        found = RAISED.match(error.info)
        kind = found[1] if found else type(error).__name__
        return Reason(kind, logging.WARNING, error.at)
    if isinstance(error, TabPyError):
        level = logging.ERROR if isinstance(error, OURS) else logging.WARNING
        return Reason(type(error).__name__, level)
    if error is None or isinstance(error, RefusedRequestError | HTTPError):
        level = logging.WARNING if status >= 400 else logging.INFO
        return Reason(HTTPStatus(status).phrase, level)
    return Reason(type(error).__name__, logging.ERROR)


def answer_with(status: int, method: str, path: str) -> Answer:
    """Return what the client is told when tornado refuses a request, or something broke (500)."""
    if status == 404:
        return Answer(404, "Not Found", f"There is nothing at {path}.")
    if status == 405:
        return Answer(405, "Method Not Allowed", f"{path} has no {method}.")
    if status < 500:
        return Answer(status, "Bad Request", "The request can't be understood.")
    return Answer(
        status, "Internal error", "It is in the server's log, under this request's X-Request-Id."
    )
