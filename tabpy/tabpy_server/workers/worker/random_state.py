"""The script worker: random numbers that no other job, and no other worker, draws too.

A fork copies its parent's generators, so all workers would draw the same; and a seed that one
script sets would decide what later ones draw. Seeding anew costs 5 us in Python and 12 in numpy. So
each generator has a twin, seeded alike: while both draw the same number, nobody has used the
generator since it was seeded, and what it draws next is still nobody else's.
"""

import os
import random
from types import ModuleType

SEED_SIZE = 32  # bytes


class PythonRandom:
    """The generator behind the functions of `random`."""

    def __init__(self) -> None:
        self._functions = random.seed, random.getrandbits
        self._twin = random.Random()  # noqa: S311 - people's numbers, no secrets # nosec B311
        self._seed()

    def restore(self) -> None:
        """Seed it anew if anybody has used it."""
        _, draw = self._functions
        if draw(64) != self._twin.getrandbits(64):
            self._seed()

    def _seed(self) -> None:
        seed, _ = self._functions
        number = int.from_bytes(os.urandom(SEED_SIZE), "big")
        seed(number)
        self._twin.seed(number)


class NumpyRandom:
    """The generator behind the functions of `numpy.random`."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._bits = module.get_bit_generator()
        self._twin_bits = module.MT19937()
        self._twin = module.RandomState(self._twin_bits)
        self._seed()

    def restore(self) -> None:
        """Seed it anew if anybody has used it."""
        if self._module.get_bit_generator() is not self._bits:
            self._module.set_bit_generator(self._bits)
            self._seed()
        elif self._bits.random_raw() != self._twin_bits.random_raw():
            self._seed()

    def _seed(self) -> None:
        words = memoryview(os.urandom(SEED_SIZE)).cast("I").tolist()
        self._module.seed(words)
        self._twin.seed(words)
