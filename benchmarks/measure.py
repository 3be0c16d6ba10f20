"""What several figures share: the pair of servers, requests, and one round of load."""

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psutil

from benchmarks import cpu
from benchmarks.connection import Check, Connection, Reply, WrongReply, answers, request
from benchmarks.load import Stream, run
from benchmarks.report import Sample, Unmeasured
from benchmarks.servers import Kind, Server, running

CONNECTIONS = 8
MEGABYTE = 1e6
WARM_UP = 0.5  # seconds
ROUND = 2.0
REST = 0.5  # seconds
AT_REST = 0.1  # of a processor, that a server may take that does nothing
SETTLE_LIMIT = 30.0  # seconds

FIRST = {"script": "return [x + 1 for x in _arg1]", "data": {"_arg1": [1]}}
first_is_right = answers(lambda reply: reply == [2])
info_is_right = answers(lambda reply: isinstance(reply, dict) and "v1" in reply["versions"])


@contextmanager
def pair(ours: Kind, peer: Kind) -> Iterator[tuple[Server, Server]]:
    with running(ours) as our_server, running(peer) as peer_server:
        yield our_server, peer_server


def evaluate(server: Server, payload: object) -> bytes:
    return request("POST", "/evaluate", server.authorization, payload)


def first_right(server: Server) -> float:
    """Wait for a right answer to a small script; seconds since the server's start."""
    return server.wait_until(evaluate(server, FIRST), first_is_right)


def settle(server: Server) -> None:
    """Wait until a server has done what it still does after its first answer, such as importing
    what scripts use: `start` is about that time, and other figures aren't."""
    deadline = time.monotonic() + SETTLE_LIMIT
    while time.monotonic() < deadline:
        before = cpu.seconds_of(server.tree())
        time.sleep(REST)
        if sum(cpu.between(before, cpu.seconds_of(server.tree())).values()) < REST * AT_REST:
            return
    raise WrongReply(f"{server.kind.name} doesn't come to rest in {SETTLE_LIMIT:g} s")


def once(server: Server, rendered: bytes) -> Reply:
    """One request on a connection of its own."""
    connection = Connection(server.address)
    try:
        return connection.ask(rendered)
    finally:
        connection.close()


def hammer(
    server: Server,
    rendered: bytes,
    check: Check,
    connections: int = CONNECTIONS,
    duration: float = ROUND,
) -> Sample:
    """One round of one request on all connections: rate in /s, p50 and p99 in milliseconds, and
    the microseconds of CPU a request that each kind of process took, and the generator itself."""
    server.wait_until(rendered, check)
    run(server.address, [Stream(rendered, check, connections)], WARM_UP)
    stream = Stream(rendered, check, connections)
    before = cpu.seconds_of(server.tree())
    own = time.process_time()
    seconds = run(server.address, [stream], duration)
    own = time.process_time() - own
    requests = len(stream.latencies)
    taken = cpu.between(before, cpu.seconds_of(server.tree()))
    taken["load generator"] = own
    sample = {f"cpu {kind}": 1e6 * spent / requests for kind, spent in taken.items()}
    return {"rate": requests / seconds} | percentiles(stream.latencies) | sample


def percentiles(latencies: Sequence[float]) -> dict[str, float]:
    """p50 and p99, in milliseconds, of latencies in seconds."""
    if len(latencies) < 2:
        raise WrongReply(f"only {len(latencies)} replies came: nothing to take a median of")
    cuts = statistics.quantiles(latencies, n=100, method="inclusive")
    return {"p50": cuts[49] * 1e3, "p99": cuts[98] * 1e3}


def memory_of(processes: Sequence[psutil.Process]) -> float:
    """MB that these processes take together, what they share counted once (PSS).

    Raises Unmeasured where their memory may not be looked at.
    """
    return sum(map(_pss, processes)) / MEGABYTE


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.NoSuchProcess:  # ended since it was listed
        return 0
    except psutil.AccessDenied:
        raise Unmeasured("needs root") from None
