"""What a request asks of the pool, and what it replies of the outcome."""

import gc
import logging
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tabpy.tabpy_server.errors import (
    FunctionFailedError,
    InvalidInputError,
    JobTimeoutError,
    ScriptFailedError,
)
from tabpy.tabpy_server.isolation import Isolation
from tabpy.tabpy_server.web.handlers.job import JobHandler
from tabpy.tabpy_server.workers.pool.job import Outcome
from tabpy.tabpy_server.workers.protocol import Failure, Reply
from tests.running import USER
from tests.web.harness import FakePool, Web

Serve = Callable[..., Web]


@pytest.mark.parametrize("path", ["/evaluate", "/query/f"])
def test_nothing_of_a_request_lives_on(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Not even in a circle, until the collector finds it: nine of ten requests are such."""
    begun: list[weakref.ref[JobHandler]] = []
    begin = JobHandler.begin

    def noted(self: JobHandler) -> Awaitable[None] | None:
        begun.append(weakref.ref(self))
        return begin(self)

    monkeypatch.setattr(JobHandler, "begin", noted)
    web = serve(pool=FakePool(QUERIED))
    gc.disable()
    try:
        assert web.request("POST", path, b"{}").status == 200
        assert [each() for each in begun] == [None]
    finally:
        gc.enable()


@pytest.mark.parametrize("path", ["/evaluate", "/query/f"])
@pytest.mark.parametrize(
    ("isolation", "owner"),
    [("user", USER), ("viewer", f"{USER}\nanna"), ("job", USER), ("off", USER)],
)
def test_a_job_belongs_to_who_signed_in(
    serve: Serve, path: str, isolation: str, owner: str
) -> None:
    pool = FakePool()
    web = serve({"script_isolation": Isolation(isolation)}, pool=pool)
    web.request("POST", path, b"{}", {"TabPy-User": "anna"})
    assert [each.owner for each in pool.jobs] == [owner]


def test_the_page_says_whose_scripts_may_share_a_worker(serve: Serve) -> None:
    for isolation in Isolation:
        page = serve({"script_isolation": isolation}).request("GET", "/").body.decode()
        assert f'<dd id="isolation">{isolation.words}</dd>' in page


# --- what was printed, and tracebacks ---

EVALUATED = Outcome(Reply(printed="a \ud800\n"), b"[1, 2]")
QUERIED = Outcome(
    Reply("0" * 32 + "-1", "a\n"), b'{"response":5,"version":1,"model":"f","uuid":"u"}'
)
FAILED = Failure.of(ScriptFailedError("x : y"), Reply(printed="a\n"), "Traceback: x: y")


def test_to_debug_a_script_its_response_comes_with_what_it_printed(serve: Serve) -> None:
    web = serve(pool=FakePool(EVALUATED))
    assert web.request("POST", "/evaluate?debug=true", b"{}").json == {
        "response": [1, 2],
        "printed": "a \ud800\n",
    }


def test_to_debug_a_function_its_answer_has_what_it_printed_too(serve: Serve) -> None:
    web = serve(pool=FakePool(QUERIED))
    tag = {"If-None-Match": "*"}  # what was printed is no part of what a tag stands for
    reply = web.request("POST", "/query/f?debug=true", b"{}", tag)
    assert (reply.status, reply.headers["Etag"]) == (200, None)
    assert reply.json == {
        "response": 5,
        "version": 1,
        "model": "f",
        "uuid": "u",
        "printed": "a\n",
    }


@pytest.mark.parametrize(
    ("path", "failure"),
    [
        ("/evaluate", FAILED),
        ("/query/f", Failure.of(FunctionFailedError("f", "x : y"), Reply(printed="a\n"), "T")),
        ("/query/f", Failure.of(InvalidInputError("f", "x"), Reply())),
    ],
    ids=["script", "function", "arguments"],
)
def test_to_debug_a_failure_its_traceback_comes_along(
    serve: Serve, path: str, failure: Failure
) -> None:
    web = serve(pool=FakePool(Outcome(failure, b"")))
    plain = web.request("POST", path, b"{}")
    told = web.request("POST", f"{path}?debug=true", b"{}")
    assert told.status == plain.status
    assert told.json == {**plain.json, "printed": failure.printed, "trace": failure.trace}


def test_clients_of_tabpys_read_what_failed_in_a_function_as_error(serve: Serve) -> None:
    # differences, section 2
    failed = Failure.of(FunctionFailedError("a b", "x : y"), Reply())
    reply = serve(pool=FakePool(Outcome(failed, b""))).request("POST", "/query/a%20b", b"{}")
    assert reply.status == 500
    assert reply.json == {
        "message": "Error querying function 'a b'",
        "info": {"type": "QueryFailed", "uri": "a b", "error": "x : y"},
    }


def test_what_a_function_never_got_is_told_as_text(serve: Serve) -> None:
    # differences, section 2
    refused = Failure.of(InvalidInputError("no", "so"), Reply())
    reply = serve(pool=FakePool(Outcome(refused, b""))).request("POST", "/query/f", b"{}")
    assert (reply.status, reply.json["info"]) == (400, "so")


@pytest.mark.parametrize("query", ["", "?debug=false", "?other=true", "?debug=true&debug=false"])
@pytest.mark.parametrize(
    ("path", "outcome"),
    [("/evaluate", EVALUATED), ("/query/f", QUERIED), ("/evaluate", Outcome(FAILED, b""))],
    ids=["script", "function", "failure"],
)
def test_who_does_not_debug_gets_nothing_else(
    serve: Serve, query: str, path: str, outcome: Outcome
) -> None:
    pool = FakePool(outcome)
    reply = serve(pool=pool).request("POST", path + query, b"{}")
    if isinstance(outcome.message, Failure):
        assert reply.json == {"message": "Error processing script", "info": "x : y"}
    else:
        assert reply.body == outcome.body
    assert [each.want_printed for each in pool.jobs] == [False]


@pytest.mark.parametrize("path", ["/evaluate", "/query/f"])
def test_a_debug_that_is_neither_yes_nor_no_is_refused(serve: Serve, path: str) -> None:
    pool = FakePool()
    reply = serve(pool=pool).request("POST", f"{path}?debug=maybe", b"{}")
    assert reply.error == (400, "'debug' is 'maybe'.", "It is true or false.")
    assert pool.jobs == []


@pytest.mark.parametrize(
    ("settings", "level", "logged"),
    [
        ({"log_printed": True}, logging.INFO, "INFO"),
        ({"log_printed": True}, logging.WARNING, None),
        ({}, logging.INFO, None),
        ({}, logging.DEBUG, "DEBUG"),
    ],
    ids=["setting", "setting and a higher level", "default", "debug"],
)
def test_what_is_printed_is_logged_where_a_setting_asks_for_it(
    serve: Serve,
    caplog: pytest.LogCaptureFixture,
    settings: dict[str, Any],
    level: int,
    logged: str | None,
) -> None:
    pool = FakePool(QUERIED)
    web = serve(settings, pool=pool)
    with caplog.at_level(level, "tabpy.script"):
        web.request("POST", "/query/f", b"{}", {"X-Request-Id": "an id"})
    assert [each.want_printed for each in pool.jobs] == [logged is not None]
    lines = [each for each in caplog.records if each.getMessage() == "printed"]
    assert [each.levelname for each in lines] == ([logged] if logged else [])
    for line in lines:
        assert line.__dict__["fields"] == {
            "request_id": "an id",
            "user": USER,
            "function": "f",
            "text": "a\n",
        }


# --- what is counted of functions ---


@pytest.mark.parametrize(
    ("pool", "calls", "errors"),
    [
        (FakePool(QUERIED), 1, 0),
        (FakePool(Outcome(Failure.of(FunctionFailedError("f", "x : y"), Reply()), b"")), 1, 1),
        (FakePool(Outcome(Failure.of(InvalidInputError("f", "x"), Reply()), b"")), 0, 0),
        (FakePool(), 0, 0),  # there is no such function
    ],
    ids=["answered", "failed", "wrong arguments", "unknown"],
)
def test_a_functions_calls_and_failures_are_counted_and_nobody_elses(
    serve: Serve, pool: FakePool, calls: int, errors: int
) -> None:
    web = serve(pool=pool)
    web.request("POST", "/query/f", b"{}")
    found = web.context.function_figures.of("f")
    assert (found.calls, found.errors) == (calls, errors)


# --- what the page runs ---


@pytest.mark.parametrize("path", ["/evaluate", "/query/f"])
def test_a_job_of_the_page_whose_time_is_over_is_no_408(serve: Serve, path: str) -> None:
    web = serve(pool=FakePool(error=JobTimeoutError(1.0, 0.0, 1.0)))
    to_tableau, to_page = (web.request("POST", at + path, b"{}") for at in ("", "/page"))
    assert (to_tableau.status, to_page.status) == (408, 500)
    assert to_page.json == to_tableau.json
    counted = web.context.counters.requests
    assert {key[0]: key[2] for key in counted} == {
        path.replace("/f", "/{name}"): 408,
        "/page" + path.replace("/f", "/{name}"): 500,
    }


@pytest.mark.parametrize(
    ("path", "outcome"), [("/evaluate", EVALUATED), ("/query/f", QUERIED)], ids=["script", "call"]
)
def test_anything_else_is_answered_to_the_page_as_to_others(
    serve: Serve, path: str, outcome: Outcome
) -> None:
    web = serve(pool=FakePool(outcome))
    for query in ("", "?debug=true"):
        replies = [web.request("POST", at + path + query, b"{}") for at in ("", "/page")]
        assert [each.status for each in replies] == [200, 200]
        assert replies[0].body == replies[1].body


def test_a_function_that_failed_is_told_to_the_page_as_text(serve: Serve) -> None:
    failed = Failure.of(FunctionFailedError("f", "x : y"), Reply())
    web = serve(pool=FakePool(Outcome(failed, b"")))
    reply = web.request("POST", "/page/query/f", b"{}")
    assert reply.json == {"message": "Error querying function 'f'", "info": "x : y"}
