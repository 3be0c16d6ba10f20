"""/evaluate of an Arrow table: the reply says where the result is."""

from collections.abc import Callable
from typing import Any

import pytest

from tabpy.tabpy_server.errors import FlightUnavailableError, TablesFullError
from tabpy.tabpy_server.workers.pool.job import Outcome
from tabpy.tabpy_server.workers.protocol import Failure, Reply
from tests.running import USER
from tests.web.harness import FakePool, Web

Serve = Callable[..., Web]


class FakeTables:
    """Every user's; `path` is that of the result, or an error why there is none."""

    def __init__(self, path: str | Exception | None = "out") -> None:
        self.path = path
        self.users: list[str] = []
        self.exchanged = 0

    def of(self, user: str) -> "FakeTables":
        self.users.append(user)
        return self

    async def exchange(self) -> str | None:
        self.exchanged += 1
        if isinstance(self.path, Exception):
            raise self.path
        return self.path


def done(message: Reply | Failure | None = None, body: bytes = b"null") -> FakePool:
    return FakePool(Outcome(message or Reply(printed="hello"), body))


@pytest.mark.parametrize(
    ("path", "query", "reply"),
    [
        ("out", "", {"outputDataPath": "out"}),
        (None, "", None),
        (
            "out",
            "?debug=true",
            {"response": {"outputDataPath": "out"}, "printed": "hello"},
        ),
    ],
    ids=["a table", "none", "debugged"],
)
def test_where_the_result_is(serve: Serve, path: str | None, query: str, reply: Any) -> None:
    tables, pool = FakeTables(path), done()
    found = serve(pool=pool, tables=tables).request("POST", f"/evaluate{query}", b"{}")
    assert (found.status, found.json) == (200, reply)
    assert tables.users == [USER]
    handed_on: object = pool.jobs[0].tables
    assert handed_on is tables


def test_a_failed_script_exchanges_nothing(serve: Serve) -> None:
    tables = FakeTables()
    pool = done(Failure("ScriptFailedError", ["ZeroDivisionError : division by zero"]))
    assert serve(pool=pool, tables=tables).request("POST", "/evaluate", b"{}").status == 500
    assert tables.exchanged == 0


@pytest.mark.parametrize(
    ("error", "seconds"), [(TablesFullError("Full."), "60"), (FlightUnavailableError(), "5")]
)
def test_a_result_that_cannot_be_kept_is_an_error(
    serve: Serve, error: Exception, seconds: str
) -> None:
    found = serve(pool=done(), tables=FakeTables(error)).request("POST", "/evaluate", b"{}")
    assert (found.status, found.headers["Retry-After"]) == (503, seconds)


def test_without_flight_a_job_has_no_tables(serve: Serve) -> None:
    pool = done(body=b"5")
    assert serve(pool=pool).request("POST", "/evaluate", b"{}").json == 5
    assert pool.jobs[0].tables is None


@pytest.mark.parametrize("enabled", [True, False])
def test_info_says_whether_there_is_flight(serve: Serve, enabled: bool) -> None:
    info = serve({"arrow_enable": enabled}).request("GET", "/info").json
    assert info["versions"]["v1"]["features"]["arrow_enabled"] is enabled
