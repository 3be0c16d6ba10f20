"""The web process: which job gets which worker, when workers belong to one owner at a time.

What a script leaves behind in its worker must not reach anybody else, so a worker that has run
something of one owner is never given to another. Of those that wait, the owner with the fewest jobs
running is next, and among equals the one that was served longest ago. That owner gets

1. the last used of its own idle workers, whose caches are warm, else one that is anybody's;
2. else the next of these that comes up;
3. else one in the place of another's idle worker, which is killed: of those that nobody waits for,
   the longest unused.

A fork takes about ten milliseconds, so two owners who take turns job by job would wait for forks
only. A worker whose own owner has jobs waiting is therefore not taken away in the first
TURN_SECONDS that it has an owner: at most a tenth of the time goes into forks, and nobody waits for
longer than a turn of each other owner, and the jobs that run.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

TURN_SECONDS = 0.1


class Owned(Protocol):
    """A worker, as far as it matters here."""

    @property
    def owner(self) -> str | None:
        """Return whose jobs it runs; None: anybody's, or nobody asks."""

    @property
    def owned_since(self) -> float:
        """Return since when it is that owner's, by the monotonic clock."""


W = TypeVar("W", bound=Owned)


@dataclass(frozen=True)
class Situation(Generic[W]):
    """Who waits and what is there, at one moment.

    `waiting`: jobs by owner, who was served longest ago first. `running`: jobs by owner. `free`:
    how many more may run. `spare`: whether one beyond those may, of an owner with none running.
    `idle`: the workers for them, the last used last. `coming`: the owners of workers that will be
    there soon. `missing`: how many more can be started. `replaceable`: whether a worker can be
    killed to have a fresh one. `outdated_for`: whether an owner could have a better one.
    """

    waiting: Mapping[str, int]
    running: Mapping[str, int]
    free: int
    spare: bool
    idle: Sequence[W]
    coming: Sequence[str | None]
    missing: int
    replaceable: Callable[[W], bool]
    outdated_for: Callable[[W, str], bool]


@dataclass(frozen=True)
class Allocation(Generic[W]):
    """What is to happen: `given` are owners and the workers that they get, in this order;
    `replaced` the workers in whose places others are to be started; `started` the owners for whom,
    and for whom some that are missing."""

    given: list[tuple[str, W]]
    replaced: list[W]
    started: list[str]


def allocate(now: Situation[W]) -> Allocation[W]:
    """Return who gets which worker; see the module's text for the rule."""
    waiting, running, idle = dict(now.waiting), Counter(now.running), list(now.idle)
    room, coming, missing = now.free + now.spare, list(now.coming), now.missing
    allocation = Allocation[W]([], [], [])
    while room > 0 and waiting:
        owner = min(waiting, key=running.__getitem__)  # of equals, the first
        if now.spare and room == 1 and running[owner]:
            break
        if (worker := best(owner, idle, now.outdated_for)) is not None:
            idle.remove(worker)
            allocation.given.append((owner, worker))
        elif owner in coming or None in coming:
            coming.remove(owner if owner in coming else None)
        elif missing > 0:
            missing -= 1
            allocation.started.append(owner)
        elif (worker := _replaced(waiting, idle, now.replaceable)) is not None:
            idle.remove(worker)
            allocation.replaced.append(worker)
            allocation.started.append(owner)
        else:
            # Nothing for this owner, nor for others who have no worker of their own.
            owners = {each.owner for each in idle} - {owner}
            waiting = {each: count for each, count in waiting.items() if each in owners}
            continue
        room -= 1
        running[owner] += 1
        if (left := waiting.pop(owner) - 1) > 0:
            waiting[owner] = left  # behind the others
    return allocation


def best(owner: str, idle: Sequence[W], outdated_for: Callable[[W, str], bool]) -> W | None:
    """Return the worker that an owner gets, if possible one that isn't outdated for it."""
    fit = [each for each in reversed(idle) if each.owner in (owner, None)]
    if len(fit) > 1:
        fit.sort(key=lambda each: (outdated_for(each, owner), each.owner is None))
    return fit[0] if fit else None


def _replaced(
    waiting: Mapping[str, int], idle: Sequence[W], replaceable: Callable[[W], bool]
) -> W | None:
    """Return the idle worker that its owner has to do without."""
    candidates = [each for each in idle if replaceable(each)]
    of_owner = Counter(each.owner for each in idle)
    for each in candidates:
        if of_owner[each.owner] > waiting.get(each.owner or "", 0):
            return each
    turn_over = time.monotonic() - TURN_SECONDS
    return next((each for each in candidates if each.owned_since <= turn_over), None)
