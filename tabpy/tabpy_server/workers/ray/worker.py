"""The web process: one script worker on a node of the cluster, as seen from here."""

import asyncio
import mmap
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tabpy.tabpy_server.errors import WorkerDiedError
from tabpy.tabpy_server.memfd import Memory
from tabpy.tabpy_server.workers.pool.hired import ENDED, Received, Worker
from tabpy.tabpy_server.workers.protocol import HEADER, Death, Job, Message, Need, decode
from tabpy.tabpy_server.workers.ray.seats import ActorSeat, Seats

LOST = "was lost with its node of the Ray cluster"


class RayWorker(Worker):
    """A worker below an actor's seat, which goes back when the worker ends."""

    def __init__(self, seats: Seats, on_death: Callable[[], None]) -> None:
        super().__init__(None)
        self._seats = seats
        self._on_death = on_death
        self._loop = asyncio.get_running_loop()
        self._seat: ActorSeat | None = None
        self._damaged = ""
        self._next: asyncio.Future[Received] = self._loop.create_future()
        self._next.cancel()  # nothing has been asked

    async def ready(self) -> None:
        try:
            self._seat = await self._seats.take()
            if not self.alive:  # killed meanwhile
                self._seats.give_back(self._seat)
                raise WorkerDiedError(ENDED)
            await self._seat.hire()
        except Exception as error:  # noqa: BLE001 - Ray wraps whatever the actor raised in its own
            self.kill()
            raise WorkerDiedError(self._seats.why_none(error)) from None
        watching = self._loop.create_task(self._seat.ended())
        watching.add_done_callback(self._lost)

    async def ask(
        self,
        message: Message,
        body: Sequence[bytes] = (),
        descriptors: Sequence[int] = (),
        on_sent: Callable[[], None] | None = None,
    ) -> Received:
        if isinstance(message, Job) and message.in_memory:  # which no node could read
            body = [await asyncio.to_thread(_content, descriptors[0], message.in_memory)]
            message = replace(message, in_memory=0)
        elif descriptors:
            raise NotImplementedError("Arrow tables stay on this machine.")
        if on_sent is not None:
            on_sent()
        if not self.alive:
            raise WorkerDiedError(ENDED)
        seat = self._seat
        assert seat is not None
        message, archive = await self._seats.archives.for_node(
            message, seat.folder, seat.known, self._damaged
        )
        self._damaged = ""
        self._next = self._loop.create_future()
        said = await seat.ask(message, body, archive)
        said.add_done_callback(self._answered)
        message, reply = await self._next
        if isinstance(message, Death):
            self.end = reply.decode()
            self.kill()
            raise WorkerDiedError(message.reason)
        if isinstance(message, Need):
            self._damaged = message.damaged
        return message, reply

    async def give_memory(self) -> tuple[Received, Memory]:
        raise OSError("no memory is shared with another machine")

    def is_quiet(self) -> bool:
        return self.alive

    @property
    def held(self) -> int:
        return 0

    def kill(self, because: str = ENDED) -> None:
        if not self.alive:
            return
        self.alive = False
        if self._seat is not None:
            self._seats.give_back(self._seat)
        if not self._next.done():
            self._next.set_exception(WorkerDiedError(because))
            self._next.exception()  # nobody may be waiting, which is no error of its own

    def _answered(self, said: "asyncio.Future[Any]") -> None:
        failed = said.cancelled() or said.exception() is not None
        if self._next.done():  # it was killed, and nobody waits any more
            return
        if not failed:
            head, reply = said.result()
            message = decode(head[:1], head[HEADER.size :])
            self._next.set_result((message, reply))
        else:  # the actor's process, its node or the network between is gone
            self._mark_lost()
            self._next.set_result((Death(LOST), b"died"))

    def _lost(self, watching: "asyncio.Task[None]") -> None:
        if not watching.cancelled() and watching.exception() is not None:
            self._mark_lost()
        if self.alive and self._next.done():
            self.kill()
            self._on_death()

    def _mark_lost(self) -> None:
        if self._seat is not None:
            self._seat.is_lost = True


def _content(descriptor: int, size: int) -> bytes:
    """Return what is in shared memory."""
    with mmap.mmap(descriptor, size, prot=mmap.PROT_READ) as memory:
        return memory[:]
