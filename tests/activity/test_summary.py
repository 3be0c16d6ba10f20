"""The web processes of a machine as one, and who sees what of it."""

from collections.abc import Sequence
from typing import Any

import pytest

from tabpy.tabpy_server.activity.history import (
    KINDS,
    LATEST,
    MINUTES,
    OTHERS,
    REFUSED,
    History,
    Sample,
)
from tabpy.tabpy_server.activity.summary import ANY_KIND, summary
from tests.activity.making import NOON, history, request


def told(
    histories: Sequence[History], now: float = NOON, user: str | None = None
) -> dict[str, Any]:
    """What somebody is told who sees all, or what `user` is."""
    return summary(histories, now, None if user is None else lambda each: each.user == user)


def test_it_is_an_hour_with_every_minute_in_it() -> None:
    found = told([history(request(NOON - 3_600), request(NOON - 3_540), request(NOON))])
    assert [each["at"] for each in found["minutes"]] == [
        NOON - 60 * (MINUTES - 1 - number) for number in range(MINUTES)
    ]
    assert [each["requests"] for each in found["minutes"]] == [1, *[0] * (MINUTES - 2), 1]
    assert found["hour"]["requests"] == 2


def test_web_processes_are_added_up() -> None:
    one = history(request(error="KeyError"), request(run_ms=10.0))
    other = history(request(error="KeyError"), request(run_ms=1_000.0), request(run_ms=1_000.0))
    minute = told([one, other])["minutes"][-1]
    assert (minute["requests"], minute["errors"]) == (5, {"KeyError": 2})
    assert minute["run"]["p99"] == pytest.approx(1_000.0, rel=0.08)
    assert minute["run"]["p50"] == pytest.approx(10.0, rel=0.08)


def test_busy_workers_are_a_mean_in_each_process_and_a_sum_of_all() -> None:
    one, other = History(), History()
    for number in range(4):
        one.take_sample(NOON + number, Sample(number % 2, 1, 2, 100))
    other.take_sample(NOON + 3, Sample(2, 3, 2, 120))
    found = told([one, other], NOON + 4)
    assert (found["minutes"][-1]["busy"], found["minutes"][-1]["memory"]) == (2.5, 120)
    assert (found["web_processes"], found["workers"]) == (2, 4)
    assert (found["busy"], found["waiting"], found["memory"]) == (3, 4, 120)


def test_a_process_that_is_gone_has_no_workers_but_has_its_past() -> None:
    gone = history(request())
    gone.take_sample(NOON, Sample(2, 0, 2, 100))
    found = told([gone], NOON + 30)
    assert (found["web_processes"], found["workers"], found["busy"]) == (0, 0, 0)
    assert found["hour"]["requests"] == 1


def test_requests_a_second_are_those_of_the_last_one_to_two_minutes() -> None:
    found = told([history(*[request(NOON - 30)] * 60, *[request(NOON + 1)] * 30)], NOON + 30)
    assert found["rate"] == 1.0


def test_where_nothing_happened_nothing_is_said() -> None:
    found = told([])
    assert found["hour"] == {"requests": 0, "errors": {}, "queued": None, "run": None}
    assert found["minutes"][0] == {
        "at": NOON - 59 * 60,
        **found["hour"],
        "busy": None,
        "memory": None,
    }
    assert (found["memory"], found["requests"]) == (None, [])


def test_the_latest_requests_of_all_come_in_one_order() -> None:
    one = history(*(request(NOON - 2 * number, id=f"even {number}") for number in range(99)))
    other = history(*(request(NOON - 1 - 2 * number, id=f"odd {number}") for number in range(99)))
    found = told([one, other])["requests"]
    assert [each["id"] for each in found[:3]] == ["even 0", "odd 0", "even 1"]
    assert len(found) == 100


def test_who_did_not_sign_in_is_listed_for_who_sees_all() -> None:
    noted = [history(*(request(NOON + number) for number in range(LATEST))) for _ in range(2)]
    for each in noted:
        for number in range(REFUSED):
            failed = request(NOON + 50.5 + number, user=None, error="WrongCredentialsError")
            each.note(failed, signed_in=False)
    listed = told(noted)["requests"]
    assert [each["user"] for each in listed].count(None) == REFUSED
    assert len(listed) == LATEST + REFUSED
    assert listed == sorted(listed, key=lambda each: each["at"], reverse=True)
    assert {each["user"] for each in told(noted, user="anna")["requests"]} == {"anna"}
    assert told([noted[0]], user="")["requests"] == []


def test_a_failure_is_told_with_its_place() -> None:
    [failed] = told([history(request(error="KeyError", line=3, function="f", status=500))])[
        "requests"
    ]
    assert [failed[key] for key in ("error", "line", "function")] == ["KeyError", 3, "f"]
    [worked] = told([history(request())])["requests"]
    assert [worked[key] for key in ("error", "line", "function")] == [None, None, None]


def test_the_rarest_of_many_kinds_of_errors_are_told_together() -> None:
    one = history(*(request(error=f"A{number}") for number in range(KINDS)))
    other = history(*[request(error=f"B{number}") for number in range(KINDS)] * 2)
    errors = told([one, other])["hour"]["errors"]
    assert [*errors] == [OTHERS, *(f"B{number}" for number in range(KINDS))]
    assert errors[OTHERS] == KINDS


def test_who_sees_only_what_they_did_sees_no_others_errors_either() -> None:
    noted = history(
        request(user="anna", error="KeyError"), request(user="bob", error="OfBobsError"), request()
    )
    found = told([noted], user="anna")
    assert [each["user"] for each in found["requests"]] == ["anna", "anna"]
    assert found["hour"]["errors"] == found["minutes"][-1]["errors"] == {ANY_KIND: 2}
    assert "bob" not in str(found).lower()
    assert found["hour"]["requests"] == 3
    assert told([history(request())], user="anna")["hour"]["errors"] == {}
