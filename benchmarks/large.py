"""The figures about large bodies, beside `million`."""

import random
import time

from benchmarks.connection import answers, request
from benchmarks.figures import ROUNDS
from benchmarks.load import Stream, run
from benchmarks.measure import evaluate, first_right, info_is_right, once, pair, percentiles
from benchmarks.report import Goal, Row, Sample, alternate, row
from benchmarks.servers import Kind, Server, running

ROWS = 200_000
STREAMED = 1_000_000  # floats of a body: 20 MB
STREAM_SECONDS = 8.0
INFO_EVERY = 0.05  # seconds, on each of 4 connections
SUMS = "return [a + b for a, b in zip(_arg1, _arg2)]"


def mixed(ours: Kind, peer: Kind) -> list[Row]:
    source = random.Random(0)
    columns = (
        [source.randrange(10**5) for _ in range(ROWS)],
        [source.uniform(0, 1000) for _ in range(ROWS)],
        [f"Customer {source.randrange(5000)}" for _ in range(ROWS)],
        [source.random() < 0.5 for _ in range(ROWS)],
        [None if source.random() < 0.1 else f"2024-0{source.randint(1, 9)}" for _ in range(ROWS)],
    )
    data = {f"_arg{number}": column for number, column in enumerate(columns, 1)}
    sums = [a + b for a, b in zip(columns[0], columns[1], strict=True)]
    right = answers(lambda reply: reply == sums)

    def measure(server: Server) -> Sample:
        first_right(server)
        rendered = evaluate(server, {"script": SUMS, "data": data})
        start = time.perf_counter()
        reply = once(server, rendered)
        seconds = time.perf_counter() - start
        right(reply)
        return {"seconds": seconds}

    with pair(ours, peer) as servers:
        sides = alternate(*servers, ROUNDS, measure)
    return [row("200,000 rows of five columns", "s", sides, "seconds", Goal(times=2.6))]


def streaming(ours: Kind, peer: Kind) -> list[Row]:
    """Only one server runs at a time here: the other's work would take the processor."""
    source = random.Random(0)
    values = [source.uniform(-1000, 1000) for _ in range(STREAMED)]
    payload = {"script": "return len(_arg1)", "data": {"_arg1": values}}

    def measure(kind: Kind) -> Sample:
        with running(kind) as server:
            first_right(server)
            bodies = Stream(evaluate(server, payload), answers(lambda reply: reply == STREAMED), 2)
            asks = request("GET", "/info", server.authorization)
            infos = Stream(asks, info_is_right, 4, every=INFO_EVERY)
            run(server.address, [bodies, infos], STREAM_SECONDS)
        return {"bodies": len(bodies.latencies) / STREAM_SECONDS} | percentiles(infos.latencies)

    sides = alternate(ours, peer, 2, measure)
    return [
        row("/info, p99, while 20 MB bodies come", "ms", sides, "p99", Goal(at_most=30)),
        row("... bodies", "/s", sides, "bodies"),
    ]
