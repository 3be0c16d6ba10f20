"""Calls of pure functions: nobody ever gets the result of another user, version or body."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabpy.tabpy_server.errors import (
    FunctionFailedError,
    FunctionNotReadyError,
    StoreUnavailableError,
)
from tabpy.tabpy_server.functions import pure_calls
from tabpy.tabpy_server.functions.pure_calls import PureCall, PureCalls, Way
from tabpy.tabpy_server.functions.result_cache import ResultCache
from tabpy.tabpy_server.isolation import Isolation
from tabpy.tabpy_server.metrics.counters import Counters
from tabpy.tabpy_server.workers.pool.job import Job, Outcome, Timing
from tabpy.tabpy_server.workers.protocol import Failure, Reply

ROOM = 1 << 20


class FakeCatalog:
    """Has the pure function `f`, until a change says otherwise."""

    def __init__(self) -> None:
        self.pure = frozenset({"f", "g"})
        self.change_token = "change 0"
        self.answers = asyncio.Event()
        self.answers.set()

    async def pure_since(self, name: str) -> str | None:
        await self.answers.wait()
        return self.change_token if name in self.pure else None


class FakePool:
    """Answers a job with all that it depends on, once it `may_end`; what it prints says how many
    jobs there were."""

    def __init__(self, catalog: FakeCatalog) -> None:
        self._catalog = catalog
        self.jobs: list[Job] = []
        self.failure: Failure | None = None
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def run(self, job: Job, timing: Timing) -> Outcome:
        self.jobs.append(job)
        number = len(self.jobs)
        depends_on = (job.owner, job.function, job.headers, b"".join(job.body))
        made = repr((*depends_on, self._catalog.change_token)).encode()
        await self.may_end.wait()
        timing.queued_ms, timing.run_ms = 2.0, 3.0
        if self.failure is not None:
            return Outcome(self.failure, b"")
        reply = Reply("0" * 32 + "-1", f"job {number}", recycle=True, logged=[(20, "x")])
        return Outcome(reply, made)


class Bench:
    def __init__(self, room: int = ROOM) -> None:
        self.catalog = FakeCatalog()
        self.pool = FakePool(self.catalog)
        self.counters = Counters()
        self.cache = ResultCache(room, 60.0)
        self.calls = PureCalls(self.catalog, self.pool, self.counters, self.cache)

    def change(self) -> None:
        self.catalog.change_token = f"change {int(self.catalog.change_token[7:]) + 1}"

    async def call(self, job: Job | None = None) -> tuple[PureCall, Outcome]:
        call = self.calls.call("f")
        assert call is not None
        return call, await call.run(job or job_of(), Timing())

    async def ways(self, *calls: Awaitable[tuple[PureCall, Outcome]]) -> list[Way | None]:
        return [call.way for call, _ in await asyncio.gather(*calls)]


def job_of(**other: Any) -> Job:
    return Job(**{"body": [b"body"], "timeout": 10.0, "function": "f", "owner": "anna", **other})


def run(test: Callable[[Bench], Awaitable[None]], room: int = ROOM) -> None:
    async def on_a_loop() -> None:
        async with asyncio.timeout(10):
            await test(Bench(room))

    asyncio.run(on_a_loop())


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_function_that_nobody_called_pure_is_none_of_its_business() -> None:
    async def test(bench: Bench) -> None:
        assert bench.calls.call("h") is None

    run(test)


def test_the_same_calls_together_run_once_and_one_of_them_has_what_was_printed() -> None:
    async def test(bench: Bench) -> None:
        got = await asyncio.gather(*(bench.call() for _ in range(3)))
        assert [call.way for call, _ in got] == [Way.MISS, Way.JOINED, Way.JOINED]
        assert len(bench.pool.jobs) == 1
        assert len({outcome.body for _, outcome in got}) == 1
        assert [outcome.message.printed for _, outcome in got] == ["job 1", "", ""]
        assert [outcome.message.logged for _, outcome in got] == [[(20, "x")], [], []]
        assert bench.counters.pure_calls == {"miss": 1, "joined": 2}

    run(test, room=0)


def test_without_a_cache_nothing_is_kept() -> None:
    async def test(bench: Bench) -> None:
        assert [(await bench.call())[0].way for _ in range(2)] == [Way.MISS, Way.MISS]
        assert (await bench.call())[0].is_stored is False
        await bench.calls.keep()  # has nothing to do, and ends

    run(test, room=0)


def test_with_a_cache_a_result_is_had_again_without_a_job() -> None:
    async def test(bench: Bench) -> None:
        first, made = await bench.call()
        second, kept = await bench.call()
        assert (first.is_stored, second.way) == (True, Way.HIT)
        assert len(bench.pool.jobs) == 1
        assert kept == Outcome(Reply("0" * 32 + "-1"), made.body)
        assert 0 <= second.age < second.left <= 60
        assert bench.counters.result_bytes == bench.cache.size > len(made.body)

    run(test)


OTHERS: dict[str, dict[str, Any]] = {
    "user": {"owner": "bert"},
    "viewer": {"owner": "anna\nbert"},
    "header": {"headers": {"TabPy-User": "bert"}},
    "body": {"body": [b"bodY"]},
    "longer body": {"body": [b"body", b" "]},
    "name": {"function": "g"},
}


@pytest.mark.parametrize("other", OTHERS)
def test_another_call_is_another_run(other: str) -> None:
    async def test(bench: Bench) -> None:
        another = job_of(**OTHERS[other])
        assert await bench.ways(bench.call(), bench.call(another)) == [Way.MISS, Way.MISS]
        assert (await bench.call(another))[0].way is Way.HIT
        assert len(bench.pool.jobs) == 2

    run(test)


def test_the_same_bytes_in_other_pieces_are_the_same() -> None:
    async def test(bench: Bench) -> None:
        await bench.call()
        assert (await bench.call(job_of(body=[b"b", b"", b"ody"])))[0].way is Way.HIT

    run(test)


def test_after_a_change_nothing_from_before_is_given() -> None:
    async def test(bench: Bench) -> None:
        await bench.call()
        bench.change()
        call, outcome = await bench.call()
        assert call.way is Way.MISS
        assert b"change 1" in outcome.body
        assert len(bench.cache) == 1

    run(test)


def test_who_comes_after_a_change_does_not_join_who_came_before() -> None:
    async def test(bench: Bench) -> None:
        bench.pool.may_end.clear()
        before = asyncio.ensure_future(bench.call())
        await turns()
        bench.change()
        after = asyncio.ensure_future(bench.call())
        await turns()
        bench.pool.may_end.set()
        (old, _), (new, outcome) = await before, await after
        assert (old.way, old.is_stored, new.way) == (Way.MISS, False, Way.MISS)
        assert b"change 1" in outcome.body
        assert (await bench.call())[1].body == outcome.body

    run(test)


def test_a_version_that_is_not_pure_any_more_runs_for_each() -> None:
    async def test(bench: Bench) -> None:
        call = bench.calls.call("f")
        bench.catalog.pure = frozenset()
        assert call is not None
        for number in (1, 2):
            await call.run(job_of(), Timing())
            assert len(bench.pool.jobs) == number
        assert (call.way, len(bench.cache)) == (None, 0)

    run(test)


def test_failures_are_shared_and_not_kept() -> None:
    async def test(bench: Bench) -> None:
        bench.pool.failure = Failure.of(FunctionFailedError("f", "x : y"), Reply())
        got = await asyncio.gather(bench.call(), bench.call())
        assert [outcome.message.__class__ for _, outcome in got] == [Failure, Failure]
        assert len(bench.pool.jobs) == 1
        bench.pool.failure = None
        assert (await bench.call())[0].way is Way.MISS

    run(test)


def test_a_large_body_is_neither_shared_nor_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pure_calls, "BODY_LIMIT", 3)

    async def test(bench: Bench) -> None:
        assert await bench.ways(bench.call(), bench.call()) == [Way.BYPASS, Way.BYPASS]
        assert len(bench.pool.jobs) == 2

    run(test)


def test_looking_up_the_name_counts() -> None:
    async def test(bench: Bench) -> None:
        bench.catalog.answers.clear()
        with pytest.raises(FunctionNotReadyError):
            await bench.call(job_of(timeout=0.01))
        assert bench.pool.jobs == []

    run(test)


def test_a_store_that_is_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(bench: Bench) -> None:
        async def away(_: str) -> str:
            raise StoreUnavailableError("x")

        monkeypatch.setattr(bench.catalog, "pure_since", away)
        with pytest.raises(StoreUnavailableError):
            await bench.call()

    run(test)


def test_what_is_out_of_date_goes_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pure_calls, "LOOK_EVERY", 0.001)

    async def test(bench: Bench) -> None:
        await bench.call()
        keeping = asyncio.ensure_future(bench.calls.keep())
        bench.change()
        while bench.counters.result_bytes:  # noqa: ASYNC110 - a turn of the loop, and no time
            await asyncio.sleep(0.001)
        assert len(bench.cache) == 0
        keeping.cancel()

    run(test)


NAMES = st.one_of(st.sampled_from([None, "anna", "bert", "anna\n", "a", "'"]), st.text(max_size=3))
CALLS = st.lists(
    st.tuples(
        NAMES,
        NAMES.filter(lambda name: not name or "\n" not in name),
        st.lists(st.sampled_from([b"", b"1", b"2", b"'", b")"]), max_size=3),
        st.sampled_from(["together", "later", "after a change"]),
    ),
    max_size=12,
)


@pytest.mark.parametrize("isolation", list(Isolation))
@given(calls=CALLS)
def test_each_gets_what_depends_on_its_own_user_version_and_body(
    isolation: Isolation, calls: list[tuple[str | None, str | None, list[bytes], str]]
) -> None:
    async def test(bench: Bench) -> None:
        under_way: list[tuple[Job, str, asyncio.Future[tuple[PureCall, Outcome]]]] = []

        async def end() -> None:
            for job, change, answer in under_way:
                _, outcome = await answer
                depends_on = (job.owner, job.function, job.headers, b"".join(job.body), change)
                assert outcome.body == repr(depends_on).encode()
            under_way.clear()

        for user, viewer, body, when in calls:
            if when != "together":
                await end()
            if when == "after a change":
                bench.change()
            plain = (user or "").replace("\n", "")  # no user's name has an end of line
            headers = {"TabPy-User": viewer} if viewer else {}
            job = job_of(owner=isolation.owner(plain, viewer), headers=headers, body=body)
            answer = asyncio.ensure_future(bench.call(job))
            under_way.append((job, bench.catalog.change_token, answer))
        await end()

    run(test)
