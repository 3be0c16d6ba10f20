"""Scripts on a Ray cluster of two nodes on this machine, against our own workers."""

import importlib.util
import time
from contextlib import ExitStack

from benchmarks.connection import Connection, answers
from benchmarks.measure import evaluate, first_right, percentiles
from benchmarks.report import Goal, Row, Sample, Unmeasured, alternate, row
from benchmarks.servers import Kind, Server, running
from tests.ray.cluster import running_cluster

ROUNDS = 5
CALLS = 500
WARM_UP = 100
PAYLOAD = {"script": "return [x + 1 for x in _arg1]", "data": {"_arg1": [41.5]}}
IS_RIGHT = answers(lambda reply: reply == [42.5])


def ray_cluster(ours: Kind, _: Kind) -> list[Row]:
    """Ours only: one call at a time, on the cluster, where the other figures have ours, and on this
    machine's workers, where they have TabPy's."""
    with ExitStack() as stack:
        servers: tuple[Server | None, Server | None] = (None, None)
        if importlib.util.find_spec("ray") is not None:
            cluster = stack.enter_context(running_cluster())
            settings = {"WEB_CONCURRENCY": "1", "TABPY_WORKERS": "2"}
            elsewhere = stack.enter_context(running(ours, {**settings, **cluster.settings}))
            servers = elsewhere, stack.enter_context(running(ours, settings))
        sides = alternate(*servers, ROUNDS, lambda server: _calls(server, servers[1]))
    return [
        row("one call after the other, p50, Ray; local", "ms", sides, "p50"),
        row("the same, over the local one", "ms", sides, "over", Goal(at_most=1.0)),
    ]


def _calls(server: Server | None, local: Server | None) -> Sample:
    if server is None or local is None:
        raise Unmeasured("no Ray")
    here, there = _latencies(local), _latencies(server)
    return {"p50": there["p50"], "over": there["p50"] - here["p50"]}


def _latencies(server: Server) -> Sample:
    first_right(server)
    rendered = evaluate(server, PAYLOAD)
    connection = Connection(server.address)
    try:
        latencies = []
        for _ in range(WARM_UP + CALLS):
            begun = time.perf_counter()
            reply = connection.ask(rendered)
            latencies.append(time.perf_counter() - begun)
            IS_RIGHT(reply)
    finally:
        connection.close()
    return percentiles(latencies[WARM_UP:])
