"""The order of the steps of tabpy-check, and what a failed or slow one does to the others."""

import pytest

from tabpy.check import network
from tabpy.check.report import Status, fail, ok
from tabpy.check.session import Session
from tabpy.check.steps import check
from tabpy.check.target import Target
from tabpy.check.work import pace


def test_what_needs_a_failed_step_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "resolve", lambda _: fail("no address", "look for a typo"))
    first, *others = check(Session(Target("host", 443, ssl=True)))

    assert first.finding.status is Status.FAIL
    assert {result.finding.status for result in others} == {Status.SKIP}
    assert others[0].finding.said == "needs name resolution"


def test_each_result_is_there_before_the_next_step_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "resolve", lambda _: ok("found"))
    monkeypatch.setattr(network, "connect", lambda _: pytest.fail("began already"))

    assert next(check(Session(Target("host", 443, ssl=True)))).step == "name resolution"


def test_a_check_without_time_left_fails() -> None:
    session = Session(Target("127.0.0.1", 9, ssl=False), limit=1e-9)
    found = {result.step: result.finding for result in check(session)}

    assert found["TCP"].status is Status.FAIL
    assert "no time is left" in found["TCP"].said


@pytest.mark.parametrize(("seconds", "status"), [(4.9, Status.OK), (5.1, Status.WARN)])
def test_slow_is_told_before_it_is_too_slow(seconds: float, status: Status) -> None:
    finding = pace("it takes", seconds, 30.0, share=6)

    assert finding.status is status
    assert "of the 30 s there are" in finding.said
