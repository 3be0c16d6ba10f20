"""Instruments for Prometheus, right across all web processes of this machine.

prometheus-client keeps each process's numbers in files that whichever process is asked adds up.
Importing it takes a tenth of a second, so that happens on a thread when the server has been
answering for a while.
"""

import asyncio
import contextlib
import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tabpy.tabpy_server import machine, process_memory, process_tree
from tabpy.tabpy_server.errors import RequestError
from tabpy.tabpy_server.metrics import files
from tabpy.tabpy_server.web.context import Context

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Counter, Gauge, Histogram, Metric

logger = logging.getLogger(__name__)

PUBLISH_INTERVAL = 1.0  # seconds between takings
BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60)  # seconds


async def publish(context: Context) -> None:
    """Make what this web process counts public, once a second; when cancelled, the rest of it."""
    had_room = True
    try:
        while True:
            await asyncio.sleep(PUBLISH_INTERVAL)
            try:
                _add(await asyncio.to_thread(_instruments), context)
                had_room = True
            except OSError as problem:
                context.counters.take()  # or it would grow for as long as the disk is full
                if had_room:
                    logger.error("Nothing is counted for /metrics: %s.", problem.strerror)
                had_room = False
    finally:
        with contextlib.suppress(OSError):
            _add(_instruments(), context)


async def text(context: Context) -> bytes:
    """All figures, in Prometheus's text format. Raises RequestError 503 if they can't be kept."""
    try:
        instruments = await asyncio.to_thread(_instruments)
    except OSError as problem:
        raise RequestError(
            503, "There are no metrics.", f"They can't be kept: {problem.strerror}."
        ) from None
    _add(instruments, context)
    return await asyncio.to_thread(_render)


@dataclass(frozen=True)
class Instruments:
    requests: "Counter"
    waits: "Histogram"
    runs: "Histogram"
    starts: "Counter"
    ends: "Counter"
    store: "Histogram"
    waiting: "Gauge"
    running: "Gauge"
    functions: "Gauge"


_made: list[Instruments] = []
_making = threading.Lock()


def _instruments() -> Instruments:
    """Raises OSError if they can't be kept."""
    with _making:
        if not _made:
            files.reserve()
            _made.append(_make_figures())
        return _made[0]


def _make_figures() -> Instruments:
    from prometheus_client import Counter, Gauge, Histogram

    return Instruments(
        requests=Counter(
            "tabpy_requests", "Requests answered", ["route", "method", "status"], registry=None
        ),
        waits=Histogram(
            "tabpy_job_queued_seconds",
            "How long jobs waited for a worker",
            buckets=BUCKETS,
            registry=None,
        ),
        runs=Histogram(
            "tabpy_job_run_seconds",
            "How long jobs ran on a worker",
            ["route"],
            buckets=BUCKETS,
            registry=None,
        ),
        starts=Counter("tabpy_worker_starts", "Script workers started", registry=None),
        ends=Counter(
            "tabpy_worker_ends", "Script workers that ended, and why", ["reason"], registry=None
        ),
        store=Histogram(
            "tabpy_store_seconds",
            "How long the store of deployed functions took",
            ["operation"],
            buckets=BUCKETS,
            registry=None,
        ),
        waiting=Gauge(
            "tabpy_jobs_waiting",
            "Jobs without a worker",
            registry=None,
            multiprocess_mode="livesum",
        ),
        running=Gauge(
            "tabpy_jobs_running", "Jobs on a worker", registry=None, multiprocess_mode="livesum"
        ),
        functions=Gauge(
            "tabpy_functions", "Deployed functions", registry=None, multiprocess_mode="livemax"
        ),
    )


def _add(instruments: Instruments, context: Context) -> None:
    taken = context.counters.take()
    for (route, method, status), count in taken.requests.items():
        instruments.requests.labels(route, method, str(status)).inc(count)
    for seconds in taken.waits:
        instruments.waits.observe(seconds)
    for route, seconds in taken.runs:
        instruments.runs.labels(route).observe(seconds)
    instruments.starts.inc(taken.starts)
    for reason, count in taken.ends.items():
        instruments.ends.labels(reason).inc(count)
    for operation, seconds in taken.store:
        instruments.store.labels(operation).observe(seconds)
    instruments.waiting.set(context.pool.waiting)
    instruments.running.set(context.pool.running)
    instruments.functions.set(context.catalog.size)


def _render() -> bytes:
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    registry.register(_Memory())
    return generate_latest(registry)


class _Memory:
    """What is looked up when somebody asks."""

    def collect(self) -> "Iterator[Metric]":
        from prometheus_client.core import GaugeMetricFamily

        resident = GaugeMetricFamily(
            "tabpy_memory_resident_bytes",
            "Memory of the server's processes; what they share counts in each",
            labels=["role"],
        )
        processes = GaugeMetricFamily("tabpy_processes", "The server's processes", labels=["role"])
        for role, pids in process_tree.processes_by_role().items():
            resident.add_metric([role], sum(map(process_memory.resident, pids)))
            processes.add_metric([role], len(pids))
        yield resident
        yield processes
        yield GaugeMetricFamily(
            "tabpy_memory_limit_bytes",
            "What the container, or the machine, has",
            value=machine.memory_mb() * (1 << 20),
        )
        if used := machine.memory_used():
            yield GaugeMetricFamily(
                "tabpy_memory_used_bytes",
                "What all that is in the container takes, files the kernel keeps included",
                value=used,
            )
