"""The web process: which workers are to load a new version of a function before a call needs it.

Loading runs the code of whoever deployed it, so only workers that have called the function do it:
to no worker comes what its owner hasn't brought there. One at a time loads, so that the others go
on answering; a busy one does it after its job.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tabpy.tabpy_server.errors import InternalError, WorkerDiedError
from tabpy.tabpy_server.workers.pool.executor import Executor
from tabpy.tabpy_server.workers.pool.hired import Worker
from tabpy.tabpy_server.workers.pool.job import Job, Outcome
from tabpy.tabpy_server.workers.protocol import Load, Reference

LOAD_SECONDS = 300.0  # that loading may take


@dataclass
class _Renewal:
    """A version, and the workers that have yet to load it."""

    reference: Reference
    left: set[Worker]
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Renewals:
    """Those under way, one for each function: a later one takes its place."""

    def __init__(
        self,
        executor: Executor,
        end_after: Callable[[Outcome], str | None],
        give_back: Callable[[Worker, str | None], None],
    ) -> None:
        """`end_after` says why a worker can't go on after a job, None if it can; `give_back` is
        told the same when one has loaded what it had to."""
        self._executor = executor
        self._end_after = end_after
        self._give_back = give_back
        self._renewals: dict[str, _Renewal] = {}
        self._loading: asyncio.Task[None] | None = None

    def __bool__(self) -> bool:
        return bool(self._renewals)

    def begin(self, reference: Reference, workers: Iterable[Worker]) -> asyncio.Event:
        """Have those of `workers` load a version that have called another one of that function.
        The event is set when none of them is left, or another version is to be loaded."""
        if (earlier := self._renewals.get(reference.name)) is not None:
            self._end(earlier)
        left = {
            each
            for each in workers
            if each.versions.get(reference.name, reference.sha256) != reference.sha256
        }
        renewal = self._renewals[reference.name] = _Renewal(reference, left)
        if not left:
            self._end(renewal)
        return renewal.done

    def start(self, workers: Sequence[Worker]) -> Worker | None:
        """Have one of `workers`, who do nothing, load what it has to, if no other is loading; it
        is busy until it's given back."""
        if self._loading is not None:
            return None
        for renewal in [*self._renewals.values()]:
            renewal.left = {each for each in renewal.left if each.alive}
            if not renewal.left:
                self._end(renewal)
            worker = next((each for each in workers if each in renewal.left), None)
            if worker is not None:
                load = self._load(worker, renewal)
                self._loading = asyncio.get_running_loop().create_task(load)
                return worker
        return None

    async def _load(self, worker: Worker, renewal: _Renewal) -> None:
        end: str | None = "died"
        worker.begin(worker.owner)
        try:
            async with asyncio.timeout(LOAD_SECONDS):
                job = Job((), LOAD_SECONDS)
                outcome = await self._executor.run(worker, Load(renewal.reference), job)
            end = self._end_after(outcome)  # whoever calls it is told why it can't be loaded
        except TimeoutError:
            end = "time-out"
        except WorkerDiedError:
            end = worker.end
        except InternalError:
            pass  # it is logged
        finally:
            self._loading = None
            renewal.left.discard(worker)
            if not renewal.left:
                self._end(renewal)
            self._give_back(worker, end)

    def _end(self, renewal: _Renewal) -> None:
        renewal.done.set()
        if self._renewals.get(renewal.reference.name) is renewal:
            del self._renewals[renewal.reference.name]


def versions_of(workers: Iterable[Worker]) -> dict[str, set[str]]:
    """Return the functions that workers have called or loaded, and the SHA-256 of each."""
    found: dict[str, set[str]] = {}
    for worker in workers:
        for name, sha256 in worker.versions.items():
            found.setdefault(name, set()).add(sha256)
    return found
