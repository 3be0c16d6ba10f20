"""Who is let through next, and what becomes of those that stop waiting in any moment."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tabpy.tabpy_server.access.line import MOST_WAITING, Line
from tabpy.tabpy_server.errors import TooManySignInsError
from tests.running import PATIENCE


class Street:
    """A line, and who has come through it: each holds it until `go_on`."""

    def __init__(self) -> None:
        self.line = Line()
        self.through: list[int] = []
        self._is_held = False
        self._let_go = asyncio.Event()

    async def come(self, count: int) -> list["asyncio.Task[None]"]:
        """Have so many come, each after the one before it; the first goes through."""
        tasks = [asyncio.ensure_future(self._pass(number)) for number in range(count)]
        await asyncio.sleep(0)
        return tasks

    def go_on(self) -> None:
        """Have the one that holds the line let go of it."""
        self._let_go.set()

    async def _pass(self, number: int) -> None:
        async with self.line:
            assert not self._is_held, "one at a time"
            self._is_held = True
            self.through.append(number)
            self._let_go.clear()
            await self._let_go.wait()
            self._is_held = False

    async def until_all_have_ended(self, tasks: list["asyncio.Task[None]"]) -> list[object]:
        async with asyncio.timeout(PATIENCE):
            while not all(each.done() for each in tasks):
                self.go_on()
                await asyncio.sleep(0)
        assert not self.line._taken
        return await asyncio.gather(*tasks, return_exceptions=True)


def on_a_street(test: Callable[[Street], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test(Street()))


def test_the_newest_is_next() -> None:
    async def test(street: Street) -> None:
        await street.until_all_have_ended(await street.come(4))
        assert street.through == [0, 3, 2, 1]

    on_a_street(test)


def test_of_too_many_the_one_that_has_waited_longest_has_to_go() -> None:
    async def test(street: Street) -> None:
        ended = await street.until_all_have_ended(await street.come(MOST_WAITING + 2))
        assert [each for each, error in enumerate(ended) if error is not None] == [1]
        assert isinstance(ended[1], TooManySignInsError)

    on_a_street(test)


@pytest.mark.parametrize("leaves", [1, 2])
def test_who_stops_waiting_is_passed_over(leaves: int) -> None:
    async def test(street: Street) -> None:
        tasks = await street.come(3)
        tasks[leaves].cancel()
        await street.until_all_have_ended(tasks)
        assert street.through == [0, 3 - leaves]

    on_a_street(test)


def test_who_stops_waiting_in_the_moment_of_the_turn_is_passed_over() -> None:
    async def test(street: Street) -> None:
        tasks = await street.come(3)
        street.go_on()
        await asyncio.sleep(0)  # the line is the last one's now, who doesn't know it yet
        assert street.through == [0]
        tasks[2].cancel()
        await street.until_all_have_ended(tasks)
        assert street.through == [0, 1]

    on_a_street(test)


def test_who_stops_waiting_just_before_the_turn_is_passed_over() -> None:
    async def test(street: Street) -> None:
        tasks = await street.come(3)
        street.go_on()
        tasks[2].cancel()  # it doesn't know it yet when the first lets go
        await street.until_all_have_ended(tasks)
        assert street.through == [0, 1]

    on_a_street(test)


def test_who_stops_waiting_just_before_there_are_too_many_makes_room() -> None:
    async def test(street: Street) -> None:
        tasks = await street.come(MOST_WAITING + 1)
        last = asyncio.ensure_future(street._pass(MOST_WAITING + 1))
        tasks[1].cancel()
        ended = await street.until_all_have_ended([*tasks, last])
        assert [each for each, error in enumerate(ended) if error is not None] == [1]

    on_a_street(test)


def test_who_stops_waiting_when_there_are_too_many_lets_nobody_in() -> None:
    async def test(street: Street) -> None:
        tasks = await street.come(MOST_WAITING + 1)
        last = asyncio.ensure_future(street._pass(MOST_WAITING + 1))
        asyncio.get_running_loop().call_soon(tasks[1].cancel)
        ended = await street.until_all_have_ended([*tasks, last])
        assert [each for each, error in enumerate(ended) if error is not None] == [1]
        assert isinstance(ended[1], asyncio.CancelledError)

    on_a_street(test)
