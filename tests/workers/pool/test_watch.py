"""Workers that take more than they may have to go, whether they are busy or idle.

A script may take 100 MB here (`Bench`).
"""

import asyncio
from collections.abc import Callable

import pytest

from tabpy.tabpy_server.errors import WorkerDiedError
from tabpy.tabpy_server.isolation import Isolation
from tabpy.tabpy_server.workers.pool import watch
from tabpy.tabpy_server.workers.protocol import Evaluate, Reply
from tests.workers.pool.fakes import Bench, FakeWorker, with_bench


@pytest.fixture(autouse=True)
def _idle_workers_are_looked_at_by_the_test_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "IDLE_SECONDS", 60.0)


async def busy(bench: Bench, count: int = 1) -> list[tuple["asyncio.Task[object]", FakeWorker]]:
    """Jobs that run for ever, each with its worker."""
    begun: list[tuple[asyncio.Task[object], FakeWorker]] = []
    for number in range(count):
        task = bench.begin(b"hang", owner=f"{number}")
        await bench.until(lambda: bench.pool.running == number + 1)  # noqa: B023
        known = [worker for _, worker in begun]
        await bench.until(
            lambda: any(each.received for each in bench.launcher.there if each not in known)  # noqa: B023
        )
        [worker] = [e for e in bench.launcher.there if e.received and e not in known]
        begun.append((task, worker))
    return begun


# --- a script's memory ---


def test_a_script_that_takes_too_much_memory_is_stopped() -> None:
    async def test(bench: Bench) -> None:
        [(running, worker)] = await busy(bench)
        bench.kernel.megabytes[worker.pid] = 100
        bench.pool._look()
        assert not running.done(), "it may take that"
        bench.kernel.megabytes[worker.pid] = 101
        await bench.until(running.done)
        with pytest.raises(WorkerDiedError, match=r"more than 100 MB \(TABPY_SCRIPT_MEMORY_MB\)"):
            await running
        assert bench.counters.ends == {"memory": 1}

    with_bench(1, test)


def test_so_is_one_whose_processes_take_too_much_together() -> None:  # E1
    async def test(bench: Bench) -> None:
        [(running, worker)] = await busy(bench)
        bench.kernel.processes[worker.pid] = 5
        bench.kernel.megabytes[worker.pid] = 400  # what they share counts five times in it
        bench.kernel.own_megabytes[worker.pid] = 100
        bench.pool._look()
        assert not running.done()
        bench.kernel.own_megabytes[worker.pid] = 101
        await bench.until(running.done)
        with pytest.raises(WorkerDiedError, match="TABPY_SCRIPT_MEMORY_MB"):
            await running

    with_bench(1, test)


def test_an_isolated_task_may_take_no_more() -> None:
    async def test(bench: Bench) -> None:
        task = asyncio.create_task(bench.pool.run_isolated(Evaluate(), 5.0, [b"hang"]))
        await bench.until(lambda: len(bench.launcher.started) == 2)
        worker = bench.launcher.started[1]
        await bench.until(lambda: worker.received)
        bench.kernel.megabytes[worker.pid] = 101
        await bench.until(task.done)
        with pytest.raises(WorkerDiedError, match="TABPY_SCRIPT_MEMORY_MB"):
            await task

    with_bench(1, test)


# --- idle workers ---


def looks(bench: Bench, count: int, between: Callable[[], None] = lambda: None) -> None:
    for _ in range(count):
        between()
        bench.pool._watch._next_idle_look = 0.0
        bench.pool._look()


def test_an_idle_worker_may_not_grow() -> None:  # D16
    async def test(bench: Bench) -> None:
        await bench.run(b"a script")
        worker = bench.launcher.started[0]
        looks(bench, 5)
        assert not bench.counters.ends
        bench.kernel.megabytes[worker.pid] = 101
        looks(bench, 1)
        assert bench.counters.ends == {"memory": 1}
        await bench.until(worker.let_go.is_set)

    with_bench(1, test)


def test_an_idle_worker_may_not_work() -> None:  # D16
    async def test(bench: Bench) -> None:
        await bench.run(b"a script")
        worker = bench.launcher.started[0]

        def work(seconds: float) -> None:
            before = bench.kernel.cpu.get(worker.pid, 0.0)
            bench.kernel.cpu[worker.pid] = before + seconds

        looks(bench, 9, lambda: work(0.04))  # what any process does now and then
        assert not bench.counters.ends
        looks(bench, 1, lambda: work(0.06))
        assert bench.counters.ends == {"not idle": 1}
        await bench.until(worker.let_go.is_set)

    with_bench(1, test)


def test_an_idle_worker_may_have_no_processes_that_stay() -> None:  # D10
    async def test(bench: Bench) -> None:
        await bench.run(b"a script")
        worker = bench.launcher.started[0]
        looks(bench, 3)
        bench.kernel.processes[worker.pid] = 2
        looks(bench, 1)
        assert not bench.counters.ends, "it may be about to end"
        looks(bench, 1)
        assert bench.counters.ends == {"not idle": 1}

    with_bench(1, test)


def test_what_a_job_did_and_its_libraries_after_it_is_not_held_against_its_worker() -> None:
    async def test(bench: Bench) -> None:
        worker = bench.launcher.started[0]
        for number in range(5):
            bench.kernel.cpu[worker.pid] = number + 0.0
            await bench.run(b"a script")
            looks(bench, 1)
            bench.kernel.cpu[worker.pid] = number + 0.5  # memory is given back to the system
            looks(bench, 3)
        assert not bench.counters.ends

    with_bench(1, test)


def test_a_worker_that_has_run_nothing_is_not_looked_at() -> None:
    async def test(bench: Bench) -> None:
        looks(bench, 3)
        assert bench.kernel.looks == []
        await bench.run(b"a script")
        looks(bench, 3)
        assert len(bench.kernel.looks) == 3

    with_bench(3, test, Isolation.OFF)


def test_looking_takes_a_tenth_of_the_time_at_most() -> None:
    looking = watch.Watch(100.0)
    assert looking.pause(busy=True) == watch.CHECK_SECONDS
    looking._took = 0.05
    assert looking.pause(busy=True) == 0.5


# --- the container ---


def test_where_memory_runs_short_the_largest_goes() -> None:  # E2, E4, E5
    async def test(bench: Bench) -> None:
        (small, _), (large, worker) = await busy(bench, 2)
        bench.kernel.megabytes[worker.pid] = 60
        bench.kernel.short = True
        await bench.until(large.done)
        with pytest.raises(WorkerDiedError, match=r"memory ran short .* TABPY_WORKERS"):
            await large
        bench.kernel.short = False
        looks(bench, 3)
        assert not small.done()
        assert bench.counters.ends == {"container": 1}

    with_bench(2, test)


def test_one_after_the_other_with_time_to_see_whether_it_helped() -> None:
    async def test(bench: Bench) -> None:
        begun = await busy(bench, 2)
        for _, worker in begun:
            bench.kernel.megabytes[worker.pid] = 60
        bench.kernel.short = True
        looks(bench, 5)
        assert bench.counters.ends == {}, "its job has to hear of it first"
        await bench.until(lambda: bench.counters.ends)
        assert bench.counters.ends == {"container": 1}
        bench.pool._watch._relieved_at = 0.0
        await bench.until(lambda: bench.counters.ends == {"container": 2})

    with_bench(2, test)


def test_when_it_does_not_help_scripts_are_left_alone_and_the_operator_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watch, "RELIEF_SECONDS", 0.0)
    monkeypatch.setattr(watch, "RELIEFS", 2)

    async def test(bench: Bench) -> None:
        begun = await busy(bench, 3)
        for _, worker in begun:
            bench.kernel.megabytes[worker.pid] = 60
        bench.kernel.short = True
        await bench.until(lambda: bench.counters.ends == {"container": 2})
        looks(bench, 5)
        await asyncio.sleep(0)
        assert sum(task.done() for task, _ in begun) == 2
        bench.kernel.short = False
        looks(bench, 1)
        bench.kernel.short = True
        await bench.until(lambda: bench.counters.ends == {"container": 3})

    with_bench(3, test)
    [line] = [each.message for each in caplog.records if each.name == watch.__name__]
    assert "/dev/shm" in line


def test_a_small_one_goes_only_if_nothing_else_has_helped() -> None:
    async def test(bench: Bench) -> None:
        [(running, worker)] = await busy(bench)
        bench.kernel.megabytes[worker.pid] = 20
        bench.kernel.short = True
        looks(bench, 5)
        await asyncio.sleep(0)
        assert not running.done()
        assert bench.pool._watch._short_since is not None
        bench.pool._watch._short_since -= watch.PATIENCE
        looks(bench, 1)
        await bench.until(running.done)
        with pytest.raises(WorkerDiedError, match="ran short"):
            await running

    with_bench(1, test)


@pytest.mark.parametrize("working_mb", [50, 90])
def test_an_idle_one_goes_first_and_nobody_loses_anything(working_mb: int) -> None:
    async def test(bench: Bench) -> None:
        await bench.run(b"a script", owner="0")
        idle = next(each for each in bench.launcher.started if each.received)
        running = bench.begin(b"hang", owner="1")
        await bench.until(lambda: bench.pool.running == 1)
        worker = next(each for each in bench.launcher.started if each is not idle)
        await bench.until(lambda: worker.received)
        bench.kernel.megabytes |= {idle.pid: 60, worker.pid: working_mb}
        bench.kernel.short = True
        looks(bench, 1)
        assert bench.counters.ends == {"container": 1}
        await bench.until(idle.let_go.is_set)
        bench.kernel.short = False
        worker.send(Reply(), b"done")
        assert (await running).body == b"done"

    with_bench(2, test)


def test_an_idle_one_that_would_give_back_nothing_stays() -> None:
    async def test(bench: Bench) -> None:
        await bench.run(b"a script", owner="0")
        idle = next(each for each in bench.launcher.started if each.received)
        running = bench.begin(b"hang", owner="1")
        await bench.until(lambda: bench.pool.running == 1)
        worker = next(each for each in bench.launcher.started if each is not idle)
        await bench.until(lambda: worker.received)
        bench.kernel.megabytes |= {idle.pid: 7, worker.pid: 90}
        bench.kernel.short = True
        await bench.until(running.done)
        with pytest.raises(WorkerDiedError, match="ran short"):
            await running
        assert not idle.let_go.is_set()

    with_bench(2, test)
