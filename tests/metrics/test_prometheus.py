"""How what is counted becomes public."""

import asyncio
import contextlib
import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tabpy.tabpy_server.errors import MetricsUnavailableError
from tabpy.tabpy_server.metrics import files, prometheus
from tabpy.tabpy_server.metrics.counters import Counters
from tabpy.tabpy_server.script_rules import InForce

ROOT = Path(__file__).parents[2]


@dataclass
class Figures:
    """What a pool and a catalog have just now."""

    waiting: int = 0
    running: int = 0
    size: int = 0
    broken: tuple[str, ...] = ()
    isolation: str = "user"


NONE = Figures()


@pytest.fixture(autouse=True)
def _made_anew() -> Iterator[None]:
    """Each test is a process that hasn't counted yet."""
    prometheus._make_instruments.cache_clear()
    yield
    prometheus._make_instruments.cache_clear()


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "reserve", no_room)


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_is_an_answer() -> None:
    with pytest.raises(MetricsUnavailableError) as refused:
        asyncio.run(prometheus.text(Counters(), NONE, NONE, prometheus.Shared(InForce())))
    assert refused.value.info == "They can't be kept: No space left on device."


class Taken(Counters):
    """Counters that tell when they are taken."""

    def __init__(self) -> None:
        super().__init__()
        self.times = asyncio.Semaphore(0)

    def take(self) -> Counters:
        self.times.release()
        return Counters()


@pytest.mark.usefixtures("full_disk")
def test_while_the_disk_is_full_counts_do_not_pile_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(prometheus, "PUBLISH_INTERVAL", 0.001)

    async def until_taken_three_times() -> None:
        counters = Taken()
        publishing = asyncio.create_task(prometheus.publish(counters, NONE, NONE))
        for _ in range(3):
            await counters.times.acquire()
        publishing.cancel()
        await asyncio.wait((publishing,))

    asyncio.run(asyncio.wait_for(until_taken_three_times(), 10))
    assert [each.message for each in caplog.records if each.name == prometheus.__name__] == [
        "Nothing is counted for /metrics: No space left on device."
    ]


def test_threads_that_ask_at_the_same_time_get_the_same_instruments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    two = threading.Barrier(2)
    made = []

    def reserve() -> None:
        made.append(1)
        with contextlib.suppress(threading.BrokenBarrierError):
            two.wait(0.05)  # seconds in which another thread could get here, too

    monkeypatch.setattr(files, "reserve", reserve)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: prometheus._instruments(), range(4)))
    assert len(made) == 1
    assert all(each is found[0] for each in found)


# In a process of its own, since prometheus-client looks at its folder when it is imported.
ROUND_TRIP = """
import asyncio, pathlib, sys
from types import SimpleNamespace
from tabpy.tabpy_server.metrics import files, prometheus
from tabpy.tabpy_server.metrics.counters import Counters
from tabpy.tabpy_server.script_rules import InForce

files.prepare(pathlib.Path(sys.argv[1]))
counters = Counters()
figures = SimpleNamespace(waiting=3, running=4, size=5, broken=["f", "g"], isolation="user")
for number in (1, 2):
    counters.requests["/evaluate", "POST", 200] += number
    counters.waits.append(0.5)
    counters.runs.append(("/evaluate", 1.5))
    counters.starts += 1
    counters.ends["died"] += 1
    counters.store.append(("read", 0.25))
    confined = InForce(landlock=7, seccomp=True)
    shared = prometheus.Shared(
        confined, tables=SimpleNamespace(pid=0, count=6, size=7), machine=sys.argv[2]
    )
    text = asyncio.run(prometheus.text(counters, figures, figures, shared))
print(text.decode())
"""


def round_trip(folder: Path, machine: str = "") -> list[str]:
    """The lines of what is counted twice."""
    done = subprocess.run(
        [sys.executable, "-c", ROUND_TRIP, str(folder / "metrics"), machine],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_all_that_is_counted_can_be_asked_for(tmp_path: Path) -> None:
    lines = round_trip(tmp_path)
    for line in (
        'tabpy_requests_total{method="POST",route="/evaluate",status="200"} 3.0',
        "tabpy_job_queued_seconds_sum 1.0",
        'tabpy_job_run_seconds_sum{route="/evaluate"} 3.0',
        "tabpy_worker_starts_total 2.0",
        'tabpy_worker_ends_total{reason="died"} 2.0',
        'tabpy_isolation{by="user"} 1.0',
        'tabpy_confinement{part="landlock"} 7.0',
        'tabpy_confinement{part="seccomp"} 1.0',
        'tabpy_store_seconds_sum{operation="read"} 0.5',
        "tabpy_jobs_waiting 3.0",
        "tabpy_jobs_running 4.0",
        "tabpy_functions 5.0",
        "tabpy_functions_broken 2.0",
        "tabpy_tables 6.0",
        "tabpy_tables_bytes 7.0",
    ):
        assert line in lines
    assert any(each.startswith("tabpy_memory_limit_bytes ") for each in lines)


def test_where_others_may_answer_each_figure_says_whose_it_is(tmp_path: Path) -> None:
    lines = round_trip(tmp_path, machine="web.1")
    assert 'tabpy_functions{machine="web.1"} 5.0' in lines
    assert 'tabpy_isolation{by="user",machine="web.1"} 1.0' in lines
    figures = [each for each in lines if each and not each.startswith("#")]
    assert [each for each in figures if 'machine="web.1"' not in each] == []


def test_what_was_counted_last_is_published_when_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "reserve", lambda: None)
    counters = Counters(starts=7)

    async def publish_and_end() -> None:
        publishing = asyncio.create_task(prometheus.publish(counters, NONE, NONE))
        await asyncio.sleep(0)  # it has begun
        publishing.cancel()
        await asyncio.wait((publishing,))

    asyncio.run(publish_and_end())
    assert counters == Counters()
