"""Random numbers differ between jobs and between workers, unless a script seeds them."""

import os
import random
from collections.abc import Callable
from typing import Any

import pytest

from tabpy.tabpy_server.workers.worker.random_state import NumpyRandom, PythonRandom

Seed = Callable[[int], None]
Draw = Callable[[], Any]


@pytest.fixture(params=["random", "numpy.random"])
def generator(request: pytest.FixtureRequest) -> tuple[Callable[[], Any], Seed, Draw]:
    """How to make what watches it, to seed it, and to draw from it."""
    if request.param == "random":
        return PythonRandom, random.seed, lambda: [random.random() for _ in range(3)]
    numpy_random = pytest.importorskip("numpy").random
    draw: Draw = lambda: numpy_random.random_sample(3).tolist()  # noqa: E731
    return lambda: NumpyRandom(numpy_random), numpy_random.seed, draw


def test_no_two_forked_workers_draw_the_same(generator: Any) -> None:
    make, seed, draw = generator
    draws = []
    for _ in range(2):
        seed(1)  # what a fork finds is the same each time
        make()
        draws.append(draw())
    assert draws[0] != draws[1]


def test_a_seed_ends_with_its_job(generator: Any) -> None:
    make, seed, draw = generator
    state = make()
    seed(1)
    expected = draw()
    rest = draw()
    seed(1)
    state.restore()
    assert draw() != expected
    seed(1)
    draw()
    state.restore()
    assert draw() != rest


def test_a_seed_is_worth_what_it_always_is(generator: Any) -> None:
    make, seed, draw = generator
    state = make()
    draws = []
    for _ in range(2):
        seed(7)
        draws.append(draw())
        state.restore()
    assert draws[0] == draws[1]


def test_what_nobody_has_used_is_not_seeded_again(
    generator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, _, draw = generator
    state = make()
    seeds: list[bytes] = []
    urandom = os.urandom

    def counted(size: int) -> bytes:
        seeds.append(urandom(size))
        return seeds[-1]

    monkeypatch.setattr(os, "urandom", counted)
    for _ in range(3):
        state.restore()
    assert seeds == []
    draw()
    state.restore()
    assert len(seeds) == 1
    state.restore()
    assert len(seeds) == 1


def test_half_a_pair_of_normal_numbers_is_not_left() -> None:
    state = PythonRandom()
    random.seed(1)
    random.gauss(0, 1)
    second = random.gauss(0, 1)
    random.seed(1)
    random.gauss(0, 1)
    state.restore()
    assert random.gauss(0, 1) != second


def test_numpys_generator_itself_is_put_back() -> None:
    numpy_random = pytest.importorskip("numpy").random
    state = NumpyRandom(numpy_random)
    before = numpy_random.get_bit_generator()
    numpy_random.set_bit_generator(numpy_random.PCG64(1))
    state.restore()
    assert numpy_random.get_bit_generator() is before
