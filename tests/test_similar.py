"""A wrong name is answered with the nearest right one, if there is one near."""

import pytest

from tabpy.tabpy_server.similar import did_you_mean

NAMES = ["Price", "With Tax", "Straße"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [("price", "Price"), ("WITH TAX", "With Tax"), ("With-Tax", "With Tax"), ("strasse", "Straße")],
)
def test_the_nearest_is_named(name: str, meant: str) -> None:
    assert did_you_mean(name, NAMES) == f" Did you mean '{meant}'?"


@pytest.mark.parametrize("name", ["", "anova", "x" * 100_000])
def test_nothing_near_is_nothing(name: str) -> None:
    assert did_you_mean(name, NAMES) == ""
