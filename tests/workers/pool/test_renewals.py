"""A new version is loaded before a call needs it, only where an earlier one ran, one at a time."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest

from tabpy.tabpy_server.isolation import Isolation
from tabpy.tabpy_server.workers import protocol
from tabpy.tabpy_server.workers.pool import renewals
from tabpy.tabpy_server.workers.protocol import Crash, Failure, Load, Need, Query, Reply
from tests.workers.pool.fakes import REFERENCE, Bench, FakeWorker, with_bench

NEW = replace(REFERENCE, version=4, sha256="n3w")


def loaded(worker: FakeWorker) -> list[str]:
    """The versions that a worker was asked to load."""
    tasks = [each.task for each, _ in worker.received if isinstance(each, protocol.Job)]
    return [each.reference.sha256 for each in tasks if isinstance(each, Load)]


def renew(bench: Bench) -> "asyncio.Task[None]":
    return asyncio.get_running_loop().create_task(bench.pool.renew(NEW))


def call(bench: Bench, owner: str = "", body: bytes = b"1") -> Coroutine[Any, Any, Any]:
    return bench.run(body, function="known", owner=owner)


@pytest.mark.parametrize("isolation", [Isolation.USER, Isolation.OFF])
def test_only_workers_that_have_called_the_function_load_it(isolation: Isolation) -> None:
    async def test(bench: Bench) -> None:
        await asyncio.gather(call(bench, "anna"), call(bench, "anna"))
        await bench.run(b"a script's", owner="bob" if isolation is Isolation.USER else "anna")
        users = [each for each in bench.launcher.there if Query(REFERENCE) in tasks(each)]
        await renew(bench)
        for each in bench.launcher.there:
            assert loaded(each) == (["n3w"] if each in users else [])
        await renew(bench)
        assert [loaded(each) for each in users] == [["n3w"]] * len(users)
        assert bench.pool.called == {"known": {"n3w"}}
        assert bench.pool.running == 0

    with_bench(3, test, isolation)


def tasks(worker: FakeWorker) -> list[protocol.Task]:
    return [each.task for each, _ in worker.received if isinstance(each, protocol.Job)]


def test_a_script_that_asks_for_a_function_has_its_worker_load_it_too() -> None:
    async def test(bench: Bench) -> None:
        running = bench.begin(b"hang", owner="anna")
        worker = bench.launcher.started[0]
        await bench.until(lambda: worker.received)
        worker.send(Need("known"))
        await bench.until(lambda: len(worker.received) == 2)
        worker.send(Reply(), b"done")
        await running
        await renew(bench)
        assert loaded(worker) == ["n3w"]

    with_bench(1, test)


def test_one_loads_at_a_time_and_another_answers_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(bench: Bench) -> None:
        await asyncio.gather(call(bench, "anna"), call(bench, "anna"))
        hold(monkeypatch)
        renewing = renew(bench)
        await bench.until(lambda: any(map(loaded, bench.launcher.there)))
        assert bench.pool.running == 1
        assert (await call(bench, "anna")).body == b"1"
        bench.pool._look()
        assert bench.pool.running == 1
        assert sum(bool(loaded(each)) for each in bench.launcher.there) == 1
        await answer_loads(bench, renewing)
        assert all(map(loaded, bench.launcher.there))

    with_bench(2, test)


def hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have workers take their time to load."""
    send = FakeWorker.send

    def send_but_no_reply_to_a_load(
        worker: FakeWorker, message: protocol.Message, body: bytes = b""
    ) -> None:
        last = worker.received[-1][0] if worker.received else None
        if isinstance(last, protocol.Job) and isinstance(last.task, Load) and body == b"":
            return
        send(worker, message, body)

    monkeypatch.setattr(FakeWorker, "send", send_but_no_reply_to_a_load)


async def answer_loads(bench: Bench, renewing: "asyncio.Task[None]") -> None:
    answered: set[FakeWorker] = set()

    def done() -> bool:
        for each in bench.launcher.there:
            if loaded(each) and each not in answered:
                answered.add(each)
                each.send_raw(protocol.encode(Reply(), 4) + b"null" + protocol.END)
        return renewing.done()

    await bench.until(done)


def test_a_busy_worker_loads_it_after_its_job_and_before_the_next() -> None:
    async def test(bench: Bench) -> None:
        worker = bench.launcher.started[0]
        await call(bench, "anna")
        running = bench.begin(b"hang", owner="anna")
        await bench.until(lambda: len(worker.received) == 2)
        next_one = bench.begin(b"next", owner="anna")
        renewing = renew(bench)
        await asyncio.sleep(0)
        assert not renewing.done()
        worker.send(Reply(), b"done")
        assert (await running).body == b"done"
        assert (await next_one).body == b"next"
        await renewing
        assert [type(each) for each in tasks(worker)][2:] == [Load, protocol.Evaluate]

    with_bench(1, test)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(Failure("NotLoadableError", ["known", "It needs x."]), id="refused"),
        pytest.param(Crash("Traceback"), id="our own failure"),
        pytest.param(None, id="death"),
    ],
)
def test_what_cannot_be_loaded_is_for_its_callers_to_hear(
    monkeypatch: pytest.MonkeyPatch, message: protocol.Message | None
) -> None:
    async def test(bench: Bench) -> None:
        worker = bench.launcher.started[0]
        await call(bench, "anna")
        send = FakeWorker.send
        hold(monkeypatch)
        renewing = renew(bench)
        await bench.until(lambda: loaded(worker))
        if message is None:
            worker.die()
        else:
            send(worker, message)
        await renewing
        await bench.settle()
        assert (await bench.run(b"next", owner="anna")).body == b"next"
        assert len(loaded(worker)) == 1

    with_bench(1, test)


def test_one_that_never_ends_loading_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(bench: Bench) -> None:
        worker = bench.launcher.started[0]
        await call(bench, "anna")
        hold(monkeypatch)
        monkeypatch.setattr(renewals, "LOAD_SECONDS", 0.01)
        await renew(bench)
        await bench.until(worker.let_go.is_set)
        assert bench.counters.ends == {"time-out": 1}

    with_bench(1, test)


def test_what_loading_took_is_not_held_against_a_worker_that_was_idle() -> None:
    async def test(bench: Bench) -> None:
        worker = bench.launcher.started[0]
        await call(bench, "anna")
        look_at_idle(bench, 2)
        await renew(bench)
        bench.kernel.cpu[worker.pid] = 10.0
        look_at_idle(bench, 3)
        assert bench.counters.ends == {}

    with_bench(1, test)


def look_at_idle(bench: Bench, count: int) -> None:
    for _ in range(count):
        bench.pool._watch._next_idle_look = 0.0
        bench.pool._look()


def test_a_worker_that_ends_is_waited_for_no_longer() -> None:
    async def test(bench: Bench) -> None:
        worker = bench.launcher.started[0]
        await call(bench, "anna")
        running = bench.begin(b"hang", owner="anna")
        await bench.until(lambda: len(worker.received) == 2)
        renewing = renew(bench)
        await asyncio.sleep(0)
        worker.die()
        await asyncio.gather(running, return_exceptions=True)
        await renewing
        assert loaded(worker) == []

    with_bench(1, test)


def test_a_later_version_takes_the_place_of_one_that_is_not_loaded_yet() -> None:
    async def test(bench: Bench) -> None:
        worker = bench.launcher.started[0]
        await call(bench, "anna")
        running = bench.begin(b"hang", owner="anna")
        await bench.until(lambda: len(worker.received) == 2)
        first = renew(bench)
        await asyncio.sleep(0)
        later = replace(NEW, version=5, sha256="n3wer")
        second = asyncio.get_running_loop().create_task(bench.pool.renew(later))
        await first
        worker.send(Reply(), b"done")
        await asyncio.gather(running, second)
        assert loaded(worker) == ["n3wer"]

    with_bench(1, test)


def test_so_it_does_while_the_earlier_one_is_being_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(bench: Bench) -> None:
        worker = bench.launcher.started[0]
        await call(bench, "anna")
        hold(monkeypatch)
        first = renew(bench)
        await bench.until(lambda: loaded(worker))
        later = replace(NEW, version=5, sha256="n3wer")
        second = asyncio.get_running_loop().create_task(bench.pool.renew(later))
        await first
        monkeypatch.undo()
        worker.send(Reply(), b"null")
        await bench.until(second.done)
        assert loaded(worker) == ["n3w", "n3wer"]

    with_bench(1, test)
