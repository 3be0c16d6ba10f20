"""GET /activity: which requests are noted, and whose somebody sees."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from tabpy.tabpy_server import machine
from tabpy.tabpy_server.access.gate import Person
from tabpy.tabpy_server.access.tokens import TOKEN_OWNER
from tabpy.tabpy_server.errors import JobTimeoutError, ScriptFailedError
from tabpy.tabpy_server.rights import ALL, DEPLOY, EVALUATE, QUERY, Rights
from tabpy.tabpy_server.workers.pool.job import Outcome
from tabpy.tabpy_server.workers.protocol import Failure, Reply
from tests.activity.making import request
from tests.running import USER, basic
from tests.web.harness import SIGNED_IN, FakeGate, FakePool, Web

Serve = Callable[..., Web]

FAILED = Outcome(
    Failure.of(ScriptFailedError("KeyError : 'a secret'\nline 2", at=(2, "f")), Reply()), b""
)


def activity(web: Web) -> dict[str, Any]:
    found: dict[str, Any] = web.request("GET", "/activity").json
    return found


def test_a_script_is_noted_with_who_sent_it(serve: Serve) -> None:
    web = serve(pool=FakePool(Outcome(Reply(), b"1")))
    web.request("POST", "/evaluate", b"{}", {"X-Request-Id": "its id"})
    found = activity(web)
    [noted] = found["requests"]
    assert (noted["id"], noted["user"], noted["status"]) == ("its id", USER, 200)
    assert (noted["method"], noted["route"]) == ("POST", "/evaluate")
    assert found["hour"]["requests"] == 1


def test_a_failure_has_class_line_and_function_and_no_data(serve: Serve) -> None:
    web = serve(pool=FakePool(FAILED))
    web.request("POST", "/evaluate?debug=true", b'{"script": "a secret"}')
    reply = web.request("GET", "/activity")
    [noted] = reply.json["requests"]
    assert (noted["status"], noted["error"], noted["line"], noted["function"]) == (
        500,
        "KeyError",
        2,
        "f",
    )
    assert b"secret" not in reply.body
    assert reply.json["hour"]["errors"] == {"KeyError": 1}


@pytest.mark.parametrize(
    ("method", "path", "listed"),
    [
        ("GET", "/info", False),
        ("GET", "/", False),
        ("GET", "/activity", False),
        ("GET", "/healthz", False),
        ("GET", "/readyz", False),
        ("GET", "/endpoints/f", False),
        ("HEAD", "/endpoints/f", False),
        ("OPTIONS", "/evaluate", False),
        ("GET", "/query/f", True),
        ("DELETE", "/endpoints/f", True),
        ("GET", "/nosuch", True),
        ("PUT", "/evaluate", True),
    ],
)
def test_what_only_looks_is_no_activity_unless_it_fails(
    web: Web, method: str, path: str, listed: bool
) -> None:
    web.request(method, path)
    assert [each["route"] for each in activity(web)["requests"]] == [path] * listed


def test_asking_whether_a_name_is_taken_is_no_failure(
    web: Web, caplog: pytest.LogCaptureFixture
) -> None:
    """Our client asks before it deploys."""
    caplog.set_level(logging.INFO, "tabpy.request")
    assert web.request("GET", "/endpoints/f").status == 404
    assert web.request("DELETE", "/endpoints/f").status == 404
    assert [each.levelname for each in caplog.records if each.name == "tabpy.request"] == [
        "INFO",
        "WARNING",
    ]
    assert activity(web)["hour"]["errors"] == {"UnknownEndpointError": 1}


@pytest.mark.parametrize(("rights", "listed"), [(ALL, True), ((QUERY, EVALUATE), False)])
def test_who_never_signs_in_is_listed_without_a_name_for_who_sees_all(
    serve: Serve, rights: Rights, listed: bool
) -> None:
    web = serve(gate=FakeGate(rights=rights))
    web.request("GET", "/", authorization=None)
    web.request("POST", "/evaluate", b"{}", authorization=basic("eve", "a wrong password"))
    found = activity(web)
    assert [(each["user"], each["route"], each["error"]) for each in found["requests"]] == [
        (None, "/evaluate", "WrongCredentialsError")
    ] * listed
    assert sum(found["hour"]["errors"].values()) == 1
    assert "eve" not in str(found["requests"])


def test_a_browser_that_asks_what_it_may_do_is_not_counted(web: Web) -> None:
    web.request("OPTIONS", "/evaluate", authorization=None)
    web.request("OPTIONS", "/evaluate")
    assert activity(web)["hour"]["requests"] == 0


def test_what_somebody_has_no_right_to_is_listed_as_theirs(serve: Serve) -> None:
    web = serve(gate=FakeGate(rights=(QUERY,)))
    web.request("POST", "/evaluate", b"{}")
    [noted] = activity(web)["requests"]
    assert (noted["user"], noted["error"]) == (USER, "MissingRightError")


def test_one_whose_time_was_over_is_told_apart(serve: Serve) -> None:
    web = serve(pool=FakePool(error=JobTimeoutError(1.0, 0.0, 1.0)))
    web.request("POST", "/page/evaluate", b"{}")
    assert activity(web)["hour"]["errors"] == {"JobTimeoutError": 1}


@pytest.mark.parametrize(
    ("rights", "sees"),
    [(ALL, "all"), ((DEPLOY,), "all"), ((QUERY, EVALUATE), "own"), ((QUERY,), "own"), ((), "own")],
    ids=lambda value: value if isinstance(value, str) else ",".join(value) or "none",
)
def test_others_requests_are_for_who_may_deploy(serve: Serve, rights: Rights, sees: str) -> None:
    web = serve(gate=FakeGate(rights=rights))
    for user, error in (("bob", "OfBobsError"), (USER, "KeyError")):
        web.context.activity.note(request(user=user, error=error), signed_in=True)
    found = activity(web)
    assert found["sees"] == sees
    assert [each["user"] for each in found["requests"]] == (
        ["bob", USER] if sees == "all" else [USER]
    )
    assert ("OfBobsError" in str(found)) is (sees == "all")


class TokenGate(FakeGate):
    """Knows a person whose name the log may not have."""

    def remembered(self, header: str | None) -> Person | None:
        return Person(USER, (QUERY,), is_logged=False) if header == SIGNED_IN else None


def test_who_has_no_name_in_the_log_has_no_requests_of_their_own(serve: Serve) -> None:
    web = serve(gate=TokenGate())
    for user in (TOKEN_OWNER, USER):
        web.context.activity.note(request(user=user), signed_in=True)
    assert activity(web)["requests"] == []


def test_on_an_open_server_everybody_sees_all(serve: Serve) -> None:
    class Open(FakeGate):
        required = False

        async def admit(self, header: str | None, address: str) -> Person:
            return Person(None, ALL)

    web = serve(gate=Open(remembers=False), pool=FakePool(FAILED))
    web.request("POST", "/evaluate", b"{}", authorization=None)
    [noted] = web.request("GET", "/activity", authorization=None).json["requests"]
    assert noted["user"] is None


def test_it_says_whose_activity_it_is(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    assert activity(web)["machine"] == machine.name()
    monkeypatch.setenv("DYNO", "web.2")
    assert activity(web)["machine"] == "web.2"
