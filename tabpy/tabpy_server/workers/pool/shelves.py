"""The web process: which large functions owners call, and so which shelf their workers come from.

Loading a model runs its author's code, which may change modules for good. So a shelf, a fork server
that has loaded large models, is for those owners only who have called every one of them: a worker
from it belongs to such an owner from its first moment on. Workers for anybody come from no shelf.

What an owner calls is known from its calls, here and now: after a restart the first call loads the
model in its worker.
"""

import time
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tabpy.tabpy_server.workers.pool.launchers import Launcher
from tabpy.tabpy_server.workers.pool.source import Source
from tabpy.tabpy_server.workers.protocol import Reference, shelf_key, shelf_request

ASK_SECONDS = 2.0  # between requests for the same shelf; unasked for ten, it goes
LATELY = 60.0  # seconds after its last call in which an owner without workers has a shelf
DISTRUST_SECONDS = 30.0  # in which no worker comes from a shelf that has given none
OWNERS_KEPT = 100  # whose calls are known


@dataclass
class _Calls:
    """What is known of one owner: the `names` it has called, the models that its shelf should have,
    the `request` for that, and the key of the last one that was there."""

    names: set[str] = field(default_factory=set)
    at: float = 0.0
    models: Mapping[str, str] = field(default_factory=dict)
    wanted: str = ""
    request: bytes = b""
    present: str = ""


class Shelves:
    """The shelves that the workers of one pool come from."""

    def __init__(self, launcher: Launcher, by_owner: bool) -> None:
        """`by_owner`: whether workers have owners. If not, all jobs are of one, None."""
        self.launcher = launcher
        self._by_owner = by_owner
        self._calls: OrderedDict[str | None, _Calls] = OrderedDict()  # the last caller last
        self._distrusted: dict[str, float] = {}  # keys, and until when
        self._ask_at = 0.0
        self.news = 0  # counts the calls that were an owner's first of that function

    # What is called, and what is to be on shelves

    def note(self, owner: str | None, name: str) -> None:
        """Take note that a job of `owner` calls the model `name`."""
        owner = self._whose(owner)
        calls = self._calls.get(owner)
        if calls is None:
            calls = self._calls[owner] = _Calls()
            if len(self._calls) > OWNERS_KEPT:
                self._calls.popitem(last=False)
        self._calls.move_to_end(owner)
        calls.at = time.monotonic()
        if name not in calls.names:
            calls.names.add(name)
            self.news += 1

    @property
    def called(self) -> Mapping[str | None, Collection[str]]:
        """Return the names of the models that each owner has called."""
        return {owner: calls.names for owner, calls in self._calls.items()}

    def models(self, owner: str | None) -> Mapping[str, str]:
        """Return the names of what an owner's shelf should have, and the SHA-256 of each."""
        return self._calls[owner].models if owner in self._calls else {}

    def put(self, owner: str | None, references: Sequence[Reference]) -> None:
        """Have an owner's workers come from a shelf with these models, all of which it has called.
        Until that is there, they come from the one before."""
        calls = self._calls.get(owner)
        if calls is None or not calls.names >= {each.name for each in references}:
            return  # it has been forgotten meanwhile
        calls.models = {each.name: each.sha256 for each in references}
        calls.wanted = shelf_key(references) if references else ""
        calls.request = shelf_request(references)
        self._ask_at = 0.0

    def forget(self, names: Collection[str]) -> None:
        """Forget the calls of models that aren't among these any more."""
        for calls in self._calls.values():
            calls.names.intersection_update(names)

    # What there is

    def ask(self, owners: Iterable[str | None]) -> None:
        """Ask for the shelves that are needed, now and then. `owners`: who have workers."""
        now = time.monotonic()
        for key in [each for each, until in self._distrusted.items() if until <= now]:
            del self._distrusted[key]
        if now < self._ask_at:
            return
        self._ask_at = now + ASK_SECONDS
        present = {*owners}
        needed = {
            calls.wanted: calls.request
            for owner, calls in self._calls.items()
            if calls.wanted and (owner in present or now < calls.at + LATELY)
        }
        for request in needed.values():
            self.launcher.ask_for_shelf(request)

    def source(self, owner: str | None) -> Source | None:
        """Return the shelf that an owner's next worker comes from, None for none."""
        key, origin = self._present(owner)
        return Source(self._whose(owner), key, origin) if key else None

    def origin(self, owner: str | None) -> str:
        """Return the origin that an owner's next worker would have; "": not known."""
        key, origin = self._present(owner)
        return origin if key else self.launcher.origin

    def distrust(self, source: Source) -> None:
        """Have no worker come from a shelf for a while, since one didn't."""
        self._distrusted[source.key] = time.monotonic() + DISTRUST_SECONDS

    def _present(self, owner: str | None) -> tuple[str, str]:
        """Return key and origin of an owner's shelf, "" for none: the one it should have, or as
        long as that isn't there, the one before."""
        calls = self._calls.get(self._whose(owner))
        if calls is not None and calls.wanted:
            for key in (calls.wanted, calls.present):
                origin = self.launcher.shelf_origin(key)
                if origin and key not in self._distrusted:
                    calls.present = key
                    return key, origin
        return "", ""

    def _whose(self, owner: str | None) -> str | None:
        return owner if self._by_owner else None
