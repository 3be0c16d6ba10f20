"""Whose a job is, for each way to keep scripts apart."""

import pytest

from tabpy.tabpy_server.isolation import Isolation


@pytest.mark.parametrize("isolation", Isolation)
def test_a_job_is_its_users(isolation: Isolation) -> None:
    owners = {isolation.owner(user, None) for user in ("anna", "bob")}
    assert owners == {"anna", "bob"}
    assert isolation.owner(None, None) == "", "everybody at an open server is one"


@pytest.mark.parametrize("isolation", [Isolation.USER, Isolation.JOB, Isolation.OFF])
def test_whom_tableau_names_makes_no_difference(isolation: Isolation) -> None:
    assert isolation.owner("anna", "viewer") == isolation.owner("anna", None)


def test_or_all_the_difference() -> None:
    users: list[str | None] = ["anna", "annab", None]
    viewers: list[str | None] = ["", None, "b", "bob", "anna", "anna b"]
    owners = [Isolation.VIEWER.owner(user, viewer) for user in users for viewer in viewers]
    assert len(set(owners)) == len(owners) - len(users), "an empty name is none"


@pytest.mark.parametrize("isolation", Isolation)
def test_there_are_words_for_it(isolation: Isolation) -> None:
    assert isolation.words
