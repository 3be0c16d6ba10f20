"""The web process: the actors that it has, and those among them that have no worker."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from tabpy.tabpy_server.workers.protocol import Message, encode
from tabpy.tabpy_server.workers.ray.archives import Archives
from tabpy.tabpy_server.workers.ray.cluster import Cluster
from tabpy.tabpy_server.workers.ray.plan import Plan
from tabpy.tabpy_server.workers.ray.seat import CONCURRENCY, CONTROL, END, Archive, Place, Seat

logger = logging.getLogger(__name__)

LET_GO_SECONDS = 1.0  # in which an actor has to have ended its worker, or is killed itself
FREE_SECONDS = 5.0  # that an actor without a worker is kept for the next one
LARGE = 1 << 20  # bytes of a body that take the event loop too long to pass on


class ActorSeat:
    """One actor: `folder` is where its node keeps archives, `known` the SHA-256 of those there."""

    def __init__(self, plan: Plan, cluster: Cluster) -> None:
        self._plan = plan
        self._cluster = cluster
        self._actor: Any = None
        self.known: set[str] = set()
        self.folder = ""
        self.is_lost = False

    async def hire(self) -> None:
        """Have a fresh worker there. Raises what Ray raises."""
        if self._actor is None:
            self._actor = await self._cluster.call(self._make)
        place = Place(*await self._actor.hire.remote())
        if not self.folder:
            self._log(place)
        self.folder = place.archives

    async def ask(
        self, message: Message, body: Sequence[bytes], archive: Archive | None
    ) -> "asyncio.Future[Any]":
        """Pass on a message; the future has what comes back."""
        head = encode(message, size := sum(map(len, body)))
        if size < LARGE:
            said = self._submit(head, body, archive)
        else:
            said = await asyncio.to_thread(self._submit, head, body, archive)
        return said.as_future()  # type: ignore[no-any-return]

    async def ended(self) -> None:
        """Wait until the worker has ended. Raises what Ray raises if the actor has."""
        await self._actor.wait_for_end.options(concurrency_group=END).remote()

    async def let_go(self) -> bool:
        """End the worker; say whether the actor is fit for another."""
        if self._actor is None or self.is_lost:
            return False
        try:
            async with asyncio.timeout(LET_GO_SECONDS):
                await self._actor.let_go.options(concurrency_group=CONTROL).remote()
        except Exception:  # noqa: BLE001 - it hangs, or is gone
            return False
        return True

    def kill(self) -> None:
        """Kill the actor, whatever it does. Blocks."""
        import ray

        if self._actor is not None:
            try:
                ray.kill(self._actor)
            except Exception as error:  # noqa: BLE001 - it is gone already, or the cluster is
                logger.debug("An actor can't be killed: %s", error)

    def _make(self) -> Any:
        import ray

        made = ray.remote(
            num_cpus=1,
            max_restarts=0,
            max_task_retries=0,
            concurrency_groups=CONCURRENCY,
            scheduling_strategy="SPREAD",
        )(Seat)
        return made.remote(self._plan)

    def _submit(self, head: bytes, body: Sequence[bytes], archive: Archive | None) -> Any:
        return self._actor.ask.remote(head, b"".join(body), archive)

    def _log(self, place: Place) -> None:
        level = logging.WARNING if self._plan.confine and place.missing else logging.INFO
        what = "; ".join((place.confined, *place.missing))
        logger.log(level, "A new actor of the Ray cluster confines scripts: %s", what)


class Seats:
    """Makes actors when they are needed, and lets them go when they aren't."""

    def __init__(self, cluster: Cluster, plan: Plan) -> None:
        self._cluster = cluster
        self._plan = plan
        self.archives = Archives(cluster)
        self._free: list[ActorSeat] = []
        self._coming = self._waiting = 0  # seats that will be free; workers that wait for those
        self._change = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def check(self) -> None:
        """Raise OSError if no seat can be had."""
        if self._cluster.problem:
            raise OSError(self._cluster.problem)

    async def take(self) -> ActorSeat:
        """Return a seat without a worker: one that is free, or soon will be, or a new one."""
        while not self._free and self._coming > self._waiting:
            self._waiting += 1
            self._change.clear()
            try:
                await self._change.wait()
            finally:
                self._waiting -= 1
        return self._free.pop() if self._free else ActorSeat(self._plan, self._cluster)

    def give_back(self, seat: ActorSeat) -> None:
        """Take a seat back whose worker isn't needed any more, and end that."""
        task = asyncio.get_running_loop().create_task(self._end(seat))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def forget(self) -> None:
        """Forget what the object store has: the cluster doesn't answer, and another may."""
        self.archives.forget()

    def why_none(self, error: BaseException) -> str:
        """Return in words why a seat gave no worker."""
        return f"could not be started on the Ray cluster: {type(error).__name__}: {error}"[:500]

    async def _end(self, seat: ActorSeat) -> None:
        self._coming += 1
        try:
            is_fit = await seat.let_go()
        finally:
            self._coming -= 1
            self._change.set()
        if is_fit:
            self._free.append(seat)
            await asyncio.sleep(FREE_SECONDS)
            if seat not in self._free:
                return
            self._free.remove(seat)
        await self._cluster.call(seat.kill)
