"""How many connections there may be: some descriptors are always left for the rest."""

import resource
import sys

import pytest

from tabpy.tabpy_server.processes import descriptors
from tabpy.tabpy_server.processes.descriptors import RESERVED, connections, raise_limit

ENDLESS = resource.RLIM_INFINITY


class Limits:
    """A process's limits, which nothing else sees."""

    def __init__(self, soft: int, hard: int) -> None:
        self.now = (soft, hard)

    def get(self, _: int) -> tuple[int, int]:
        return self.now

    def set(self, _: int, limits: tuple[int, int]) -> None:
        assert limits[1] == self.now[1]
        self.now = limits


def with_limits(monkeypatch: pytest.MonkeyPatch, soft: int, hard: int) -> Limits:
    limits = Limits(soft, hard)
    monkeypatch.setattr(resource, "getrlimit", limits.get)
    monkeypatch.setattr(resource, "setrlimit", limits.set)
    return limits


@pytest.mark.parametrize(
    ("soft", "hard", "raised"),
    [
        (1024, 1 << 20, 3000),
        (1024, ENDLESS, 3000),
        (1024, 2000, 2000),
        (1024, 1024, 1024),
        (5000, 1 << 20, 5000),
        (ENDLESS, ENDLESS, ENDLESS),
    ],
)
def test_the_limit_is_raised_as_far_as_it_has_to_be(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, raised: int
) -> None:
    limits = with_limits(monkeypatch, soft, hard)
    assert raise_limit(3000) == (3000 if raised == ENDLESS else raised)
    assert limits.now == (raised, hard)


@pytest.mark.parametrize(
    ("hard", "count"), [(1 << 20, 2000), (1024, 1024 - RESERVED), (256, 128), (2, 1), (0, 1)]
)
def test_some_are_left(monkeypatch: pytest.MonkeyPatch, hard: int, count: int) -> None:
    with_limits(monkeypatch, min(hard, 1024), hard)
    assert connections(2000) == count


def test_windows_has_no_limits_to_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert raise_limit(5000) == descriptors.WITHOUT_LIMITS
