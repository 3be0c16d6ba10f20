"""Which job gets which worker: none has two owners, and nobody waits for ever."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from tabpy.tabpy_server.errors import QueueFullError
from tabpy.tabpy_server.isolation import Isolation
from tabpy.tabpy_server.workers.pool import job_queue, ownership, roster
from tabpy.tabpy_server.workers.pool.ownership import TURN_SECONDS, Allocation, Situation, allocate
from tabpy.tabpy_server.workers.protocol import Reply
from tests.workers.pool.fakes import Bench, FakeWorker, with_bench

SHELVED = {"shelved"}  # owners for whom workers of nobody aren't the best


@dataclass(eq=False)
class Some:
    """A worker."""

    owner: str | None
    owned_since: float = 0.0
    outdated: bool = False


def at(
    waiting: Mapping[str, int],
    idle: Sequence[Some],
    *,
    running: Mapping[str, int] | None = None,
    free: int = 9,
    spare: bool = False,
    coming: Sequence[str | None] = (),
    missing: int = 0,
    replaceable: bool = True,
) -> Allocation[Some]:
    return allocate(
        Situation(
            waiting,
            running or {},
            free,
            spare,
            idle,
            coming,
            missing,
            lambda _: replaceable,
            lambda each, owner: each.outdated or (each.owner is None and owner in SHELVED),
        )
    )


def now() -> float:
    return time.monotonic()


# --- the rule ---


def test_an_owner_gets_the_last_used_of_its_own_workers() -> None:
    first, last = Some("anna"), Some("anna")
    assert at({"anna": 1}, [first, last, Some("bob"), Some(None)]).given == [("anna", last)]


def test_else_one_that_was_never_used() -> None:
    fresh = Some(None)
    assert at({"anna": 1}, [Some("bob"), fresh]) == Allocation([("anna", fresh)], [], [])


def test_rather_a_fresh_one_than_an_outdated_one() -> None:
    fresh = Some(None)
    assert at({"anna": 1}, [fresh, Some("anna", outdated=True)]).given == [("anna", fresh)]


def test_else_the_longest_unused_of_the_others_has_to_go() -> None:
    longest = Some("bob")
    assert at({"anna": 1}, [longest, Some("carl")]) == Allocation([], [longest], ["anna"])


@pytest.mark.parametrize("coming", [[None], ["anna"], ["anna", None]])
def test_but_not_if_another_worker_is_on_its_way(coming: list[str | None]) -> None:
    count = len(coming)
    assert at({"anna": count}, [Some("bob")], coming=coming) == Allocation([], [], [])
    assert len(at({"anna": count + 1}, [Some("bob")], coming=coming).replaced) == 1


def test_unless_that_will_be_somebody_elses() -> None:
    bobs = Some("bob")
    assert at({"anna": 1}, [bobs], coming=["carl"]) == Allocation([], [bobs], ["anna"])


def test_nor_if_there_are_fewer_than_there_should_be() -> None:
    one = at({"anna": 1, "carl": 1}, [Some("bob")], missing=2)
    assert one == Allocation([], [], ["anna", "carl"])


def test_rather_an_outdated_worker_of_its_own_than_one_that_would_be_at_once() -> None:
    own = Some("shelved", outdated=True)
    assert at({"shelved": 1}, [own, Some(None)]).given == [("shelved", own)]


def test_nor_if_none_can_be_started() -> None:
    assert at({"anna": 1}, [Some("bob")], replaceable=False) == Allocation([], [], [])


def test_no_more_jobs_run_than_may() -> None:
    workers = [Some("anna") for _ in range(3)]
    assert len(at({"anna": 5}, workers, free=2).given) == 2
    assert at({"anna": 5}, [Some("bob")], free=0) == Allocation([], [], [])


def test_the_spare_worker_is_for_an_owner_with_none_running() -> None:
    fresh = [Some(None), Some(None)]
    one = at({"anna": 5, "bob": 5}, fresh, running={"anna": 2}, free=0, spare=True)
    assert one == Allocation([("bob", fresh[1])], [], [])
    none = at({"anna": 5}, fresh, running={"anna": 2}, free=0, spare=True)
    assert none == Allocation([], [], [])


def test_the_spare_worker_too_is_replaced_for_another_owner() -> None:
    spare = Some("bob")
    waits = at({"carl": 1}, [spare], running={"anna": 2}, free=0, spare=True)
    assert waits == Allocation([], [spare], ["carl"])


def test_who_has_fewest_jobs_running_is_next() -> None:
    fresh = Some(None)
    given = at({"anna": 5, "bob": 1}, [fresh], running={"anna": 1}).given
    assert given == [("bob", fresh)]


def test_each_gets_one_before_somebody_gets_two() -> None:
    given = at({"anna": 5, "bob": 5}, [Some(None) for _ in range(4)]).given
    assert [owner for owner, _ in given] == ["anna", "bob", "anna", "bob"]


def test_a_worker_stays_with_an_owner_who_waits_until_its_turn_is_over() -> None:
    waiting = {"bob": 1, "anna": 1}
    worker = Some("anna", now())
    assert at(waiting, [worker]) == Allocation([("anna", worker)], [], [])
    worker = Some("anna", now() - TURN_SECONDS)
    assert at(waiting, [worker], free=1) == Allocation([], [worker], ["bob"])


def test_a_worker_that_its_owner_has_no_job_for_has_no_turn() -> None:
    worker, other = Some("anna", now()), Some("anna", now())
    assert at({"bob": 1}, [worker]).replaced == [worker]
    allocation = at({"bob": 1, "anna": 1}, [worker, other])
    assert allocation == Allocation([("anna", other)], [worker], ["bob"])


def test_without_owners_jobs_are_run_in_turn() -> None:
    workers = [Some(None), Some(None)]
    given = at({"anna": 2, "bob": 1}, workers, free=2).given
    assert [owner for owner, _ in given] == ["anna", "bob"]


# --- in a pool ---


def bodies(worker: FakeWorker) -> set[bytes]:
    return {body for _, body in worker.received}


def test_a_worker_that_has_run_a_script_of_one_user_is_replaced_for_another() -> None:
    async def test(bench: Bench) -> None:
        for body, owner in [(b"a1", "anna"), (b"a2", "anna"), (b"b1", "bob"), (b"a3", "anna")]:
            assert (await bench.run(body, owner=owner)).body == body
        assert [bodies(each) for each in bench.launcher.started] == [
            {b"a1", b"a2"},
            {b"b1"},
            {b"a3"},
        ]
        assert bench.counters.ends == {"other user": 2}
        await bench.settle()
        assert len(bench.launcher.there) == 1

    with_bench(1, test)


def test_two_users_have_a_worker_each_where_there_are_two() -> None:
    async def test(bench: Bench) -> None:
        for _ in range(5):
            for owner in ("anna", "bob"):
                await bench.run(owner.encode(), owner=owner)
        assert [bodies(each) for each in bench.launcher.started] == [{b"bob"}, {b"anna"}]

    with_bench(2, test)


def test_a_worker_handed_to_somebody_who_has_just_given_up_belongs_to_nobody() -> None:
    async def test(bench: Bench) -> None:
        bench.launcher.may_say_hello.clear()
        bench.launcher.started[0].die()
        await bench.until(lambda: bench.pool._workers.starter.starting)
        waiting, other = bench.begin(b"gone", owner="anna"), bench.begin(b"next", owner="bob")
        await bench.until(lambda: bench.pool.waiting == 2)
        waiter = next(iter(bench.pool._queue))
        waiter.worker.add_done_callback(lambda _: waiting.cancel())  # before it can run on it
        bench.launcher.may_say_hello.set()
        assert (await other).body == b"next"
        assert bench.counters.ends == {"died": 1}, "the same worker"

    with_bench(1, test)


def test_when_a_user_is_gone_the_worker_is_not_forgotten() -> None:
    async def test(bench: Bench) -> None:
        running = bench.begin(b"hang", owner="anna")
        await bench.until(lambda: bench.launcher.started[0].received)
        waiting = bench.begin(b"b", owner="bob")
        await bench.until(lambda: bench.pool.waiting == 1)
        waiting.cancel()
        bench.launcher.started[0].send(Reply(), b"")
        await running
        assert (await bench.run(b"a", owner="anna")).body == b"a"
        assert len(bench.launcher.started) == 1

    with_bench(1, test)


def test_one_users_many_calls_do_not_starve_anothers_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ownership, "TURN_SECONDS", 0.01)

    async def test(bench: Bench) -> None:
        many = [bench.begin(b"%d" % number, owner="anna") for number in range(300)]
        one = bench.begin(b"one", owner="bob")
        assert (await one).body == b"one"
        assert sum(each.done() for each in many) < 200
        assert [(await each).body for each in many] == [b"%d" % each for each in range(300)]

    with_bench(2, test)


# --- the spare worker ---


async def hang(bench: Bench, *owners: str) -> None:
    """Have long jobs of these owners take all workers."""
    for owner in owners:
        bench.begin(b"hang", owner=owner)
    await bench.until(lambda: bench.pool.running == len(owners) and bench.pool._workers.is_stuck)


@pytest.mark.parametrize("size", [1, 2])
def test_long_jobs_of_one_user_leave_a_worker_for_the_others(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster, "PATIENCE", 0.01)

    async def test(bench: Bench) -> None:
        await hang(bench, *size * ["anna"])
        more = bench.begin(b"more", owner="anna")
        for owner in ("bob", "bob", "carl", "bob"):
            assert (await bench.run(b"good", owner=owner)).body == b"good"
        assert not more.done(), "it isn't for who has all workers already"
        assert bench.counters.starts == size + 3, "one worker for each change of its owner"
        bench.pool.check()

    with_bench(size, test)


def test_many_jobs_of_others_take_the_spare_worker_in_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(roster, "PATIENCE", 0.01)

    async def test(bench: Bench) -> None:
        await hang(bench, "anna", "anna")
        jobs = [bench.begin(b"%d" % each, owner="bob") for each in range(50)]
        assert [(await each).body for each in jobs] == [b"%d" % each for each in range(50)]

    with_bench(2, test)


def test_nobody_gets_a_spare_worker_while_jobs_are_short() -> None:
    async def test(bench: Bench) -> None:
        bench.begin(b"hang", owner="anna")
        await bench.until(lambda: bench.pool.running)
        bench.begin(b"good", owner="bob")
        for _ in range(20):
            bench.pool._look()
        assert len(bench.launcher.started) == 1

    with_bench(1, test)


def test_the_spare_worker_goes_when_it_is_not_needed_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(roster, "PATIENCE", 0.01)

    async def test(bench: Bench) -> None:
        await hang(bench, "anna")
        await bench.run(b"good", owner="bob")
        assert len(bench.launcher.there) == 2
        bench.launcher.started[0].send(Reply(), b"done")
        await bench.until(lambda: len(bench.launcher.there) == 1)
        assert bench.counters.ends == {"spare": 1}

    with_bench(1, test)


def test_two_users_with_many_calls_do_not_wait_for_forks_only() -> None:
    async def test(bench: Bench) -> None:
        owners = ("anna", "bob", "carl")
        calls = [bench.begin(b"", owner=owner) for owner in 50 * owners]
        begun = time.monotonic()
        await asyncio.gather(*calls)
        turns = 2 * ((time.monotonic() - begun) / TURN_SECONDS + len(owners))
        assert len(bench.launcher.started) <= 2 + turns

    with_bench(2, test)


def test_a_turn_ends_while_its_owner_still_has_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership, "TURN_SECONDS", 0.02)

    async def test(bench: Bench) -> None:
        served: list[str] = []

        async def call(owner: str) -> None:
            while len(set(served)) < 3:
                await bench.run(b"", owner=owner)
                served.append(owner)

        callers = [call(owner) for owner in ("anna", "anna", "bob", "bob", "carl", "carl")]
        await asyncio.wait_for(asyncio.gather(*callers), 5)

    with_bench(1, test)


@pytest.mark.parametrize("owner", ["", "bob"])
def test_without_isolation_everybody_uses_the_same_worker(owner: str) -> None:
    async def test(bench: Bench) -> None:
        await bench.run(b"a", owner="anna")
        await bench.run(b"b", owner=owner)
        assert [bodies(each) for each in bench.launcher.started] == [set(), {b"a", b"b"}]

    with_bench(2, test, Isolation.OFF)


def test_each_job_can_have_a_worker_of_its_own() -> None:
    async def test(bench: Bench) -> None:
        for _ in range(4):
            await bench.run(b"a", owner="anna")
        await bench.settle()
        assert max(len(each.received) for each in bench.launcher.started) == 1
        assert bench.counters.ends == {"one job": 4}
        assert len(bench.launcher.there) == 2

    with_bench(2, test, Isolation.JOB)


def test_a_worker_is_not_given_up_while_none_can_be_started() -> None:
    async def test(bench: Bench) -> None:
        await bench.run(b"a", owner="anna")
        await bench.run(b"b", owner="bob")
        bench.launcher.refuses = True
        bench.launcher.started[1].die()
        await bench.until(lambda: bench.pool._workers.starter.failed)
        bench.pool._workers.starter._again_at = now() + 60
        waiting = bench.begin(b"c", owner="carl")
        await bench.until(lambda: bench.pool.waiting == 1)
        [left] = bench.launcher.there
        owner = "bob" if bodies(left) == {b"b"} else "anna"
        assert (await bench.run(b"mine", owner=owner)).body == b"mine"
        waiting.cancel()

    with_bench(2, test)


# --- too many ---


def test_too_many_are_refused_and_those_who_sent_few_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(job_queue, "WAITING_JOBS", 3)

    async def test(bench: Bench) -> None:
        running = bench.begin(b"hang", owner="anna")
        await bench.until(lambda: bench.launcher.started[0].received)
        calls = [bench.begin(b"%d" % number, owner="anna") for number in range(4)]
        await bench.until(calls[3].done)
        with pytest.raises(QueueFullError):
            await calls[3]
        one = bench.begin(b"one", owner="bob")
        await bench.until(calls[2].done)
        with pytest.raises(QueueFullError):
            await calls[2]
        bench.launcher.started[0].send(Reply(), b"")
        await running
        assert [(await each).body for each in (one, *calls[:2])] == [b"one", b"0", b"1"]

    with_bench(1, test)


def test_bodies_that_wait_have_a_bound() -> None:
    async def test(bench: Bench) -> None:
        running = bench.begin(b"hang")
        await bench.until(lambda: bench.launcher.started[0].received)
        large = bench.begin(b"x" * (1 << 20))
        await bench.until(lambda: bench.pool.waiting == 1)
        small = bench.begin(b"small")
        await bench.until(large.done)
        with pytest.raises(QueueFullError):
            await large
        bench.launcher.started[0].send(Reply(), b"")
        await running
        assert (await small).body == b"small"

    with_bench(1, test)
