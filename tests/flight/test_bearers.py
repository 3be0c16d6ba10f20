"""Short-lived tokens: whose they are, until when, and for which passwords."""

import pytest

from tabpy.tabpy_server.access.gate import Person
from tabpy.tabpy_server.access.password_file import User
from tabpy.tabpy_server.flight.bearers import LIFE, RENEWED, Bearers
from tabpy.tabpy_server.rights import ALL, EVALUATE

ANN, BOB = Person("ann", ALL), Person("bob", ALL)


class World:
    """A clock and a password file."""

    def __init__(self) -> None:
        self.now = 0.0
        self.users = {"ann": User("hash of ann's"), "bob": User("hash of bob's")}
        self.bearers = Bearers(self._user_of, lambda: self.now)

    def _user_of(self, name: str) -> User | None:
        return self.users.get(name)


@pytest.fixture
def world() -> World:
    return World()


def test_a_token_is_its_users_and_nobody_guesses_it(world: World) -> None:
    anns, bobs = world.bearers.give(ANN), world.bearers.give(BOB)
    assert world.bearers.person(anns) is ANN
    assert world.bearers.person(bobs) is BOB
    assert len(anns) >= 43  # 32 bytes
    for wrong in ("", anns[:-1], anns.swapcase(), "\udcff"):
        assert world.bearers.person(wrong) is None


def test_each_sign_in_gives_the_same_one_until_its_last_minutes(world: World) -> None:
    first = world.bearers.give(ANN)
    world.now = LIFE - RENEWED - 1
    assert world.bearers.give(ANN) == first
    world.now = LIFE - RENEWED
    second = world.bearers.give(ANN)
    assert second != first
    assert world.bearers.give(ANN) == second
    assert world.bearers.person(first) == world.bearers.person(second) == ANN
    world.now = LIFE
    assert world.bearers.person(first) is None
    assert world.bearers.person(second) is ANN


@pytest.mark.parametrize(
    "changed",
    [{}, {"ann": User("hash of another")}, {"ann": User("hash of ann's", (EVALUATE,))}],
    ids=["user gone", "password changed", "rights changed"],
)
def test_a_token_ends_with_what_its_user_was(world: World, changed: dict[str, User]) -> None:
    anns, bobs = world.bearers.give(ANN), world.bearers.give(BOB)
    world.users = {"bob": world.users["bob"], **changed}
    assert world.bearers.person(anns) is None
    assert world.bearers.person(bobs) is BOB
