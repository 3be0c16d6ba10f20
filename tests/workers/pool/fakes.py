"""Script workers that are no processes, and a pool that checks itself after every event."""

import asyncio
import contextlib
import itertools
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from tabpy.tabpy_server.errors import UnknownFunctionError
from tabpy.tabpy_server.isolation import Isolation
from tabpy.tabpy_server.metrics.counters import Counters
from tabpy.tabpy_server.process_usage import Usage
from tabpy.tabpy_server.workers import protocol
from tabpy.tabpy_server.workers.pool.executor import Executor, Functions
from tabpy.tabpy_server.workers.pool.frame_reader import FrameReader
from tabpy.tabpy_server.workers.pool.job import Job, Outcome, Timing
from tabpy.tabpy_server.workers.pool.launchers import Launcher
from tabpy.tabpy_server.workers.pool.pool import Limits, Pool
from tabpy.tabpy_server.workers.pool.roster import SURGE
from tabpy.tabpy_server.workers.pool.watch import Kernel
from tabpy.tabpy_server.workers.pool.worker import Worker
from tabpy.tabpy_server.workers.protocol import (
    Hello,
    Message,
    ProtocolError,
    Reference,
    Reply,
    Task,
)

# What a pool says, and how large its body may be.
FROM_POOL = {protocol.Job: 1 << 30, protocol.Answer: 0, protocol.Refusal: 0}
PIDS = itertools.count(1 << 30)  # no process has one as large
REFERENCE = Reference("known", 3, "5ha", "/archive", "3.11.7")


class FakeWorker:
    """The other end of a worker's socket. By default says hello, and answers a job with its body;
    a job `hang` is never answered, and `die` ends the worker."""

    def __init__(self, end: socket.socket, origin: str) -> None:
        end.setblocking(False)
        self._end = end
        self.origin = origin
        self.received: list[tuple[Message, bytes]] = []
        self.let_go = asyncio.Event()
        self.pid = next(PIDS)

    async def serve(self, may_say_hello: asyncio.Event) -> None:
        try:
            await self._serve(may_say_hello)
        except (OSError, ProtocolError):  # it was let go while it spoke, or was told two things
            with contextlib.suppress(OSError):
                self.die()
        self.let_go.set()

    async def _serve(self, may_say_hello: asyncio.Event) -> None:
        await may_say_hello.wait()
        self.send(Hello(self.pid, self.origin))
        reader, loop = FrameReader(), asyncio.get_running_loop()
        while data := await self._receive(loop):
            # Jobs come without the END that workers close with.
            for message, body in reader.feed(data + protocol.END, FROM_POOL):
                self.received.append((message, body))
                if body == b"die":
                    self.die()
                elif body != b"hang" and isinstance(message, protocol.Job):
                    self.send(Reply(), body)

    async def _receive(self, loop: asyncio.AbstractEventLoop) -> bytes:
        try:
            return await loop.sock_recv(self._end, 1 << 16)
        except OSError:
            return b""

    def send(self, message: Message, body: bytes = b"") -> None:
        self.send_raw(protocol.encode(message, len(body)) + body + protocol.END)

    def send_raw(self, data: bytes) -> None:
        self._end.send(data)

    def die(self) -> None:
        self._end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._end.close()


class FakeLauncher:
    """Makes fake workers of the present `origin`; while `refuses`, none can be made."""

    def __init__(self, origin: str = "one") -> None:
        self.origin = origin
        self.refuses = False
        self.started: list[FakeWorker] = []
        self.preload_requests: list[bytes] = []
        self.may_say_hello = asyncio.Event()
        self.may_say_hello.set()
        self._tasks: list[asyncio.Task[None]] = []

    def launch(self, worker_end: socket.socket) -> Callable[[], None]:
        if self.refuses:
            raise BlockingIOError("its socket is full")
        worker = FakeWorker(worker_end.dup(), self.origin)
        self.started.append(worker)
        loop = asyncio.get_running_loop()
        self._tasks.append(loop.create_task(worker.serve(self.may_say_hello)))
        return lambda: None

    def ensure_preload(self, request: bytes) -> None:
        self.preload_requests.append(request)

    @property
    def there(self) -> list[FakeWorker]:
        return [each for each in self.started if not each.let_go.is_set()]

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        for worker in self.started:
            worker.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class FakeKernel(Kernel):
    """Knows of a worker's process what a test says: its `megabytes`, what it takes if what
    processes share counts once, its seconds of `cpu`, and how many `processes` it is."""

    def __init__(self) -> None:
        self.megabytes: dict[int, float] = {}
        self.own_megabytes: dict[int, float] = {}
        self.cpu: dict[int, float] = {}
        self.processes: dict[int, int] = {}
        self.short = False
        self.looks: list[int] = []

    def usage(self, pid: int) -> Usage | None:
        self.looks.append(pid)
        size = int(self.megabytes.get(pid, 0) * (1 << 20))
        return Usage(size, self.cpu.get(pid, 0.0), self.processes.get(pid, 1))

    def own_memory(self, pid: int) -> int:
        return int(self.own_megabytes.get(pid, 0) * (1 << 20))

    def is_short(self) -> bool:
        return self.short


class FakeFunctions(Functions):
    """Knows one function, `known`, which it is slow to find as `late`, and never finds `slow`."""

    change_token = "token"

    def __init__(self) -> None:
        self.damaged: list[str] = []

    async def reference(self, name: str, *, damaged: str = "") -> Reference:
        if name == "slow":
            await asyncio.Event().wait()
        if name == "late":
            await asyncio.sleep(0.2)
            return REFERENCE
        if name != "known":
            raise UnknownFunctionError("not there")
        self.damaged.append(damaged)
        return REFERENCE


class CheckedExecutor(Executor):
    """Asserts that no worker does jobs of two owners, whatever the pool thinks."""

    def __init__(self, functions: Functions, model_memory: int) -> None:
        super().__init__(functions, model_memory)
        self._owners: dict[Worker, str] = {}

    async def run(self, worker: Worker, task: Task, job: Job) -> Outcome:
        assert self._owners.setdefault(worker, job.owner) == job.owner, "a worker has one owner"
        return await super().run(worker, task, job)


class CheckedPool(Pool):
    """Asserts after every event that the pool hasn't lost count."""

    def __init__(
        self,
        launcher: Launcher,
        functions: Functions,
        counters: Counters,
        limits: Limits,
        kernel: Kernel,
    ) -> None:
        super().__init__(launcher, functions, counters, limits, kernel)
        self._was_stuck = False  # only then may there be a spare worker
        if limits.isolation.keeps_owners_apart:
            self._executor = CheckedExecutor(functions, limits.model_memory)

    def _reconcile(self) -> None:
        super()._reconcile()
        self.check()

    def check(self) -> None:
        if self._closed:
            return
        starting = self._workers.starter.starting
        everybody = [*starting, *self._workers.idle, *self._workers.busy]
        assert len(everybody) == len(set(everybody)), "a worker is in one place only"
        size, owners = self._workers.size, [*self._workers.busy.values()]
        self._was_stuck = self._was_stuck or self._workers.is_stuck
        assert len(owners) <= size + self._was_stuck
        assert len(owners) <= size or len(set(owners)) > 1, "the spare one is another owner's"
        assert len(everybody) <= self._workers.size + SURGE
        current = len(starting) + sum(
            not self._workers.outdated(each) for each in (*self._workers.idle, *self._workers.busy)
        )
        assert current <= size + self._was_stuck
        complete = current >= size or len(everybody) == size + SURGE
        assert complete or self._workers.starter.failed, "a pool of N has N, or tries to"
        assert all(each.alive for each in self._workers.idle)
        for worker, owner in self._workers.busy.items():
            assert worker.owner in (owner, None), "nobody gets another's worker"


class Bench:
    """A pool of fake workers, and what a test looks at."""

    def __init__(self, size: int, isolation: Isolation) -> None:
        self.launcher = FakeLauncher()
        self.functions = FakeFunctions()
        self.counters = Counters()
        self.kernel = FakeKernel()
        self.begun: list[asyncio.Task[Outcome]] = []
        self.pool = CheckedPool(
            self.launcher,
            self.functions,
            self.counters,
            Limits(
                size,
                memory_mb=100.0,
                model_memory=7,
                waiting_mb=1.0,
                isolation=isolation,
            ),
            self.kernel,
        )

    async def run(
        self, body: bytes, seconds: float = 5.0, function: str | None = None, owner: str = ""
    ) -> Outcome:
        job = Job([body], seconds, function, request_id="r-1", owner=owner)
        return await self.pool.run(job, Timing())

    def begin(self, body: bytes, seconds: float = 5.0, owner: str = "") -> "asyncio.Task[Outcome]":
        task = asyncio.get_running_loop().create_task(self.run(body, seconds, owner=owner))
        self.begun.append(task)
        return task

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for a condition; the pool is asked to look, as it does once a second."""
        async with asyncio.timeout(5):
            while not condition():
                self.pool._look()
                await asyncio.sleep(0.001)

    async def settle(self) -> None:
        await self.until(lambda: not self.pool._workers.starter.starting)


def with_bench(
    size: int,
    test: Callable[[Bench], Coroutine[Any, Any, None]],
    isolation: Isolation = Isolation.USER,
) -> None:
    """Run a test's coroutine on a pool that is ready."""

    async def run() -> None:
        bench = Bench(size, isolation)
        await bench.pool.start()
        try:
            await test(bench)
            bench.pool.check()
        finally:
            bench.pool.close()
            await asyncio.gather(*bench.begun, return_exceptions=True)
            await bench.launcher.end()

    asyncio.run(run())
