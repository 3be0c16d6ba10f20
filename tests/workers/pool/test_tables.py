"""A worker asks for the table of its job, once."""

import asyncio
import os

import pytest

from tabpy.tabpy_server.errors import UnknownTableError, WorkerDiedError
from tabpy.tabpy_server.workers.pool.job import Job, Outcome, Timing
from tabpy.tabpy_server.workers.protocol import (
    Evaluate,
    Failure,
    NeedTable,
    Refusal,
    Reply,
    TableFollows,
)
from tests.workers.pool.fakes import Bench, FakeWorker, with_bench


class File:
    def __init__(self) -> None:
        self.descriptor, self.other = os.pipe()

    def close(self) -> None:
        os.close(self.descriptor)
        os.close(self.other)


class FakeTables:
    """Has a table `p`."""

    def __init__(self) -> None:
        self.files = File(), File()

    async def get(self, path: str) -> tuple[File, File]:
        if path != "p":
            raise UnknownTableError(path)
        return self.files


async def begin(
    bench: Bench, tables: FakeTables | None
) -> tuple[FakeWorker, asyncio.Task[Outcome]]:
    """A job that its worker has got, and says nothing to."""
    job = Job([b"hang"], 5.0, tables=tables)
    running = asyncio.get_running_loop().create_task(bench.pool.run(job, Timing()))
    bench.begun.append(running)
    await bench.until(lambda: any(each.received for each in bench.launcher.started))
    [worker] = [each for each in bench.launcher.started if each.received]
    message, _ = worker.received[0]
    assert message.task == Evaluate(has_tables=tables is not None)  # type: ignore[union-attr] # a job
    return worker, running


def test_a_worker_gets_the_table_of_its_job() -> None:
    async def test(bench: Bench) -> None:
        tables = FakeTables()
        worker, running = await begin(bench, tables)
        worker.send(NeedTable("p"))
        await bench.until(lambda: len(worker.received) == 2)
        assert worker.received[1] == (TableFollows(), b"")
        worker.send(Reply(), b"null")
        assert (await running).body == b"null"
        for each in tables.files:
            each.close()

    with_bench(1, test)


def test_an_unknown_table_is_refused() -> None:
    async def test(bench: Bench) -> None:
        tables = FakeTables()
        worker, running = await begin(bench, tables)
        worker.send(NeedTable("q"))
        await bench.until(lambda: len(worker.received) == 2)
        assert worker.received[1][0] == Refusal("UnknownTableError", ["q"])
        worker.send(Failure("UnknownTableError", ["q"]))
        message = (await running).message
        assert isinstance(message, Failure)
        assert isinstance(message.error(), UnknownTableError)

    with_bench(1, test)


@pytest.mark.parametrize("has_tables", [False, True], ids=["without tables", "a second time"])
def test_a_worker_that_asks_for_what_is_not_its_own_is_ended(has_tables: bool) -> None:
    async def test(bench: Bench) -> None:
        worker, running = await begin(bench, FakeTables() if has_tables else None)
        worker.send(NeedTable("p"))
        if has_tables:
            await bench.until(lambda: len(worker.received) == 2)
            worker.send(NeedTable("p"))
        with pytest.raises(WorkerDiedError, match="asked for a table"):
            await running

    with_bench(1, test)
