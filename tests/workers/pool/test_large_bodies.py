"""A large body goes to a worker as memory, and its reply comes back so."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable

import psutil
import pytest

from tabpy.tabpy_server import memfd
from tabpy.tabpy_server.errors import WorkerDiedError
from tabpy.tabpy_server.memfd import Memory
from tabpy.tabpy_server.workers.pool.body import LARGE, Body
from tabpy.tabpy_server.workers.pool.job import Job, Outcome, Timing
from tabpy.tabpy_server.workers.protocol import (
    HEADER,
    MemoryFollows,
    Message,
    NeedMemory,
    Reply,
    decode,
    encode,
)
from tests.workers.pool.fakes import Bench, FakeWorker, with_bench

if not memfd.IS_HERE:
    pytest.skip("memory that processes pass on is Linux's", allow_module_level=True)

PIECE = b"x" * (LARGE // 4)
PIECES = 9


def open_descriptors() -> int:
    count: int = psutil.Process().num_fds()
    return count


def large_body() -> Body:
    body = Body()
    for _ in range(PIECES):
        body.add(PIECE)
    return body


def _settle(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)


class Other:
    """A worker's end of its socket, which a test reads and writes."""

    def __init__(self, worker: FakeWorker) -> None:
        self.worker = worker
        self._loop = asyncio.get_running_loop()

    async def read(self) -> Message:
        header = await self._loop.sock_recv(self.worker._end, HEADER.size)
        kind, length, body = HEADER.unpack(header)
        assert body == 0
        return decode(kind, await self._loop.sock_recv(self.worker._end, length))

    async def descriptors(self) -> list[int]:
        ready = self._loop.create_future()
        self._loop.add_reader(self.worker._end, _settle, ready)
        await ready
        self._loop.remove_reader(self.worker._end)
        return socket.recv_fds(self.worker._end, 1, 3)[1]

    async def memory(self) -> int:
        """Ask for memory for the reply."""
        self.worker.send(NeedMemory())
        assert await self.read() == MemoryFollows()
        [descriptor] = await self.descriptors()
        return descriptor


Say = Callable[[Other], Awaitable[None]]


def outcome_of(say: Say) -> tuple[Outcome | BaseException, bytes]:
    """What comes of a job with a large body whose worker says this, and the result; afterwards the
    test's process has the descriptors that it had."""
    told: list[Outcome | BaseException] = []
    results: list[bytes] = []

    async def test(bench: Bench) -> None:
        [fake] = bench.launcher.started
        bench.launcher._tasks[0].cancel()  # the test speaks for it
        await asyncio.sleep(0)
        before = open_descriptors()
        body = large_body()
        job = Job(body.pieces, 5.0, memory=body.memory)
        running = asyncio.get_running_loop().create_task(bench.pool.run(job, Timing()))
        bench.begun.append(running)
        other = Other(fake)
        question = await other.read()
        assert question.in_memory == PIECES * len(PIECE)  # type: ignore[union-attr] # a job
        [given] = await other.descriptors()
        assert os.fstat(given).st_size == PIECES * len(PIECE)
        with pytest.raises(PermissionError):
            os.pwrite(given, b"y", 0)
        with pytest.raises(PermissionError):
            os.truncate(given, 0)
        os.close(given)
        await say(other)
        await asyncio.wait([running], timeout=5)
        error = running.exception()
        told.append(error if error is not None else running.result())
        if error is None and (memory := running.result().memory) is not None:
            results.append(bytes(memory.view()))
            memory.close()
        body.clear()
        if error is None:
            assert open_descriptors() == before, "no descriptor is left"

    with_bench(1, test)
    return told[0], b"".join(results)


async def write(other: Other, text: bytes, more: int = 0) -> None:
    descriptor = await other.memory()
    os.write(descriptor, text)
    os.truncate(descriptor, len(text))
    os.close(descriptor)
    other.worker.send(Reply(in_memory=len(text) + more))


def test_the_result_is_what_the_worker_has_written() -> None:
    async def say(other: Other) -> None:
        await write(other, b"[1, 2]")

    outcome, result = outcome_of(say)
    assert isinstance(outcome, Outcome)
    assert result == b"[1, 2]"
    assert outcome.body == b""


def test_a_worker_may_answer_without_memory() -> None:
    async def say(other: Other) -> None:
        other.worker.send(Reply(), b"[1]")

    outcome, _ = outcome_of(say)
    assert isinstance(outcome, Outcome)
    assert (outcome.body, outcome.memory) == (b"[1]", None)


async def more_than_there_is(other: Other) -> None:
    await write(other, b"[1]", more=1)


async def less_than_there_is(other: Other) -> None:
    await write(other, b"[1]", more=-1)


async def not_cut(other: Other) -> None:
    os.close(await other.memory())
    other.worker.send(Reply(in_memory=3))


async def never_asked(other: Other) -> None:
    other.worker.send(Reply(in_memory=3))


async def sealed_against_us(other: Other) -> None:
    descriptor = await other.memory()
    os.truncate(descriptor, 3)
    Memory(os.dup(descriptor))._add(memfd.NO_MORE_SEALS)
    os.close(descriptor)
    other.worker.send(Reply(in_memory=3))


async def in_two_places(other: Other) -> None:
    descriptor = await other.memory()
    os.truncate(descriptor, 3)
    os.close(descriptor)
    other.worker.send(Reply(in_memory=3), b"[1]")


async def twice(other: Other) -> None:
    os.close(await other.memory())
    other.worker.send(NeedMemory())


async def dies(other: Other) -> None:
    os.close(await other.memory())
    other.worker.die()


@pytest.mark.parametrize(
    "say",
    [
        more_than_there_is,
        less_than_there_is,
        not_cut,
        never_asked,
        sealed_against_us,
        in_two_places,
        twice,
        dies,
    ],
    ids=lambda each: each.__name__,
)
def test_a_worker_that_lies_is_stopped(say: Say) -> None:
    outcome, _ = outcome_of(say)
    assert isinstance(outcome, WorkerDiedError)


def test_a_worker_can_neither_cut_nor_grow_what_is_being_sent() -> None:
    kept: list[int] = []

    async def say(other: Other) -> None:
        descriptor = await other.memory()
        with pytest.raises(PermissionError):
            os.truncate(descriptor, 1 << 40)
        os.write(descriptor, b"[1]")
        os.truncate(descriptor, 3)
        kept.append(os.dup(descriptor))
        os.close(descriptor)
        other.worker.send(Reply(in_memory=3))
        await asyncio.sleep(0)

    async def test(bench: Bench) -> None:
        [fake] = bench.launcher.started
        bench.launcher._tasks[0].cancel()
        await asyncio.sleep(0)
        running = bench.begin(b"small")
        other = Other(fake)
        await asyncio.get_running_loop().sock_recv(fake._end, 1 << 16)
        await say(other)
        outcome = await running
        assert outcome.memory is not None
        with pytest.raises(PermissionError):
            os.truncate(kept[0], 0)
        assert bytes(outcome.memory.view()) == b"[1]"
        outcome.memory.close()
        os.close(kept[0])

    with_bench(1, test)


def test_no_memory_to_be_had_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str, limit: int = 0) -> Memory:
        raise OSError(24, "Too many open files")

    async def say(other: Other) -> None:
        monkeypatch.setattr(memfd, "bounded", none)
        other.worker.send(NeedMemory())
        assert "InternalError" in encode(await other.read()).decode("latin-1")
        other.worker.send(Reply(), b"[1]")

    outcome, _ = outcome_of(say)
    assert isinstance(outcome, Outcome)
    assert outcome.body == b"[1]"


def test_what_a_worker_writes_there_counts_as_its_own() -> None:
    async def test(bench: Bench) -> None:
        [fake] = bench.launcher.started
        bench.launcher._tasks[0].cancel()
        await asyncio.sleep(0)
        running = bench.begin(b"small")
        other = Other(fake)
        await asyncio.get_running_loop().sock_recv(fake._end, 1 << 16)
        descriptor = await other.memory()
        [busy] = bench.pool._workers.busy
        assert busy.held == 0
        os.write(descriptor, bytes(1 << 20))
        assert busy.held == 1 << 20
        os.close(descriptor)
        running.cancel()

    with_bench(1, test)


# --- the body itself ---


def test_a_body_moves_to_memory_when_it_is_large() -> None:
    body = Body()
    body.add(PIECE)
    assert (body.pieces, body.memory) == ([PIECE], None)
    for _ in range(PIECES - 1):
        body.add(PIECE)
    assert body.pieces == []
    assert body.memory is not None
    assert body.memory.size == body.size == PIECES * len(PIECE)
    assert body.whole() == PIECE * PIECES
    body.clear()
    assert body.memory is None


@pytest.mark.parametrize("why", ["another system", "no descriptor is left"])
def test_a_body_stays_where_there_is_no_memory(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> Memory:
        raise OSError(24, "Too many open files")

    if why == "another system":
        monkeypatch.setattr(memfd, "IS_HERE", False)
    monkeypatch.setattr(memfd, "empty", none)
    body = large_body()
    assert (len(body.pieces), body.memory, body.size) == (PIECES, None, PIECES * len(PIECE))


def test_a_body_that_is_dropped_gives_its_descriptor_back() -> None:
    before = open_descriptors()
    body = large_body()
    assert open_descriptors() == before + 1
    body.clear()
    body.clear()
    assert open_descriptors() == before
    large_body()
    assert open_descriptors() == before
