"""The web process: one script worker, as its pool knows it, wherever it runs.

`worker` has those of this machine, `workers.ray` those on the nodes of a Ray cluster.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from tabpy.tabpy_server.memfd import Memory
from tabpy.tabpy_server.process_usage import Usage
from tabpy.tabpy_server.workers.pool.source import Source
from tabpy.tabpy_server.workers.protocol import Message

ENDED = "ended"

Received = tuple[Message, bytes]


class Worker(ABC):
    """A script worker, and what its pool notes of it; runs one job at a time."""

    def __init__(self, source: Source | None) -> None:
        """`source`: the shelf that it comes from; it is that owner's and nobody else's, whatever it
        says."""
        self.alive = True
        self.pid = 0  # 0: on another machine
        self.origin = ""
        self.end = "died"  # why it did, for the metrics
        self.size_at_start = 0
        self.used = False  # has run a job
        self.rested: tuple[Usage, ...] = ()  # what it took at the last looks, while idle
        self.source = source
        # Whose jobs it runs: None until the first, if it comes from no shelf.
        self.owner = source.owner if source else None
        self.owned_since = time.monotonic() if source else 0.0
        self.versions: dict[str, str] = {}  # functions it has called or loaded: SHA-256 of the last
        self.busy_since = 0.0  # when it got its last job

    @abstractmethod
    async def ready(self) -> None:
        """Wait until it can take a job. Raises WorkerDiedError."""

    @abstractmethod
    async def ask(
        self,
        message: Message,
        body: Sequence[bytes] = (),
        descriptors: Sequence[int] = (),
        on_sent: Callable[[], None] | None = None,
    ) -> Received:
        """Send it a message, and `descriptors` with a byte after it, and return what it says next.
        `on_sent` is called in between. Raises WorkerDiedError."""

    @abstractmethod
    async def give_memory(self) -> tuple[Received, Memory]:
        """Give it memory for its reply's body; return what it says next, and that memory. Raises
        WorkerDiedError, and OSError if there is none for it."""

    @abstractmethod
    def is_quiet(self) -> bool:
        """Say whether it lives and has said nothing, as far as is known now.

        An idle worker that isn't has died, or a script has written what might be taken for the
        next job's reply.
        """

    @property
    @abstractmethod
    def held(self) -> int:
        """Return the bytes that it has sent of a message that isn't complete."""

    @abstractmethod
    def kill(self, because: str = ENDED) -> None:
        """End it now, whatever it does."""

    def begin(self, owner: str | None) -> None:
        """Take note that it is about to run a job: from now on it runs none of another owner.
        None: whoever's it is doesn't matter."""
        if self.owner is None:
            self.owner, self.owned_since = owner, time.monotonic()
        elif self.owner != owner:
            raise RuntimeError("a worker can't change its owner")
        self.used = True
        self.rested = ()
