"""Jobs that wait: in turn between owners, and not without end."""

import asyncio
from collections.abc import Callable

import pytest

from tabpy.tabpy_server.workers.pool import job_queue
from tabpy.tabpy_server.workers.pool.job_queue import JobQueue, Waiter


def with_queue(test: Callable[[JobQueue], None], waiting_bytes: float = 1000.0) -> None:
    async def run() -> None:
        test(JobQueue(waiting_bytes))

    asyncio.run(run())


def fill(queue: JobQueue, *owners: str, size: int = 1) -> list[Waiter]:
    waiters = [Waiter(owner, size) for owner in owners]
    for each in waiters:
        queue.add(each)
    return waiters


def test_owners_take_turns_and_each_ones_jobs_stay_in_order() -> None:
    def test(queue: JobQueue) -> None:
        one, two, three, four = fill(queue, "anna", "anna", "anna", "bob")
        assert queue.by_owner == {"anna": 3, "bob": 1}
        assert queue.pop("anna") is one
        assert list(queue.by_owner) == ["bob", "anna"]
        assert [queue.pop("bob"), queue.pop("anna"), queue.pop("anna")] == [four, two, three]
        assert len(queue) == 0
        assert queue.by_owner == {}

    with_queue(test)


def test_who_comes_again_is_behind_those_who_wait() -> None:
    def test(queue: JobQueue) -> None:
        fill(queue, "anna", "bob", "carl")
        queue.pop("anna")
        fill(queue, "anna")
        assert list(queue.by_owner) == ["bob", "carl", "anna"]

    with_queue(test)


def test_of_too_many_jobs_the_last_of_who_has_most_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(job_queue, "WAITING_JOBS", 4)

    def test(queue: JobQueue) -> None:
        *_, last = fill(queue, "anna", "anna", "anna", "anna")
        assert queue.drop_excess() == []
        fill(queue, "bob")
        assert queue.drop_excess() == [last]
        assert queue.by_owner == {"anna": 3, "bob": 1}

    with_queue(test)


def test_of_too_large_ones_the_largest_of_who_has_most_is_refused() -> None:
    def test(queue: JobQueue) -> None:
        [large] = fill(queue, "anna", size=600)
        fill(queue, "anna", "anna", size=100)
        fill(queue, "bob", size=300)
        assert queue.drop_excess() == [large]
        assert queue.by_owner == {"anna": 2, "bob": 1}
        assert queue.drop_excess() == []

    with_queue(test)


def test_a_single_job_may_wait_however_large() -> None:
    def test(queue: JobQueue) -> None:
        fill(queue, "anna", size=5000)
        assert queue.drop_excess() == []

    with_queue(test)
