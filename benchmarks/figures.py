"""The figures about scripts: what is asked of both servers, and the goals they are held to.

A figure takes the two kinds of server and gives rows. Each starts servers of its own, so none sees
what another left behind.
"""

import random
import time

from benchmarks.connection import WrongReply, answers, request
from benchmarks.load import Stream, run
from benchmarks.measure import (
    FIRST,
    evaluate,
    first_right,
    hammer,
    info_is_right,
    once,
    pair,
    percentiles,
    settle,
)
from benchmarks.report import Goal, Row, Sample, alternate, row
from benchmarks.servers import Kind, Server, running

ROUNDS = 5
MILLION = 1_000_000
BUSY_SECONDS = 8.0
BUSY_CONNECTIONS = 16  # several for each worker, however the web processes share them out
INFO_EVERY = 0.05  # seconds, on each of 4 connections: 80 /info a second, far from any limit

LONG_SCRIPT = """\
import os, time
end = time.monotonic() + 2
while time.monotonic() < end:
    pass
return [os.getpid(), os.getppid()]
"""
PANDAS_SCRIPT = "import pandas as pd\nreturn pd.Series(_arg1).cumsum().tolist()"


def small(ours: Kind, peer: Kind) -> list[Row]:
    right = answers(lambda reply: reply == [42.5])
    payload = {"script": "return [x + 1 for x in _arg1]", "data": {"_arg1": [41.5]}}
    with pair(ours, peer) as servers:
        sides = alternate(
            *servers, ROUNDS, lambda server: hammer(server, evaluate(server, payload), right)
        )
    return [
        row("small /evaluate", "/s", sides, "rate", Goal(times=20)),
        row("small /evaluate, p50", "ms", sides, "p50"),
        row("small /evaluate, p99", "ms", sides, "p99"),
    ]


def info(ours: Kind, peer: Kind) -> list[Row]:
    with pair(ours, peer) as servers:
        sides = alternate(
            *servers, ROUNDS, lambda server: hammer(server, _info(server), info_is_right)
        )
    return [
        row("/info", "/s", sides, "rate"),
        row("/info, p50", "ms", sides, "p50"),
        row("/info, p99", "ms", sides, "p99"),
    ]


def million(ours: Kind, peer: Kind) -> list[Row]:
    source = random.Random(0)
    values = [source.uniform(-1000, 1000) for _ in range(MILLION)]
    doubled = [value * 2 for value in values]
    right = answers(lambda reply: reply == doubled)
    payload = {"script": "return [x * 2 for x in _arg1]", "data": {"_arg1": values}}

    def measure(server: Server) -> Sample:
        first_right(server)
        rendered = evaluate(server, payload)
        start = time.perf_counter()
        reply = once(server, rendered)
        seconds = time.perf_counter() - start
        right(reply)
        return {"seconds": seconds}

    with pair(ours, peer) as servers:
        sides = alternate(*servers, ROUNDS, measure)
    return [row("a million floats doubled", "s", sides, "seconds", Goal(times=5.5))]


def busy(ours: Kind, peer: Kind) -> list[Row]:
    """Only one server runs at a time here: the other's scripts would take the processor."""

    def measure(kind: Kind) -> Sample:
        ran: set[tuple[int, int]] = set()

        def long_is_right(reply: object) -> bool:
            if not (isinstance(reply, list) and len(reply) == 2):
                return False
            ran.add((reply[0], reply[1]))
            return True

        with running(kind) as server:
            first_right(server)
            settle(server)
            payload = {"script": LONG_SCRIPT, "data": {}}
            prime = evaluate(server, FIRST)
            long = evaluate(server, payload)
            scripts = Stream(long, answers(long_is_right), BUSY_CONNECTIONS, prime=prime)
            infos = Stream(_info(server), info_is_right, 4, every=INFO_EVERY, prime=prime)
            run(server.address, [scripts, infos], BUSY_SECONDS, abandon=True)
        if not ran:
            raise WrongReply(f"no long script ended in {BUSY_SECONDS:g} s")
        workers = float(len(ran))
        return {"workers": workers} | percentiles(infos.latencies)

    sides = alternate(ours, peer, 2, measure)
    return [
        row("/info, p99, all workers busy", "ms", sides, "p99", Goal(at_most=50)),
        row("... processes that ran scripts", "", sides, "workers"),
    ]


def _info(server: Server) -> bytes:
    return request("GET", "/info", server.authorization)
