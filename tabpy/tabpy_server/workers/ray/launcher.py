"""The web process: starts workers on the cluster, as a pool has it done."""

from collections.abc import Callable

from tabpy.tabpy_server.workers.pool.hired import Worker
from tabpy.tabpy_server.workers.pool.source import Source
from tabpy.tabpy_server.workers.ray.seats import Seats
from tabpy.tabpy_server.workers.ray.worker import RayWorker


class RayLauncher:
    """A `launchers.Launcher` without shelves: each worker loads its models by itself."""

    origin = ""

    def __init__(self, seats: Seats) -> None:
        self._seats = seats

    def shelf_origin(self, key: str) -> str:
        return ""

    def hire(
        self, on_death: Callable[[], None], memory_mb: float, source: Source | None = None
    ) -> Worker:
        """Start one. Raises OSError if there's no cluster."""
        self._seats.check()
        return RayWorker(self._seats, on_death)

    def ask_for_shelf(self, request: bytes) -> None:
        """Do nothing."""
