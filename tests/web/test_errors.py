"""What becomes of an error in a handler: one form of reply, whatever it was."""

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus

import pytest
from tornado.web import HTTPError

from tabpy.tabpy_server import errors
from tabpy.tabpy_server.web.answers import Answer, RefusedRequestError
from tabpy.tabpy_server.web.handlers.base import BaseHandler
from tabpy.tabpy_server.workers.pool.job import Job, Outcome, Timing
from tests.web.harness import SIGNED_IN, FakePool, Web, request_text

Serve = Callable[..., Web]
Failures = Callable[[], list[str]]

INTERNAL = "It is in the server's log, under this request's X-Request-Id."


class FailingHandler(BaseHandler):
    """Raises what the test says."""

    route = "/fail"
    error: BaseException

    async def post(self) -> None:
        raise self.error


@pytest.fixture
def failing(serve: Serve) -> Web:
    return serve(routes={"/fail": FailingHandler})


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (errors.InvalidInputError("no", "so"), (400, "no", "so")),
        (HTTPError(404), (404, "Not Found", "There is nothing at /fail.")),
        (HTTPError(400, "a secret"), (400, "Bad Request", "The request can't be understood.")),
    ],
)
def test_what_a_client_is_told_is_no_failure(
    failing: Web, failures: Failures, error: Exception, answer: tuple[int, str, str]
) -> None:
    FailingHandler.error = error
    assert failing.request("POST", "/fail").error == answer
    assert failing.context.counters.requests == {("/fail", "POST", answer[0]): 1}
    assert failures() == []


def test_an_answers_headers_go_out_with_it(failing: Web) -> None:
    FailingHandler.error = errors.AllBusyError(1.0)
    reply = failing.request("POST", "/fail")
    assert (reply.status, reply.headers["Retry-After"]) == (503, "5")


def test_an_accident_is_logged_and_not_told(failing: Web, caplog: pytest.LogCaptureFixture) -> None:
    FailingHandler.error = ValueError("a secret")
    reply = failing.request("POST", "/fail", headers={"X-Request-Id": "mine"})
    assert reply.error == (500, "Internal error", INTERNAL)
    assert reply.headers["X-Request-Id"] == "mine"
    record, _ = [each for each in caplog.records if each.levelname == "ERROR"]
    assert record.getMessage() == "failure"
    assert record.fields == {"request_id": "mine"}  # type: ignore[attr-defined]
    assert record.exc_info is not None
    assert record.exc_info[1] is FailingHandler.error


@pytest.mark.parametrize(
    ("error", "body"),
    [
        (errors.InvalidInputError("no", "so"), b'{"message":"no","info":"so"}'),
        (ValueError("a secret"), f'{{"message":"Internal error","info":"{INTERNAL}"}}'.encode()),
    ],
)
def test_of_a_reply_that_has_begun_only_the_body_can_say_it(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, error: Exception, body: bytes
) -> None:
    monkeypatch.setattr("tabpy.tabpy_server.web.handlers.job.BLANK_EVERY", 0.0)

    class SlowPool(FakePool):
        async def run(self, job: Job, timing: Timing) -> Outcome:
            await begun.wait()
            raise error

    web = serve({"long_scripts": True}, pool=SlowPool())
    headers = {"Host": "x", "Authorization": SIGNED_IN, "Connection": "close"}
    said, begun = bytearray(), asyncio.Event()

    async def exchange() -> None:
        async with web.connection() as connection:
            await connection.send(request_text("POST", "/evaluate", headers))
            said.extend(await connection.first())
            begun.set()
            said.extend(await connection.rest())

    web.run(exchange())
    head, _, rest = bytes(said).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    blanks, size, end = rest.partition(b"%x\r\n" % len(body))
    assert blanks == b"1\r\n \r\n" * blanks.count(b" ")
    assert size
    assert end == body + b"\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("error", "why", "level"),
    [
        (
            errors.ScriptFailedError("ZeroDivisionError : a secret\nline 1: return 1/0"),
            "ZeroDivisionError",
            "WARNING",
        ),
        (errors.FunctionFailedError("x", "pkg.Own : a secret"), "pkg.Own", "WARNING"),
        (errors.ScriptFailedError("a secret of 7 words"), "ScriptFailedError", "WARNING"),
        (errors.JobTimeoutError(30.0, 0.0, 30.0), "JobTimeoutError", "WARNING"),
        (errors.WrongCredentialsError(), "WrongCredentialsError", "WARNING"),
        (errors.InvalidInputError("a secret", "a secret"), "InvalidInputError", "WARNING"),
        (RefusedRequestError(Answer(413, "a secret", "")), HTTPStatus(413).phrase, "WARNING"),
        (RefusedRequestError(Answer(301, "a secret", "")), "Moved Permanently", "INFO"),
        (HTTPError(405, "a secret"), "Method Not Allowed", "WARNING"),
        (errors.InternalError(), "InternalError", "ERROR"),
        (errors.StoreUnavailableError(), "StoreUnavailableError", "ERROR"),
        (errors.KeysUnavailableError(), "KeysUnavailableError", "ERROR"),
        (KeyError("a secret"), "KeyError", "ERROR"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_requests_line_in_the_log_says_why_it_failed_and_no_data(
    failing: Web, caplog: pytest.LogCaptureFixture, error: Exception, why: str, level: str
) -> None:  # differences 30
    FailingHandler.error = error
    with caplog.at_level(logging.INFO):
        failing.request("POST", "/fail")
    [record] = [each for each in caplog.records if each.getMessage() == "request"]
    assert record.fields["error"] == why  # type: ignore[attr-defined]
    assert record.levelname == level
    assert "secret" not in str(record.fields)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("at", "said"),
    [((7, "prices"), (7, "prices")), ((7, ""), (7, None)), ((0, ""), (None, None))],
    ids=["in a function", "outside of any", "nowhere"],
)
def test_the_line_says_where_a_script_failed_as_far_as_that_is_known(
    failing: Web,
    caplog: pytest.LogCaptureFixture,
    at: tuple[int, str],
    said: tuple[int | None, str | None],
) -> None:
    FailingHandler.error = errors.ScriptFailedError("KeyError : a secret", at=at)
    with caplog.at_level(logging.INFO):
        failing.request("POST", "/fail")
    [record] = [each for each in caplog.records if each.getMessage() == "request"]
    fields = record.fields  # type: ignore[attr-defined]
    assert (fields["error"], fields["error_line"], fields["error_function"]) == ("KeyError", *said)


def test_the_line_of_a_request_that_worked_says_no_reason(
    web: Web, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        web.request("GET", "/info")
    [record] = [each for each in caplog.records if each.getMessage() == "request"]
    assert record.fields["error"] is None  # type: ignore[attr-defined]
    assert record.levelname == "INFO"
