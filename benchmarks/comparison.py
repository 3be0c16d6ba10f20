"""The figures of the comparison: ours, both peers, the bare handler and the in-process limit.

A figure takes the contestants and how long to measure, and gives lines.
"""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson

from benchmarks.connection import Check, WrongReply, answers, request
from benchmarks.contestants import BARE, FASTAPI, LIMIT, OURS, OURS_ONE, TABPY, Contestants
from benchmarks.endpoints import COLUMNS, NAME, SUM, deployed
from benchmarks.lines import Line, Target, in_turn, line
from benchmarks.load import Stream, run
from benchmarks.measure import (
    FIRST,
    evaluate,
    first_right,
    hammer,
    info_is_right,
    once,
    percentiles,
    settle,
)
from benchmarks.report import Sample
from benchmarks.servers import Server

CROWDS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
BEYOND = 8  # connections, from which on the rate has to hold
MILLION, MIXED_ROWS = 1_000_000, 200_000
STREAMED_MB, STREAMS = 20, 4
INFO_EVERY = 0.05  # seconds, on each of 4 connections
BUSY = "import time\nend = time.monotonic() + 1\nwhile time.monotonic() < end:\n    pass\nreturn 1"
MIXED = "return [[a, b, c, d, e] for a, b, c, d, e in zip(_arg1, _arg2, _arg3, _arg4, _arg5)]"


@dataclass(frozen=True)
class Pace:
    """How many rounds, and how many seconds each."""

    rounds: int
    seconds: float


Figure = Callable[[Contestants, Pace], list[Line]]
right_small = answers(lambda reply: reply == [42.5])


def small(contestants: Contestants, pace: Pace) -> list[Line]:
    payload = {"script": "return [x + 1 for x in _arg1]", "data": {"_arg1": [41.5]}}
    with contestants.running(OURS_ONE, OURS, TABPY, FASTAPI, BARE) as servers:

        def many(name: str) -> Sample:
            rendered = evaluate(servers[name], _for(name, payload, "/add"))
            return hammer(servers[name], rendered, right_small, 8, pace.seconds)

        def one(name: str) -> Sample:
            rendered = evaluate(servers[name], _for(name, payload, "/add"))
            return hammer(servers[name], rendered, right_small, 1, pace.seconds)

        crowd = in_turn(servers, pace.rounds, many, rehearsed=True)
        alone = in_turn(servers, pace.rounds, one)
    limit = in_turn({LIMIT: None}, pace.rounds, lambda _: _in_process(payload))
    rate = [
        Target(OURS_ONE, BARE, times=1.6),
        Target(OURS, TABPY, times=55),
        Target(OURS, FASTAPI, times=8),
    ]
    what = "small /evaluate"
    return [
        line(f"{what}, 8 connections", "/s", crowd | limit, "rate", rate),
        line(
            f"{what}, CPU of the web process",
            "us",
            crowd,
            "cpu web process",
            [Target(OURS_ONE, BARE, times=2)],
        ),
        line(f"{what}, CPU of the workers", "us", crowd, "cpu worker"),
        line(f"{what}, CPU of the fork server", "us", crowd, "cpu fork server"),
        line(f"{what}, 8 connections, p99", "ms", crowd, "p99"),
        line(
            f"{what}, 1 connection, p50", "ms", alone, "p50", [Target(OURS_ONE, BARE, times=1.25)]
        ),
    ]


def functions(contestants: Contestants, pace: Pace) -> list[Line]:
    script = f"return tabpy.query('{NAME}', _arg1, _arg2)['response']"
    called = {"data": {"x": COLUMNS["_arg1"], "y": COLUMNS["_arg2"]}}
    right_script = answers(lambda reply: reply == SUM)
    right_query = answers(lambda reply: isinstance(reply, dict) and reply["response"] == SUM)
    with contestants.running(OURS, TABPY) as servers:
        for server in servers.values():
            deployed(server, contestants.tabpy.commands, 1)

        def by_script(name: str) -> Sample:
            rendered = evaluate(servers[name], {"script": script, "data": COLUMNS})
            return hammer(servers[name], rendered, right_script, 8, pace.seconds)

        def by_route(name: str) -> Sample:
            authorization = servers[name].authorization
            rendered = request("POST", f"/query/{NAME}", authorization, called)
            return hammer(servers[name], rendered, right_query, 8, pace.seconds)

        scripts = in_turn(servers, pace.rounds, by_script, rehearsed=True)
        routes = in_turn(servers, pace.rounds, by_route, rehearsed=True)
    return [
        line("/evaluate with tabpy.query", "/s", scripts, "rate", [Target(OURS, TABPY, times=90)]),
        line("... CPU of the web processes", "us", scripts, "cpu web process"),
        line("... CPU of the workers", "us", scripts, "cpu worker"),
        line("/query/NAME", "/s", routes, "rate", [Target(OURS, TABPY, times=50)]),
        line("... CPU of the web processes", "us", routes, "cpu web process"),
        line("... CPU of the workers", "us", routes, "cpu worker"),
    ]


def large(contestants: Contestants, pace: Pace) -> list[Line]:
    source = random.Random(0)
    values = [source.uniform(-1000, 1000) for _ in range(MILLION)]
    doubled = [value * 2 for value in values]
    doubling = {"script": "return [x * 2 for x in _arg1]", "data": {"_arg1": values}}
    columns: list[list[object]] = [
        [source.uniform(0, 1) for _ in range(MIXED_ROWS)],
        [source.randrange(10**6) for _ in range(MIXED_ROWS)],
        [f"customer {number % 5000}" for number in range(MIXED_ROWS)],
        [number % 3 == 0 for number in range(MIXED_ROWS)],
        [None if number % 7 == 0 else number / 2 for number in range(MIXED_ROWS)],
    ]
    rows = [list(each) for each in zip(*columns, strict=True)]
    mixing = {"script": MIXED, "data": {f"_arg{n}": each for n, each in enumerate(columns, 1)}}
    with contestants.running(OURS, TABPY, FASTAPI) as servers:

        def double(name: str) -> Sample:
            return _once(servers[name], _for(name, doubling, "/double"), doubled)

        def mix(name: str) -> Sample:
            return _once(servers[name], mixing, rows)

        floats = in_turn(servers, pace.rounds, double)
        without_fastapi = {name: each for name, each in servers.items() if name != FASTAPI}
        mixed = in_turn(without_fastapi, pace.rounds, mix)
    floats |= in_turn({LIMIT: None}, pace.rounds, lambda _: _in_process(doubling, 1))
    mixed |= in_turn({LIMIT: None}, pace.rounds, lambda _: _in_process(mixing, 1))
    return [
        line("1 M floats doubled", "s", floats, "seconds", [Target(OURS, TABPY, times=5.5)]),
        line(
            "200,000 rows of 5 mixed columns",
            "s",
            mixed,
            "seconds",
            [Target(OURS, TABPY, times=2.6)],
        ),
    ]


def crowds(contestants: Contestants, pace: Pace) -> list[Line]:
    lines: list[Line] = []
    rates: dict[int, Line] = {}
    with contestants.running(OURS, BARE) as servers:
        for connections in CROWDS:

            def measure(name: str, connections: int = connections) -> Sample:
                payload = {"script": "return [x + 1 for x in _arg1]", "data": {"_arg1": [41.5]}}
                rendered = evaluate(servers[name], payload)
                return hammer(servers[name], rendered, right_small, connections, pace.seconds)

            first = connections == CROWDS[0]
            sides = in_turn(servers, max(1, pace.rounds - 1), measure, rehearsed=first)
            rates[connections] = line(f"{connections} connections", "/s", sides, "rate")
            lines.append(rates[connections])
    beyond = [each for connections, each in rates.items() if connections >= BEYOND]
    lowest = [lowest_of_best(beyond, OURS)]
    troubles = {name: text for each in beyond for name, text in each.troubles.items()}
    return [
        *lines,
        Line(
            "lowest rate of the best, 8 to 256 connections",
            "/1",
            {OURS: [value for value in lowest if value is not None]},
            [Target(OURS, at_least=0.85)],
            troubles,
        ),
    ]


def lowest_of_best(lines: list[Line], name: str) -> float | None:
    """The lowest median as a part of the highest; None when one of them is missing."""
    medians = [each.median(name) for each in lines]
    known = [value for value in medians if value is not None]
    return min(known) / max(known) if known and len(known) == len(medians) else None


def looks(contestants: Contestants, pace: Pace) -> list[Line]:
    """How long `/info` takes beside long scripts and beside large bodies; a server at a time."""
    floats = [0.5] * (STREAMED_MB * 1_000_000 // 5)  # "0.5, " each
    body = {"script": "return len(_arg1)", "data": {"_arg1": floats}}
    counted = answers(lambda reply: reply == len(floats))

    def beside(name: str, payload: object, check: Check, connections: int) -> Sample:
        with contestants.running(name) as servers:
            server = servers[name]
            first_right(server)
            settle(server)
            prime = evaluate(server, FIRST)
            work = Stream(evaluate(server, payload), check, connections, prime=prime)
            info = request("GET", "/info", server.authorization)
            infos = Stream(info, info_is_right, 4, every=INFO_EVERY, prime=prime)
            run(server.address, [work, infos], max(4.0, pace.seconds), abandon=True)
        return percentiles(infos.latencies)

    names: Mapping[str, object] = {OURS: None, TABPY: None}
    ones = answers(lambda reply: reply == 1)
    busy = in_turn(
        names, pace.rounds, lambda name: beside(name, {"script": BUSY, "data": {}}, ones, 16)
    )
    streams = in_turn(names, pace.rounds, lambda name: beside(name, body, counted, STREAMS))
    return [
        line("/info, p99, all workers busy", "ms", busy, "p99", [Target(OURS, at_most=15)]),
        line(
            f"/info, p99, {STREAMED_MB} MB bodies stream in",
            "ms",
            streams,
            "p99",
            [Target(OURS, at_most=30)],
        ),
    ]


def _for(name: str, payload: Mapping[str, object], route: str) -> Mapping[str, object]:
    """fastapitableau has routes in place of scripts."""
    return {**payload, "script": route} if name == FASTAPI else payload


def _once(server: Server, payload: object, wanted: object) -> Sample:
    rendered = evaluate(server, payload)
    server.wait_until(request("GET", "/info", server.authorization), info_is_right)
    start = time.perf_counter()
    reply = once(server, rendered)
    seconds = time.perf_counter() - start
    if reply.status != 200 or orjson.loads(reply.body) != wanted:
        raise WrongReply(f"{reply.status} {reply.body[:300]!r}")
    return {"seconds": seconds}


def _in_process(payload: Mapping[str, object], times: int = 5000) -> Sample:
    """JSON, the script, JSON, without a server: what no server can undercut."""
    body = orjson.dumps(payload)
    names = list(orjson.loads(body)["data"])
    text = str(payload["script"]).replace("\n", "\n ")
    space: dict[str, Callable[..., object]] = {}
    exec(f"def script({', '.join(names)}):\n {text}", space)
    start = time.perf_counter()
    for _ in range(times):
        orjson.dumps(space["script"](**orjson.loads(body)["data"]))
    seconds = (time.perf_counter() - start) / times
    return {"seconds": seconds, "rate": 1 / seconds}
