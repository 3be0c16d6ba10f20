"""Durations in little room."""

from collections import Counter

import pytest

from tabpy.tabpy_server.activity.durations import length_of, quantile, quantiles


def lengths(*ms: float) -> Counter[int]:
    return Counter(map(length_of, ms))


@pytest.mark.parametrize("ms", [0.1, 1.0, 7.3, 250.0, 30_000.0, 3_600_000.0])
def test_a_duration_is_right_to_8_percent(ms: float) -> None:
    assert quantile(lengths(ms), 0.5) == pytest.approx(ms, rel=0.08)


@pytest.mark.parametrize("ms", [0.0, 0.04, -5.0])
def test_what_took_no_time_took_none(ms: float) -> None:
    assert quantile(lengths(ms), 0.5) == 0.0


def test_quantiles_are_of_all_of_them() -> None:
    found = quantiles(lengths(*[10.0] * 97, *[5_000.0] * 3))
    assert found is not None
    assert found["p50"] == pytest.approx(10.0, rel=0.08)
    assert found["p99"] == pytest.approx(5_000.0, rel=0.08)
    assert quantiles(lengths(*[10.0] * 99, 5_000.0)) == {"p50": found["p50"], "p99": found["p50"]}


def test_of_none_there_are_none() -> None:
    assert quantiles(Counter()) is None


def test_the_room_they_take_is_bounded() -> None:
    assert len({length_of(ms / 7) for ms in range(2_000_000)}) < 150
    assert length_of(float("inf")) == length_of(1e12)
