"""What our server takes on a dyno of 512 MB: at the start, in use, at its worst, and after that.

Ours alone: TabPy has no script workers, and ends where twenty such requests come at once. The dyno
is a cgroup with that limit, as in the tests; making one needs root.
"""

import concurrent.futures
import json
import random
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.report import Goal, Row
from benchmarks.servers import Kind
from tests.deploying import FORM, archive_of, upload
from tests.dyno import Dyno, Memory, clone, push
from tests.running import until

MILLION = 1_000_000
LARGE_REQUESTS = 20
LOOK = 0.01  # seconds between two looks at the memory
REST = 5.0  # seconds after which what a request took has been given back
ROUNDS = 8  # of scripts on all connections: enough to reach every worker
CONNECTIONS = 8
MODEL_MB = 60
MEGABYTE = 1e6
CACHES = ("inactive_file", "active_file")

SCRIPT = """\
import pandas as pd
from sklearn.cluster import KMeans
frame = pd.DataFrame({'x': _arg1})
return KMeans(2, n_init=1).fit_predict(frame).tolist()
"""


def memory(_: Kind, __: Kind) -> list[Row]:
    if not Memory(1).enforced:
        return [_row("memory on a dyno", None, "needs root")]
    with _dyno() as dyno:
        until(lambda: dyno.evaluate("return 1", **dyno.credentials).status == 200, "a script runs")
        time.sleep(REST)
        rows = [_row("dyno, at the start", _taken(dyno.memory), goal=200)]
        _use(dyno)
        rows.append(_row("... idle after use", _taken(dyno.memory), goal=300))
        peak, wrong = _storm(dyno)
        rows.append(_row(f"... peak of {LARGE_REQUESTS} requests of 1 M rows", peak, goal=480))
        rows.append(_row("... of which not answered rightly", wrong, unit="", goal=0))
        rows.append(_row("... killed by the kernel", dyno.memory.kills(), unit="", goal=0))
        rows.append(_row("... idle after them", _taken(dyno.memory), goal=330))
        deployed = dyno.request("POST", "/endpoints", _model(), headers=FORM, **dyno.credentials)
        if deployed.status != 201:
            raise RuntimeError(f"the model was not deployed: {deployed.body!r}")
        # The first call loads it where it runs, then it is shared.
        until(lambda: dyno.query("model", [1.0], **dyno.credentials).status == 200, "it answers")
        time.sleep(2 * REST)
        ask = lambda: dyno.query("model", [1.0], **dyno.credentials).status == 200  # noqa: E731
        failed = _ask_all(dyno, ask)
        time.sleep(REST)
        figure = f"... with a model of {MODEL_MB} MB on all workers"
        rows.append(_row(figure, _taken(dyno.memory), goal=350))
        rows.append(_row("... of whose calls failed", failed, unit="", goal=0))
    return rows


@contextmanager
def _dyno() -> Iterator[Dyno]:
    """The last commit as Heroku gets it, running."""
    with tempfile.TemporaryDirectory(prefix="bench-dyno-") as name:
        app = push(clone(Path(name) / "clone"), Path(name) / "app")
        user, password = "benchmark", secrets.token_urlsafe(12)
        config = {"TABPY_USERNAME": user, "TABPY_PASSWORD": password}
        dyno = Dyno(app, config, user=user, password=password)
        try:
            dyno.wait_until_ready()
            yield dyno
        finally:
            dyno.kill()


def _model() -> bytes:
    """What deploys a function of `MODEL_MB`."""
    import numpy as np

    weights = np.ones(MODEL_MB * (1 << 20) // 8)

    def model(values: list[float]) -> list[float]:
        return [value + float(weights[0]) for value in values]

    return upload({"name": "model"}, archive_of(model))


def _use(dyno: Dyno) -> None:
    values = [float(number % 7) for number in range(200)]
    _ask_all(dyno, lambda: dyno.evaluate(SCRIPT, values, **dyno.credentials).status == 200)
    time.sleep(REST)


def _ask_all(dyno: Dyno, ask: Callable[[], bool]) -> int:
    """Ask on all connections, and so all workers: how often that failed."""
    with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as threads:
        asked = [threads.submit(ask) for _ in range(CONNECTIONS * ROUNDS)]
        failed = sum(not each.result() for each in asked)
    if failed:
        print(f"{failed} calls failed; the log ends: {dyno.log[-500:]}", file=sys.stderr)
    return failed


def _storm(dyno: Dyno) -> tuple[float, int]:
    """Send all large requests at once: the most memory that was taken, in MB, and the number of
    replies that weren't right."""
    source = random.Random(0)
    values = [source.uniform(-1000, 1000) for _ in range(MILLION)]
    payload = {"script": "return [x * 2 for x in _arg1]", "data": {"_arg1": values}}
    body = json.dumps(payload).encode()
    right = [value * 2 for value in values]
    wrong: list[str] = []

    def ask() -> None:
        reply = dyno.request("POST", "/evaluate", body, timeout=300, **dyno.credentials)
        if reply.status != 200 or reply.json != right:
            wrong.append(f"{reply.status} {reply.body[:200]!r}")

    with _most(dyno) as most, concurrent.futures.ThreadPoolExecutor(LARGE_REQUESTS) as threads:
        for each in [threads.submit(ask) for _ in range(LARGE_REQUESTS)]:
            each.result()
    for text in sorted(set(wrong)):
        print(f"{wrong.count(text)} times {text}", file=sys.stderr)
    time.sleep(REST)
    return most[0], len(wrong)


@contextmanager
def _most(dyno: Dyno) -> Iterator[list[float]]:
    """Look at the memory until the context ends: the largest number found."""
    most, over = [0.0], threading.Event()

    def look() -> None:
        while not over.wait(LOOK):
            most[0] = max(most[0], _taken(dyno.memory))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield most
    finally:
        over.set()
        looking.join()


def _taken(memory: Memory) -> float:
    """MB that the kernel counts, but for its cache of files, which it gives up by itself."""
    is_version_2 = memory.files.limit == "memory.max"
    use = memory.folder / ("memory.current" if is_version_2 else "memory.usage_in_bytes")
    lines = (memory.folder / "memory.stat").read_text().splitlines()
    statistics = dict(line.split() for line in lines)
    prefix = "" if is_version_2 else "total_"
    cache = sum(int(statistics[prefix + name]) for name in CACHES)
    return (int(use.read_text()) - cache) / MEGABYTE


def _row(
    figure: str,
    value: float | None,
    trouble: str = "",
    *,
    unit: str = "MB",
    goal: float | None = None,
) -> Row:
    wanted = Goal(at_most=goal) if goal is not None else None
    met = wanted.met(value, None) if wanted else None
    return Row(figure, unit, value, None, None, str(wanted or ""), met, trouble, "", False, False)
