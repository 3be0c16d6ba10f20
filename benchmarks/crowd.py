"""What a crowd costs a good client: a thousand connections that do nothing, a thousand slow ones.

Ours alone: TabPy has no limit to either.
"""

import itertools
import multiprocessing
import selectors
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.synchronize import Event

from benchmarks.connection import Address, Connection, WrongReply, request
from benchmarks.load import Stream, run
from benchmarks.measure import FIRST, evaluate, first_is_right, first_right, percentiles
from benchmarks.report import Goal, Row, Sample, alternate
from benchmarks.servers import Kind, Server, running

ROUNDS = 5
SECONDS = 4.0
GOOD, EVERY = 8, 0.05  # connections, and seconds between two requests on each: far from any limit
SETTLE = (
    3.0  # seconds for what begins: the imports of the first workers, a crowd that comes or goes
)
IDLE = SLOW = 1000
BYTE_EVERY = 1.0  # seconds between two bytes on a slow connection
GATHERING = 60.0  # seconds for the crowd to be there


def crowd(ours: Kind, _: Kind) -> list[Row]:
    with running(ours) as server:
        first_right(server)

        def measure(crowded: bool) -> Sample:
            if not crowded:
                return _good(server)
            with _crowd_at(server):
                return _good(server)

        alone, beside = alternate(False, True, ROUNDS, measure)
    p99, times, trouble = alone.median("p99"), None, f"{alone.trouble} {beside.trouble}".strip()
    if p99 is not None and (crowded_p99 := beside.median("p99")) is not None:
        times = crowded_p99 / p99
    goal = Goal(at_most=2)
    return [
        _row("/evaluate, p99, with room", "ms", p99, trouble),
        _row("... times as long in a crowd", "", times, trouble, goal),
    ]


def _row(
    figure: str, unit: str, value: float | None, trouble: str, goal: Goal | None = None
) -> Row:
    met = goal.met(value, None) if goal else None
    failed = bool(trouble)
    return Row(figure, unit, value, None, None, str(goal or ""), met, trouble, "", failed, False)


def _good(server: Server) -> Sample:
    rendered = evaluate(server, FIRST)
    for seconds in (SETTLE, SECONDS):
        stream = Stream(rendered, first_is_right, GOOD, every=EVERY, prime=rendered)
        run(server.address, [stream], seconds)
    return percentiles(stream.latencies)


@contextmanager
def _crowd_at(server: Server) -> Iterator[None]:
    """Have it there, made by another process: the load generator has its own clock to keep."""
    there, leave = multiprocessing.Event(), multiprocessing.Event()
    head = f"POST /evaluate HTTP/1.1\r\nHost: x\r\nAuthorization: {server.authorization}\r\n"
    slow = f"{head}Content-Length: 1000000\r\n\r\n".encode()
    idle = request("GET", "/healthz", server.authorization)
    process = multiprocessing.Process(
        target=_stand_around, args=(server.address, idle, slow, there, leave)
    )
    process.start()
    try:
        if not there.wait(GATHERING):
            raise TimeoutError(f"the crowd wasn't there within {GATHERING:.0f} s")
        yield
    finally:
        leave.set()
        process.join()


def _stand_around(address: Address, idle: bytes, slow: bytes, there: Event, leave: Event) -> None:
    """Keep the connections open, and the slow ones slow; what the server closes comes again."""
    selector = selectors.DefaultSelector()
    slow_ones: list[Connection] = []

    def join(is_slow: bool) -> None:
        connection = Connection(address)
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        with suppress(OSError, WrongReply):  # closed already, as is seen below
            if is_slow:
                slow_ones.append(connection)
                connection.begin(slow)
            else:
                connection.ask(idle)

    for number in range(IDLE + SLOW):
        join(number % 2 == 0)
    there.set()
    for place in itertools.count():
        if leave.is_set():
            return
        for key, _ in selector.select(BYTE_EVERY / SLOW):
            selector.unregister(key.fileobj)
            key.data.close()
            if was_slow := key.data in slow_ones:
                slow_ones.remove(key.data)
            join(was_slow)
        with suppress(OSError):
            slow_ones[place % SLOW].begin(b" ")
