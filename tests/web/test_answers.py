"""What a client is told of each error."""

import inspect

import pytest

from tabpy.tabpy_server import errors
from tabpy.tabpy_server.errors import TabPyError
from tabpy.tabpy_server.web.answers import (
    HEADERS,
    INFOS,
    STATUSES,
    Answer,
    Challenge,
    RefusedRequestError,
    answer_to,
    answer_with,
)

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, TabPyError) and kind is not TabPyError
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_has_a_status(kind: type[TabPyError]) -> None:
    assert 400 <= STATUSES[kind] < 600


def test_the_table_has_nothing_else() -> None:
    assert set(STATUSES) == set(KINDS)
    assert set(HEADERS) | set(INFOS) <= set(KINDS)


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (errors.InvalidInputError("no", "so"), Answer(400, "no", "so")),
        (
            errors.WrongCredentialsError(),
            Answer(
                401,
                "Invalid credentials provided.",
                "Unauthorized request.",
                challenge=Challenge("Basic"),
            ),
        ),
        (
            errors.WrongTokenError("The token has expired"),
            Answer(
                401,
                "Invalid credentials provided.",
                "Unauthorized request.",
                challenge=Challenge(
                    "Bearer",
                    {"error": "invalid_token", "error_description": "The token has expired"},
                ),
            ),
        ),
        (
            errors.TooManySignInsError(12.6),
            Answer(
                429,
                "Too many failed sign-ins as this user from this address.",
                "Wait 13 seconds, then try again with the right user name and password.",
                {"Retry-After": "13"},
            ),
        ),
        (
            errors.AllBusyError(30.0),
            Answer(
                503,
                "Every script worker is busy.",
                "The script waited 30.0 s for one and was not run. Try again later.",
                {"Retry-After": "5"},
            ),
        ),
        (
            errors.DrainingError(),
            Answer(
                503,
                "The server is restarting.",
                "Try again in a few seconds.",
                {"Retry-After": "2"},
            ),
        ),
        (
            errors.EndpointExistsError("add"),
            Answer(
                400,
                "Endpoint 'add' exists already.",
                "PUT /endpoints/add replaces it (the client: override=True).",
            ),
        ),
        (
            errors.UnknownFunctionError("There is no function 'add'."),
            Answer(404, "UnknownURI", "There is no function 'add'."),
        ),
    ],
)
def test_an_error_becomes_an_answer(error: TabPyError, answer: Answer) -> None:
    assert answer_to(error) == answer


def test_what_http_has_an_answer_for_has_its_own() -> None:
    answer = Answer(413, "too large", "smaller", {"X": "y"})
    assert answer_to(RefusedRequestError(answer)) is answer


@pytest.mark.parametrize(
    ("status", "message", "info"),
    [
        (404, "Not Found", "There is nothing at /there."),
        (405, "Method Not Allowed", "/there has no BREW."),
        (400, "Bad Request", "The request can't be understood."),
        (403, "Bad Request", "The request can't be understood."),
        (
            500,
            "Internal error",
            "It is in the server's log, under this request's X-Request-Id.",
        ),
    ],
)
def test_of_anything_else_the_client_learns_the_status(
    status: int, message: str, info: str
) -> None:
    assert answer_with(status, "BREW", "/there") == Answer(status, message, info)
