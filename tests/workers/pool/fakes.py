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
from tabpy.tabpy_server.workers.pool.hired import Worker
from tabpy.tabpy_server.workers.pool.job import Job, Outcome, Timing
from tabpy.tabpy_server.workers.pool.launchers import SocketLauncher
from tabpy.tabpy_server.workers.pool.pool import Limits, Pool
from tabpy.tabpy_server.workers.pool.roster import SURGE
from tabpy.tabpy_server.workers.pool.shelves import Shelves
from tabpy.tabpy_server.workers.pool.watch import Kernel
from tabpy.tabpy_server.workers.protocol import (
    Hello,
    Message,
    ProtocolError,
    Query,
    Reference,
    Reply,
    Task,
)

# What a pool says, and how large its body may be.
FROM_POOL = {
    protocol.Job: 1 << 30,
    protocol.Answer: 0,
    protocol.Refusal: 0,
    protocol.TableFollows: 0,
}
PIDS = itertools.count(1 << 30)  # no process has one as large
REFERENCE = Reference("known", 3, "5ha", "/archive", "3.11.7")
MODELS = {name: Reference(name, 1, f"{name}1", "/archive", "3.11.7") for name in ("x", "y", "z")}


class FakeWorker:
    """The other end of a worker's socket. By default says hello, and answers a job with its body;
    a job `hang` is never answered, and `die` ends the worker. `shelf` is the key of the one it was
    to come from; where that hangs, it says nothing."""

    def __init__(self, end: socket.socket, origin: str, shelf: str, hangs: bool) -> None:
        self.shelf = shelf
        self._hangs = hangs
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
        if not self._hangs:
            await may_say_hello.wait()
            self.send(Hello(self.pid, self.origin))
        reader, loop = FrameReader(), asyncio.get_running_loop()
        while data := await self._receive(loop):
            # The byte that descriptors come with belongs to no message.
            if data[:1] == protocol.KINDS[protocol.TableFollows] or data == b"\0":
                data = data.removesuffix(b"\0")
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


class FakeLauncher(SocketLauncher):
    """Makes fake workers of the present `origin`, or of a shelf's, by its key in `shelves`; while
    `refuses`, none can be made, while `shelves_hang`, they don't come from shelves, and if it
    `lies`, those that do say they don't."""

    def __init__(self, origin: str = "one") -> None:
        self.origin = origin
        self.refuses = False
        self.started: list[FakeWorker] = []
        self.shelves: dict[str, str] = {}
        self.contents: dict[str, set[str]] = {}  # by key: the names of what is on each
        self.shelves_hang = self.lies = False
        self.asked: list[list[str]] = []  # the models of the shelves that were asked for
        self.may_say_hello = asyncio.Event()
        self.may_say_hello.set()
        self._tasks: list[asyncio.Task[None]] = []

    def shelf_origin(self, key: str) -> str:
        return self.shelves.get(key, "")

    def launch(self, worker_end: socket.socket, shelf: str = "") -> Callable[[], None]:
        if self.refuses:
            raise BlockingIOError("its socket is full")
        origin = self.origin if self.lies else self.shelves.get(shelf, self.origin)
        hangs = bool(shelf) and self.shelves_hang
        worker = FakeWorker(worker_end.dup(), origin, shelf, hangs)
        self.started.append(worker)
        loop = asyncio.get_running_loop()
        self._tasks.append(loop.create_task(worker.serve(self.may_say_hello)))
        return lambda: None

    def ask_for_shelf(self, request: bytes) -> None:
        self.asked.append([each.name for each in protocol.shelf_references(request)])

    def fill(self, *references: Reference) -> str:
        """Have a shelf with these; return its key."""
        key = protocol.shelf_key(references)
        self.contents[key] = {each.name for each in references}
        self.shelves[key] = f"shelf {key} of {self.origin}"
        return key

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
    """Knows `MODELS`, and `known`, which it is slow to find as `late`, and never finds `slow`."""

    change_token = "token"

    def __init__(self) -> None:
        self.damaged: list[str] = []

    async def reference(self, name: str, *, damaged: str = "") -> Reference:
        if name == "slow":
            await asyncio.Event().wait()
        if name == "late":
            await asyncio.sleep(0.2)
            return REFERENCE
        if name in MODELS:
            return MODELS[name]
        if name != "known":
            raise UnknownFunctionError("not there")
        self.damaged.append(damaged)
        return REFERENCE


class CheckedExecutor(Executor):
    """Asserts that no worker does jobs of two owners, nor of one who hasn't called all that is on
    the shelf that it comes from, whatever the pool thinks. Without owners everybody is one."""

    def __init__(
        self, functions: Functions, shelves: Shelves, launcher: "FakeLauncher", by_owner: bool
    ) -> None:
        super().__init__(functions, 7, shelves.note)
        self._by_owner = by_owner
        self._launcher = launcher
        self._owners: dict[Worker, str] = {}
        self._called: dict[str, set[str]] = {}

    async def run(self, worker: Worker, task: Task, job: Job) -> Outcome:
        owner = job.owner if self._by_owner else ""
        assert self._owners.setdefault(worker, owner) == owner, "a worker has one owner"
        if worker.source is not None:
            there = self._launcher.contents[worker.source.key]
            assert there <= self._called[owner], "it has nothing that its owner doesn't call"
        if isinstance(task, Query):
            self._called.setdefault(owner, set()).add(task.reference.name)
        return await super().run(worker, task, job)


class CheckedPool(Pool):
    """Asserts after every event that the pool hasn't lost count."""

    def __init__(
        self,
        launcher: "FakeLauncher",
        functions: Functions,
        counters: Counters,
        limits: Limits,
        kernel: Kernel,
    ) -> None:
        super().__init__(launcher, functions, counters, limits, kernel)
        self._was_stuck = False  # only then may there be a spare worker
        by_owner = limits.isolation.keeps_owners_apart
        self._executor = CheckedExecutor(functions, self.shelves, launcher, by_owner)

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
        # A shelf that goes makes workers of none the best again, some of them in the midst of jobs.
        assert current <= size + self._was_stuck or not self._workers.idle
        complete = current >= size or len(everybody) == size + SURGE
        assert complete or self._workers.starter.failed, "a pool of N has N, or tries to"
        assert all(each.alive for each in self._workers.idle)
        for worker, owner in self._workers.busy.items():
            assert worker.owner in (owner, None), "nobody gets another's worker"
        if self._isolation.keeps_owners_apart:
            for worker in everybody:
                assert worker.source is None or worker.source.owner == worker.owner is not None


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

    def begin(
        self, body: bytes, seconds: float = 5.0, owner: str = "", function: str | None = None
    ) -> "asyncio.Task[Outcome]":
        running = self.run(body, seconds, function, owner)
        task = asyncio.get_running_loop().create_task(running)
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
