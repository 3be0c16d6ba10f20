"""Where the time of one small request goes, in the web process and in the worker.

The web process is sampled by its own CPU time (sampling/sitecustomize.py); a sample belongs to the
innermost frame that a rule knows, since what a function of ours calls is done for it. The worker's
steps are timed one by one, by the very functions that it calls.
"""

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import orjson

from benchmarks.comparison import Pace, right_small
from benchmarks.contestants import OURS_ONE, Contestants
from benchmarks.load import Stream, run
from benchmarks.measure import CONNECTIONS, evaluate, hammer
from tabpy.tabpy_server import json_codec
from tabpy.tabpy_server.workers.worker import results, script
from tabpy.tabpy_server.workers.worker.models import Models

SMALL = {"script": "return [x + 1 for x in _arg1]", "data": {"_arg1": [41.5]}}
SAMPLING = str(Path(__file__).parent / "sampling")
SETTLING = 2.0  # seconds: a server that has just started has more to do than requests
OTHER = "anything else"
# A part of `file:function`, and the step it belongs to; the first that fits.
RULES: tuple[tuple[str, str], ...] = (
    ("sampling/sitecustomize.py", ""),
    ("/logging/", "log line"),
    ("log_format.py", "log line"),
    ("tornado/log.py", "log line"),
    (":log_request", "log line"),
    ("handlers/record.py", "metrics and activity"),
    ("/metrics/", "metrics and activity"),
    ("/activity/", "metrics and activity"),
    ("/access/", "credentials"),
    ("web/handlers/refusals.py", "refusals and limits"),
    ("web/body_budget.py", "refusals and limits"),
    ("web/proxy.py", "refusals and limits"),
    ("web/http1/", "HTTP: head, body and reply"),
    ("tornado/http1connection.py", "HTTP: head, body and reply"),
    ("tornado/httputil.py", "HTTP: head, body and reply"),
    ("tornado/iostream.py", "HTTP: socket"),
    ("workers/", "hop to the worker and back"),
    ("tornado/routing.py", "routing"),
    ("web/routes.py", "routing"),
    ("tornado/web.py", "handler"),
    ("web/", "handler"),
    ("asyncio/", "event loop"),
    ("tornado/platform", "event loop"),
    ("tornado/ioloop.py", "event loop"),
    ("selectors.py", "event loop"),
)


def step_of(stack: str, rules: Iterable[tuple[str, str]] = RULES) -> str:
    """The step of a stack, innermost frame first; empty for what measuring itself takes."""
    for place in stack.split(";"):
        for part, step in rules:
            if part in place:
                return step
    return OTHER


def count(lines: Iterable[str]) -> Counter[str]:
    """Samples by step, of lines `count stack`."""
    found: Counter[str] = Counter()
    for line in lines:
        number, _, stack = line.rstrip("\n").partition(" ")
        step = step_of(stack)
        if step:
            found[step] += int(number)
    return found


def steps(contestants: Contestants, pace: Pace) -> dict[str, dict[str, float]]:
    """Microseconds of CPU a request, by kind of process and step.

    The totals are measured without sampling; the web process's is divided as its samples are.
    """
    with contestants.running(OURS_ONE) as servers:
        server = servers[OURS_ONE]
        rendered = evaluate(server, SMALL)
        for seconds in (SETTLING, max(2.0, pace.seconds)):
            whole = hammer(server, rendered, right_small, CONNECTIONS, seconds)
    found = _sampled(contestants, pace)
    total = sum(found.values())
    cost = whole["cpu web process"]
    web = {step: cost * samples / total for step, samples in found.most_common()}
    return {"web process": web, "worker": worker(whole["cpu worker"])}


def _sampled(contestants: Contestants, pace: Pace) -> Counter[str]:
    with tempfile.TemporaryDirectory(prefix="bench-samples-") as name:
        sampled = replace(
            contestants.all[OURS_ONE],
            settings={
                **contestants.all[OURS_ONE].settings,
                "PYTHONPATH": SAMPLING,
                "BENCHMARK_SAMPLES": name,
            },
        )
        again = replace(contestants, all={OURS_ONE: sampled})
        with again.running(OURS_ONE) as servers:
            server = servers[OURS_ONE]
            rendered = evaluate(server, SMALL)
            hammer(server, rendered, right_small, CONNECTIONS, SETTLING)
            before = _samples(Path(name))
            stream = Stream(rendered, right_small, CONNECTIONS)
            run(server.address, [stream], max(4.0, pace.seconds))
            return _samples(Path(name)) - before


def _samples(folder: Path) -> Counter[str]:
    found: Counter[str] = Counter()
    for each in folder.iterdir():
        found += count(each.read_text().splitlines())
    return found


def worker(whole: float, times: int = 5000) -> dict[str, float]:
    """Microseconds of CPU a request by step; `whole` is what one takes a worker in a real server.

    The steps are timed in this process, so what is left of `whole` is what the others don't see.
    """
    body = orjson.dumps(SMALL)
    models = Models(_no_function, {})
    space: dict[str, Callable[..., object]] = {}
    exec("def script(_arg1):\n " + str(SMALL["script"]), space)
    parse = _timed(lambda: json_codec.loads(body), times)
    call = _timed(lambda: space["script"]([41.5]), times)
    encode = _timed(lambda: results.encode([42.5]), times)
    evaluated = _timed(lambda: script.evaluate(body, models), times)
    return {
        "parse the JSON": parse,
        "find the compiled script, make its variables": max(0.0, evaluated - parse - call - encode),
        "call it": call,
        "encode the result": encode,
        "frames, clean-up and waiting for the next job": max(0.0, whole - evaluated),
    }


def _no_function(name: str, damaged: str = "") -> NoReturn:
    raise LookupError(name)


def _timed(action: Callable[[], object], times: int) -> float:
    start = time.process_time()
    for _ in range(times):
        action()
    return 1e6 * (time.process_time() - start) / times
