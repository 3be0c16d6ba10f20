"""What a pool is asked to do, and what comes of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tabpy.tabpy_server.memfd import Memory
from tabpy.tabpy_server.workers.pool.tables import Tables
from tabpy.tabpy_server.workers.protocol import Failure, Reply


@dataclass(slots=True)
class Job:
    """One request's work: a script, or a deployed `function`, with its data in `body`.

    `body` is the request's raw body in its pieces. `timeout` is in seconds and counts from when
    the job is handed to the pool: looking up the function and waiting for a worker are part of it.
    `want_printed`: the outcome tells what was printed, and a failure its traceback. `owner` is
    whose it is: see `isolation`. `request_id` is for the log. `headers` are those of the request
    that a script may see. `tables`: the Arrow tables that it may name, if any. `waited`: seconds of
    its time that had gone by before it was handed in. `memory`: has the body if it is large, and
    then `body` is empty; it is closed when a worker has it. `as_numpy`: a script's arguments are
    numpy's arrays, unless it says otherwise.
    """

    body: Sequence[bytes]
    timeout: float
    function: str | None = None
    want_printed: bool = False
    request_id: str = ""
    owner: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    tables: Tables | None = None
    waited: float = 0.0
    memory: Memory | None = None
    as_numpy: bool = False

    @property
    def size(self) -> int:
        """Return how many bytes the body has."""
        return sum(map(len, self.body)) if self.memory is None else self.memory.size


@dataclass(slots=True)
class Outcome:
    """What a worker answered; the body of a `Reply` is JSON, that of a `Failure` is empty.
    `memory`: has the body if it is large, and keeps its size."""

    message: Reply | Failure
    body: bytes
    memory: Memory | None = None


@dataclass(slots=True)
class Timing:
    """Milliseconds a job waited for a worker, and ran on it: 0 if it never got one."""

    queued_ms: float = 0.0
    run_ms: float = 0.0
