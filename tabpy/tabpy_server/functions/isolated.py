"""What deploying asks of the pool: a worker that does one thing and is then thrown away."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from tabpy.tabpy_server.errors import (
    InvalidInputError,
    JobTimeoutError,
    NotLoadableError,
    TabPyError,
    WorkerDiedError,
)
from tabpy.tabpy_server.workers.protocol import Task

# Because of what was sent, and not because of this server.
SENDERS_FAULT = (NotLoadableError, InvalidInputError, JobTimeoutError, WorkerDiedError)


class IsolatedRunner(Protocol):
    """Runs tasks, each on a worker of its own (`Pool`)."""

    async def run_isolated(self, task: Task, limit: float, /, body: Sequence[bytes] = ()) -> bytes:
        """Return the body of the reply; `body` is the task's, in pieces. It may take `limit`
        seconds. Raises TabPyError."""
        ...


class IsolatedWorkers(Protocol):
    """Has workers whose files are wanted, too (`Pool`)."""

    def isolated(self, task: Task, limit: float, /) -> AbstractAsyncContextManager[bytes]:
        """Do what `run_isolated` does; the worker's files are there as long as the context is."""
        ...


def why_it_failed(error: TabPyError, limit: float) -> str:
    """Return what is said of a task that failed: nobody waited for a script here."""
    match error:
        case NotLoadableError():
            return error.why
        case JobTimeoutError():
            return f"It took too long. It was stopped after {limit} s."
        case WorkerDiedError():
            return f"It ended its process. The process {error.how.rstrip(',')}."
        case _:
            return str(error)
