"""A web process's notes on the board, and who goes on with them."""

import asyncio
from dataclasses import dataclass

from tabpy.tabpy_server.activity.activity import Activity
from tabpy.tabpy_server.activity.board import Board
from tabpy.tabpy_server.activity.history import Sample
from tests.activity.making import NOON, request


@dataclass
class FakePool:
    waiting: int = 3
    running: int = 1


def test_all_web_processes_see_what_each_did() -> None:
    board = Board(2)
    both = [Activity(board, place) for place in (0, 1)]
    both[0].note(request(id="here"), signed_in=True)
    both[1].note(request(id="there"), signed_in=True)
    for each in both:
        each.show()
    for each in both:
        assert [noted.latest[0].id for noted in each.of_all()] == ["here", "there"]


def test_who_takes_a_place_goes_on_with_what_was_there() -> None:
    board = Board(1)
    before = Activity(board, 0)
    before.note(request(id="before"), signed_in=True)
    before.show()
    after = Activity(board, 0)
    after.note(request(id="after"), signed_in=True)
    after.show()
    [noted] = after.of_all()
    assert [each.id for each in noted.latest] == ["before", "after"]


async def see(activity: Activity) -> None:
    keeping = asyncio.create_task(activity.keep(FakePool(), workers=2))
    while not activity.of_all():  # noqa: ASYNC110 - a turn of the loop, and no time
        await asyncio.sleep(0)
    keeping.cancel()


def test_it_looks_at_the_pool_and_shows_it() -> None:
    activity = Activity(Board(1), 0, lambda: NOON)
    asyncio.run(see(activity))
    [noted] = activity.of_all()
    memory = noted.sample.memory
    assert (noted.sample, noted.sampled_at) == (Sample(1, 3, 2, memory), NOON)
    assert memory >= 0
