"""Figures for Prometheus, of all web processes of this machine together.

prometheus-client keeps each process's numbers in files that whichever process is asked adds up.
Importing it takes a tenth of a second, so that happens on a thread when the server has been
answering for a while.
"""

import asyncio
import contextlib
import functools
import logging
import threading
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tabpy.tabpy_server import machine, process_memory, process_tree
from tabpy.tabpy_server.errors import MetricsUnavailableError
from tabpy.tabpy_server.metrics import files
from tabpy.tabpy_server.metrics.counters import Counters
from tabpy.tabpy_server.metrics.labelled import Labelled
from tabpy.tabpy_server.script_rules import InForce

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Counter, Gauge, Histogram, Metric

logger = logging.getLogger(__name__)

PUBLISH_INTERVAL = 1.0  # seconds between takings
BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60)  # seconds


class Pool(Protocol):
    """Who runs this web process's jobs."""

    @property
    def waiting(self) -> int:
        """Jobs without a worker."""

    @property
    def running(self) -> int:
        """Jobs on a worker."""

    @property
    def isolation(self) -> str:
        """Whose jobs a worker may do."""


class Catalog(Protocol):
    """Who knows the deployed functions."""

    @property
    def size(self) -> int:
        """How many there are."""

    @property
    def broken(self) -> Collection[str]:
        """Those that can't be loaded."""


class Tables(Protocol):
    """The Arrow tables, and the process that has them."""

    @property
    def pid(self) -> int:
        """That process."""

    @property
    def count(self) -> int:
        """How many tables there are."""

    @property
    def size(self) -> int:
        """How many bytes they take."""


@dataclass(frozen=True)
class Shared:
    """What is the same in all web processes. `certificate_expires`: when the server's own does, in
    seconds since 1970; None: it has none. `tables`: those of Arrow Flight, where it is on.
    `machine`: the name of this one, where others may answer by the same address; else ""."""

    confinement: InForce
    certificate_expires: float | None = None
    tables: Tables | None = None
    machine: str = ""


async def publish(counters: Counters, pool: Pool, catalog: Catalog) -> None:
    """Make what this web process counts public, once a second; when cancelled, the rest of it."""
    had_room = True
    try:
        while True:
            await asyncio.sleep(PUBLISH_INTERVAL)
            try:
                _add(await asyncio.to_thread(_instruments), counters, pool, catalog)
                had_room = True
            except OSError as error:
                counters.take()  # or it would grow for as long as the disk is full
                if had_room:
                    logger.error("Nothing is counted for /metrics: %s.", error.strerror)
                had_room = False
    finally:
        with contextlib.suppress(OSError):
            _add(_instruments(), counters, pool, catalog)


async def text(
    counters: Counters,
    pool: Pool,
    catalog: Catalog,
    shared: Shared,
) -> bytes:
    """Return all figures, in Prometheus's text format.

    Raises MetricsUnavailableError if they can't be kept.
    """
    try:
        instruments = await asyncio.to_thread(_instruments)
    except OSError as error:
        raise MetricsUnavailableError(error.strerror or str(error)) from None
    _add(instruments, counters, pool, catalog)
    return await asyncio.to_thread(_render, shared)


@dataclass(frozen=True)
class Instruments:
    """One for each metric; prometheus-client keeps their values in this process's files."""

    requests: "Counter"
    waits: "Histogram"
    runs: "Histogram"
    starts: "Counter"
    ends: "Counter"
    store: "Histogram"
    pure_calls: "Counter"
    result_bytes: "Gauge"
    waiting: "Gauge"
    running: "Gauge"
    isolation: "Gauge"
    functions: "Gauge"
    broken: "Gauge"


_making = threading.Lock()


def _instruments() -> Instruments:
    """Return this process's own, made when they are first asked for, on whichever thread.

    Raises OSError if their values can't be kept.
    """
    with _making:  # or two threads would make two, which write to the same places
        return _make_instruments()


@functools.cache
def _make_instruments() -> Instruments:
    files.reserve()
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
        pure_calls=Counter(
            "tabpy_pure_calls",
            "Calls of pure functions, and how they came to their results",
            ["result"],
            registry=None,
        ),
        result_bytes=Gauge(
            "tabpy_result_cache_bytes",
            "What kept results of pure functions take",
            registry=None,
            multiprocess_mode="livesum",
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
        isolation=Gauge(
            "tabpy_isolation",
            "Whose scripts may share a worker: the label, of a 1",
            ["by"],
            registry=None,
            multiprocess_mode="livemax",
        ),
        functions=Gauge(
            "tabpy_functions", "Deployed functions", registry=None, multiprocess_mode="livemax"
        ),
        broken=Gauge(
            "tabpy_functions_broken",
            "Deployed functions that can't be loaded",
            registry=None,
            multiprocess_mode="livemax",
        ),
    )


def _add(instruments: Instruments, counters: Counters, pool: Pool, catalog: Catalog) -> None:
    taken = counters.take()
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
    for way, count in taken.pure_calls.items():
        instruments.pure_calls.labels(way).inc(count)
    instruments.result_bytes.set(taken.result_bytes)
    instruments.waiting.set(pool.waiting)
    instruments.running.set(pool.running)
    instruments.isolation.labels(pool.isolation).set(1)
    instruments.functions.set(catalog.size)
    instruments.broken.set(len(catalog.broken))


def _render(shared: Shared) -> bytes:
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    tables = shared.tables
    registry.register(_Memory(tables.pid if tables is not None else 0))
    if tables is not None:
        registry.register(_Tables(tables))
    registry.register(_Confinement(shared.confinement))
    if shared.certificate_expires is not None:
        registry.register(_Certificate(shared.certificate_expires))
    if shared.machine:
        return generate_latest(Labelled(registry, "machine", shared.machine))
    return generate_latest(registry)


class _Confinement:
    """What keeps scripts to their rules: the same in all web processes, from start to end."""

    def __init__(self, confinement: InForce) -> None:
        self._confinement = confinement

    def collect(self) -> "Iterator[Metric]":
        """Yield its parts; prometheus-client calls it."""
        from prometheus_client.core import GaugeMetricFamily

        parts = GaugeMetricFamily(
            "tabpy_confinement",
            "What keeps scripts to their rules: Landlock's version, 1 for filtered system calls",
            labels=["part"],
        )
        parts.add_metric(["landlock"], self._confinement.landlock)
        parts.add_metric(["seccomp"], int(self._confinement.seccomp))
        yield parts


class _Certificate:
    """The certificate that is served now: the same in all web processes."""

    def __init__(self, expires: float) -> None:
        self._expires = expires

    def collect(self) -> "Iterator[Metric]":
        """Yield when it expires; prometheus-client calls it."""
        from prometheus_client.core import GaugeMetricFamily

        yield GaugeMetricFamily(
            "tabpy_certificate_expiry_timestamp_seconds",
            "When the server's certificate expires, in seconds since 1970",
            value=self._expires,
        )


class _Tables:
    """Arrow tables that are there now, in the one process that has them."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def collect(self) -> "Iterator[Metric]":
        """Yield how many there are, and how large; prometheus-client calls it."""
        from prometheus_client.core import GaugeMetricFamily

        yield GaugeMetricFamily("tabpy_tables", "Arrow tables", value=self._tables.count)
        yield GaugeMetricFamily(
            "tabpy_tables_bytes",
            "What they take, those on their way included",
            value=self._tables.size,
        )


class _Memory:
    """What is looked up when somebody asks."""

    def __init__(self, flight: int) -> None:
        """`flight`: the pid of the process that has Arrow tables, 0 for none."""
        self._flight = flight

    def collect(self) -> "Iterator[Metric]":
        """Yield processes and memory as they are now; prometheus-client calls it."""
        from prometheus_client.core import GaugeMetricFamily

        resident = GaugeMetricFamily(
            "tabpy_memory_resident_bytes",
            "Memory of the server's processes; what they share counts in each",
            labels=["role"],
        )
        processes = GaugeMetricFamily("tabpy_processes", "The server's processes", labels=["role"])
        for role, pids in process_tree.processes_by_role(self._flight).items():
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
