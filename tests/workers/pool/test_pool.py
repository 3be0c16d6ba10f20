"""The pool's promises: it never loses count, and time spent waiting counts."""

import asyncio
import time
import weakref

import pytest

from tabpy.tabpy_server.errors import (
    AllBusyError,
    DrainingError,
    FunctionNotReadyError,
    InternalError,
    InvalidInputError,
    JobTimeoutError,
    UnknownFunctionError,
    WorkerDiedError,
)
from tabpy.tabpy_server.workers import protocol
from tabpy.tabpy_server.workers.pool import starter
from tabpy.tabpy_server.workers.pool.job import Job, Timing
from tabpy.tabpy_server.workers.protocol import (
    Answer,
    Crash,
    Death,
    Evaluate,
    Failure,
    Need,
    Query,
    Refusal,
    Reply,
)
from tests.workers.pool.fakes import REFERENCE, Bench, with_bench


def test_a_pool_starts_as_many_workers_as_it_should_have() -> None:
    async def test(bench: Bench) -> None:
        assert len(bench.launcher.there) == 3
        assert bench.counters.starts == 3

    with_bench(3, test)


def test_a_job_gets_the_last_used_worker() -> None:
    async def test(bench: Bench) -> None:
        for number in range(5):
            assert (await bench.run(b"%d" % number)).body == b"%d" % number
        assert sorted(len(each.received) for each in bench.launcher.started) == [0, 0, 5]

    with_bench(3, test)


def test_an_idle_worker_keeps_no_reply() -> None:
    """It may be 100 MB, and there are many workers."""

    async def test(bench: Bench) -> None:
        reply = weakref.ref((await bench.run(b"1")).message)
        await asyncio.sleep(0)  # the turn that brought it has it, too
        assert reply() is None

    with_bench(1, test)


# --- losing no count ---


def origins(bench: Bench) -> list[str]:
    return [each.origin for each in bench.launcher.there]


@pytest.mark.parametrize("size", [1, 2, 4])
def test_workers_that_die_while_others_take_their_place_are_not_replaced_twice(size: int) -> None:
    async def test(bench: Bench) -> None:
        launcher = bench.launcher
        for name in ("two", "three", "four"):
            launcher.may_say_hello.clear()
            launcher.origin = name
            # The better one is on its way.
            await bench.until(lambda: bool(bench.pool._workers.starter.starting))
            with pytest.raises(WorkerDiedError):
                await bench.run(b"die")
            launcher.may_say_hello.set()
            await bench.until(lambda: origins(bench) == [launcher.origin] * size)
        assert len(launcher.there) == size

    with_bench(size, test)


def test_a_worker_is_recycled_once_when_a_better_fork_server_answers() -> None:
    async def test(bench: Bench) -> None:
        bench.launcher.origin = "warm"
        await bench.until(lambda: all(e.origin == "warm" for e in bench.launcher.there))
        await bench.settle()
        assert len(bench.launcher.started) == 2 * 3
        assert bench.counters.ends == {"replaced": 3}

    with_bench(3, test)


def test_workers_of_the_fork_server_that_answers_now_are_left_alone() -> None:
    async def test(bench: Bench) -> None:
        for _ in range(20):
            bench.pool._look()
        assert len(bench.launcher.started) == 3

    with_bench(3, test)


def test_a_busy_worker_that_is_outdated_has_its_last_job() -> None:
    async def test(bench: Bench) -> None:
        running = bench.begin(b"hang")
        await bench.until(lambda: bench.launcher.started[0].received)
        bench.launcher.origin = "two"
        await bench.until(lambda: len(bench.launcher.started) == 2)
        await bench.settle()
        assert not bench.launcher.started[0].let_go.is_set()
        bench.launcher.started[0].send(Reply(), b"done")
        assert (await running).body == b"done"
        await bench.until(bench.launcher.started[0].let_go.is_set)
        assert (await bench.run(b"next")).body == b"next"
        assert bench.launcher.started[1].received

    with_bench(1, test)


def test_an_outdated_worker_goes_on_until_a_better_one_is_there() -> None:
    async def test(bench: Bench) -> None:
        bench.launcher.may_say_hello.clear()
        bench.launcher.origin = "two"
        bench.pool._look()
        assert (await bench.run(b"meanwhile")).body == b"meanwhile"
        bench.launcher.may_say_hello.set()

    with_bench(1, test)


def test_no_more_jobs_run_at_a_time_than_there_should_be_workers() -> None:
    async def test(bench: Bench) -> None:
        running = bench.begin(b"hang")
        await bench.until(lambda: bench.pool.running == 1)
        bench.launcher.origin = "two"
        await bench.until(lambda: len(bench.launcher.started) == 2)
        await bench.settle()  # a second worker is there, in waiting for the first one's place
        waiting = bench.begin(b"after")
        await asyncio.sleep(0)
        assert (bench.pool.running, bench.pool.waiting) == (1, 1)
        bench.launcher.started[0].send(Reply(), b"")
        await running
        assert (await waiting).body == b"after"

    with_bench(1, test)


def test_an_idle_worker_that_dies_is_replaced() -> None:
    async def test(bench: Bench) -> None:
        bench.launcher.started[0].die()
        await bench.until(lambda: len(bench.launcher.started) == 3)
        assert bench.counters.ends == {"died": 1}

    with_bench(2, test)


@pytest.mark.parametrize(
    "message", [Reply(recycle=True), Failure("InvalidInputError", ["no"], recycle=True)]
)
def test_a_worker_that_asks_for_it_is_recycled(message: Reply | Failure) -> None:
    async def test(bench: Bench) -> None:
        running = bench.begin(b"hang")
        await bench.until(lambda: bench.launcher.started[0].received)
        bench.launcher.started[0].send(message)
        assert (await running).message == message
        await bench.until(lambda: len(bench.launcher.started) == 2)
        assert bench.counters.ends == {"worn out": 1}

    with_bench(1, test)


def test_starting_is_tried_again_after_a_pause_until_it_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(starter, "FIRST_PAUSE", 60.0)
    monkeypatch.setattr(starter, "LAST_PAUSE", 60.0)

    async def test(bench: Bench) -> None:
        bench.launcher.refuses = True
        bench.launcher.started[0].die()
        await bench.until(lambda: bench.pool._workers.starter.failed)
        bench.launcher.refuses = False
        for _ in range(50):
            bench.pool._look()
        assert len(bench.launcher.started) == 1, "not before the pause is over"
        bench.pool._workers.starter._again_at = time.monotonic()  # it is
        assert (await bench.run(b"again")).body == b"again"
        assert bench.pool._workers.starter.failed == 0

    with_bench(1, test)


def test_that_no_worker_can_be_started_is_said_after_several_tries_and_until_one_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(starter, "FIRST_PAUSE", 0.001)

    async def test(bench: Bench) -> None:
        bench.launcher.refuses = True
        bench.launcher.started[0].die()
        await bench.until(lambda: bench.pool._workers.starter.failed)
        assert not bench.pool.cannot_start, "one try says nothing"
        await bench.until(lambda: bench.pool.cannot_start)
        bench.launcher.refuses = False
        await bench.until(lambda: not bench.pool.cannot_start)
        assert (await bench.run(b"again")).body == b"again"

    with_bench(1, test)


def test_a_pause_ends_by_itself() -> None:
    async def test(bench: Bench) -> None:
        bench.launcher.refuses = True
        bench.launcher.started[0].die()
        await bench.until(lambda: bench.pool._workers.starter.failed)
        waiting = bench.begin(b"waiting")
        bench.launcher.refuses = False
        assert (await waiting).body == b"waiting"

    with_bench(1, test)


def test_a_worker_that_dies_before_it_is_ready_is_tried_again() -> None:
    async def test(bench: Bench) -> None:
        bench.launcher.may_say_hello.clear()
        bench.launcher.started[0].die()
        await bench.until(lambda: len(bench.launcher.started) == 2)
        bench.launcher.started[1].die()
        bench.launcher.may_say_hello.set()
        assert (await bench.run(b"third")).body == b"third"

    with_bench(1, test)


# --- time ---


def test_waiting_for_a_worker_counts_against_the_deadline() -> None:
    async def test(bench: Bench) -> None:
        first = bench.begin(b"hang", 0.2)
        await asyncio.sleep(0)
        second, begun = bench.begin(b"hang", 0.45), time.monotonic()
        with pytest.raises(JobTimeoutError, match=r"Timeout is set to 0\.2 s"):
            await first
        with pytest.raises(JobTimeoutError, match=r"It waited 0\.[23] s .* ran for 0\.[123] s"):
            await second
        assert time.monotonic() - begun < 0.6

    with_bench(1, test)


def test_a_job_that_gets_no_worker_in_time_is_not_run() -> None:
    async def test(bench: Bench) -> None:
        first = bench.begin(b"hang")
        await bench.until(lambda: bench.pool.running)
        with pytest.raises(AllBusyError, match=r"waited 0\.15 s"):
            await bench.run(b"second", 0.15)
        assert bench.pool.waiting == 0
        first.cancel()

    with_bench(1, test)


def test_looking_up_the_function_counts_against_the_deadline_and_takes_no_worker() -> None:
    async def test(bench: Bench) -> None:
        looking = asyncio.create_task(bench.run(b"", 0.15, "slow"))
        await asyncio.sleep(0)
        assert bench.pool.running == 0
        with pytest.raises(FunctionNotReadyError, match=r"'slow' took longer than 0\.15 s"):
            await looking

    with_bench(1, test)


def test_what_looking_up_took_is_not_there_for_running() -> None:
    async def test(bench: Bench) -> None:
        begun = time.monotonic()
        with pytest.raises(JobTimeoutError, match=r"ran for 0\.[12] s"):
            await bench.run(b"hang", 0.35, "late")
        assert time.monotonic() - begun < 0.5

    with_bench(1, test)


def test_a_worker_is_let_go_when_its_job_takes_too_long() -> None:
    async def test(bench: Bench) -> None:
        with pytest.raises(JobTimeoutError):
            await bench.run(b"hang", 0.15)
        await bench.until(bench.launcher.started[0].let_go.is_set)
        assert bench.counters.ends == {"time-out": 1}
        assert (await bench.run(b"next")).body == b"next"

    with_bench(1, test)


def test_a_worker_is_let_go_when_nobody_waits_for_its_result() -> None:
    async def test(bench: Bench) -> None:
        running = bench.begin(b"hang")
        await bench.until(lambda: bench.launcher.started[0].received)
        running.cancel()
        await bench.until(bench.launcher.started[0].let_go.is_set)
        assert bench.counters.ends == {"client gone": 1}

    with_bench(1, test)


def test_a_worker_handed_to_somebody_who_has_just_given_up_goes_to_the_next() -> None:
    async def test(bench: Bench) -> None:
        first = bench.begin(b"hang")
        await bench.until(lambda: bench.launcher.started[0].received)
        second, third = bench.begin(b"second"), bench.begin(b"third")
        await bench.until(lambda: bench.pool.waiting == 2)
        waiter = next(iter(bench.pool._queue))
        waiter.worker.add_done_callback(lambda _: second.cancel())  # before it can take the worker
        bench.launcher.started[0].send(Reply(), b"")
        await first
        assert (await third).body == b"third"
        assert bench.pool.running == 0

    with_bench(1, test)


# --- what a worker says ---


def test_a_script_is_told_to_be_run_and_a_function_with_what_its_name_stands_for() -> None:
    async def test(bench: Bench) -> None:
        await bench.run(b"script")
        await bench.run(b"arguments", function="known")
        tasks = [each for each, _ in bench.launcher.started[0].received]
        assert tasks == [
            protocol.Job(Evaluate(), "token", 7),
            protocol.Job(Query(REFERENCE), "token", 7),
        ]

    with_bench(1, test)


def test_an_unknown_function_takes_no_worker() -> None:
    async def test(bench: Bench) -> None:
        with pytest.raises(UnknownFunctionError):
            await bench.run(b"", function="nosuch")
        assert not bench.launcher.started[0].received

    with_bench(1, test)


def test_a_worker_is_told_what_it_needs_to_know_in_the_middle_of_a_job() -> None:
    async def test(bench: Bench) -> None:
        running, worker = bench.begin(b"hang"), bench.launcher.started[0]
        await bench.until(lambda: len(worker.received) == 1)
        worker.send(Need("known", damaged="5ha"))
        await bench.until(lambda: len(worker.received) == 2)
        worker.send(Need("nosuch"))
        await bench.until(lambda: len(worker.received) == 3)
        worker.send(Reply(), b"done")
        assert (await running).body == b"done"
        assert [each for each, _ in worker.received[1:]] == [
            Answer(REFERENCE),
            Refusal("UnknownFunctionError", ["not there"]),
        ]
        assert bench.functions.damaged == ["5ha"]

    with_bench(1, test)


def test_the_fork_server_says_how_a_worker_died_even_in_the_middle_of_its_reply() -> None:
    async def test(bench: Bench) -> None:
        running, worker = bench.begin(b"hang"), bench.launcher.started[0]
        await bench.until(lambda: worker.received)
        worker.send_raw(protocol.encode(Death("was killed by signal 9 (SIGKILL)")))
        worker.die()
        with pytest.raises(WorkerDiedError, match=r"killed by signal 9 \(SIGKILL\)"):
            await running

    with_bench(1, test)


@pytest.mark.parametrize(
    "junk",
    [
        b"{" * 64,
        protocol.encode(Reply(), 2) + b"[]" + b"}",  # without END
        protocol.encode(Answer(REFERENCE)) + protocol.END,  # not a worker's to say
        protocol.encode(Failure("SystemExit", [])) + protocol.END,
        protocol.encode(Failure("JobTimeoutError", ["never"])) + protocol.END,
        2 * (protocol.encode(Reply()) + protocol.END),  # a reply that nobody asked for
    ],
)
def test_a_worker_that_breaks_the_protocol_is_let_go(junk: bytes) -> None:
    async def test(bench: Bench) -> None:
        running, worker = bench.begin(b"hang"), bench.launcher.started[0]
        await bench.until(lambda: worker.received)
        worker.send_raw(junk)
        await asyncio.wait([running], timeout=5)
        if running.exception() is not None:
            assert isinstance(running.exception(), WorkerDiedError)
        await bench.until(worker.let_go.is_set)
        assert (await bench.run(b"next")).body == b"next"

    with_bench(1, test)


def test_what_fails_in_our_own_code_is_logged_with_the_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test(bench: Bench) -> None:
        running, worker = bench.begin(b"hang"), bench.launcher.started[0]
        await bench.until(lambda: worker.received)
        worker.send(Crash("Traceback: in our code"))
        with pytest.raises(InternalError) as raised:
            await running
        assert "our code" not in str(raised.value)
        await bench.until(worker.let_go.is_set)

    with_bench(1, test)
    [record] = [each for each in caplog.records if each.levelname == "ERROR"]
    fields = record.__dict__["fields"]
    assert fields == {"request_id": "r-1", "trace": "Traceback: in our code"}


def test_trouble_after_a_job_is_logged_and_the_result_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test(bench: Bench) -> None:
        running, worker = bench.begin(b"hang"), bench.launcher.started[0]
        await bench.until(lambda: worker.received)
        worker.send(Reply(recycle=True, trouble="Traceback: the folder"), b"result")
        assert (await running).body == b"result"

    with_bench(1, test)
    assert "Traceback: the folder" in [
        each.__dict__["fields"]["trace"] for each in caplog.records if each.levelname == "ERROR"
    ]


# --- workers of their own ---


def test_an_isolated_task_has_a_worker_that_is_let_go_afterwards() -> None:
    async def test(bench: Bench) -> None:
        assert await bench.pool.run_isolated(Evaluate(), 5.0, [b"body"]) == b"body"
        await bench.until(bench.launcher.started[1].let_go.is_set)
        assert len(bench.launcher.there) == 1

    with_bench(1, test)


def test_what_fails_in_an_isolated_task_is_raised() -> None:
    async def test(bench: Bench) -> None:
        task = asyncio.create_task(bench.pool.run_isolated(Evaluate(), 5.0, [b"hang"]))
        await bench.until(lambda: len(bench.launcher.started) == 2)
        await bench.until(lambda: bench.launcher.started[1].received)
        bench.launcher.started[1].send(Failure("InvalidInputError", ["wrong", "right"]))
        with pytest.raises(InvalidInputError, match="wrong right"):
            await task
        with pytest.raises(JobTimeoutError):
            await bench.pool.run_isolated(Evaluate(), 0.05, [b"hang"])
        with pytest.raises(WorkerDiedError):
            await bench.pool.run_isolated(Evaluate(), 5.0, [b"die"])
        bench.launcher.refuses = True
        with pytest.raises(WorkerDiedError, match="could not be started"):
            await bench.pool.run_isolated(Evaluate(), 5.0)

    with_bench(1, test)


# --- the end ---


def test_when_a_pool_closes_whoever_runs_or_waits_is_told_to_come_again() -> None:
    async def test(bench: Bench) -> None:
        running = bench.begin(b"hang")
        await bench.until(lambda: bench.launcher.started[0].received)
        waiting = bench.begin(b"waiting")
        isolated = asyncio.create_task(bench.pool.run_isolated(Evaluate(), 5.0, [b"hang"]))
        await bench.until(lambda: len(bench.launcher.started) == 2)
        bench.pool.close()
        for each in (running, waiting, isolated):
            with pytest.raises(DrainingError):
                await each
        with pytest.raises(DrainingError):
            await bench.run(b"late")
        assert len(bench.launcher.started) == 2

    with_bench(1, test)


def test_time_that_has_gone_by_before_a_job_came_counts() -> None:
    async def test(bench: Bench) -> None:
        timing = Timing()
        job = Job([b"1"], 5.0, waited=2.0)
        assert (await bench.pool.run(job, timing)).body == b"1"
        assert timing.queued_ms >= 2000
        with pytest.raises(JobTimeoutError, match=r"30\.0 s") as told:
            await bench.pool.run(Job([b"hang"], 30.0, waited=29.99), Timing())
        assert "It waited 30.0 s" in told.value.info

    with_bench(1, test)
