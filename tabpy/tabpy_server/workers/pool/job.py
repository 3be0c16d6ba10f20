"""The web process: what a worker is asked to do, and what comes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Job:
    """One request's work: `meta` says what to do with the raw `body`, given in its pieces.

    `timeout` is in seconds and counts from when the job is handed to the pool: waiting for a free
    worker is part of it.
    """

    meta: dict[str, Any]
    body: Sequence[bytes]
    timeout: float


@dataclass
class Timing:
    """Milliseconds a job waited for a worker, and ran on it: 0 if it never got one."""

    queued_ms: float = 0.0
    run_ms: float = 0.0
