"""A load generator of one process and one selector.

It shares a small machine with the servers it measures, so it does nothing a reply doesn't need: see
`connection` for the sockets, and `answers` there for checks that parse a body only once.
"""

import selectors
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from benchmarks.connection import PATIENCE, Address, Check, Connection, WrongReply


@dataclass
class Stream:
    """One kind of request, repeated on so many connections.

    `every` paces each connection, in seconds; 0 sends the next request as soon as the reply has
    come. `latencies` are in seconds. A paced request's counts from when it was due, so that a
    server that stalls is charged for each request it held up, not only for the one it had.
    `prime` is sent on the connections already open while the next one is being opened: a web
    process that is at work leaves it to an idle one, so that all get their share.
    """

    request: bytes
    check: Check
    connections: int
    every: float = 0.0
    prime: bytes = b""
    latencies: list[float] = field(default_factory=list)


class _Lane:
    """One connection of a stream, when its next request is due and when its last one began."""

    def __init__(self, stream: Stream, connection: Connection, start: float) -> None:
        self.stream = stream
        self.connection = connection
        self.connection.socket.setblocking(False)
        self.due = start
        self.began = start
        self.waiting = False


def run(
    address: Address, streams: Iterable[Stream], seconds: float, *, abandon: bool = False
) -> float:
    """Drive all streams at once for so long; the exact seconds taken.

    Requests on their way at the end are awaited, since a server may kill what works for a client
    that has gone, unless `abandon` says not to. They aren't counted, but for a paced one with the
    age it had got to.
    Raises WrongReply at the first reply that isn't what its stream's check wants.
    """
    opened = [(stream, _open(address, stream)) for stream in streams]
    selector = selectors.DefaultSelector()
    lanes: list[_Lane] = []
    start = time.perf_counter()
    try:
        for stream, connections in opened:
            for number, connection in enumerate(connections):
                # Paced connections take turns instead of all sending at the same moment.
                turn = stream.every * number / len(connections)
                lane = _Lane(stream, connection, start + turn)
                lanes.append(lane)
                selector.register(connection.socket, selectors.EVENT_READ, lane)
        taken = _drive(selector, lanes, seconds)
        for lane in lanes:
            if lane.waiting and not abandon:
                lane.connection.socket.settimeout(PATIENCE)
                lane.stream.check(lane.connection.finish())
        return taken
    finally:
        selector.close()
        for lane in lanes:
            lane.connection.close()


def _open(address: Address, stream: Stream) -> list[Connection]:
    opened: list[Connection] = []
    for _ in range(stream.connections):
        at_work = opened if stream.prime else []
        for connection in at_work:
            connection.begin(stream.prime)
        fresh = Connection(address)
        for connection in at_work:
            connection.finish()
        opened.append(fresh)
    return opened


def _drive(selector: selectors.BaseSelector, lanes: list[_Lane], seconds: float) -> float:
    start = now = heard = time.perf_counter()
    while now < start + seconds:
        next_due = start + seconds
        for lane in lanes:
            if lane.waiting:
                continue
            if lane.due <= now:
                _send(selector, lane)
            else:
                next_due = min(next_due, lane.due)
        for key, events in selector.select(max(0.0, next_due - now)):
            heard = time.perf_counter()
            if events & selectors.EVENT_WRITE:
                if key.data.connection.send_some():
                    selector.modify(key.fileobj, selectors.EVENT_READ, key.data)
            else:
                _receive(key.data)
        now = time.perf_counter()
        if now > heard + PATIENCE:
            raise WrongReply(f"no byte of a reply in {PATIENCE:.0f} s")
    for lane in lanes:
        if lane.waiting and lane.stream.every:
            lane.stream.latencies.append(now - lane.began)
    return now - start


def _send(selector: selectors.BaseSelector, lane: _Lane) -> None:
    lane.waiting = True
    lane.began = lane.due if lane.stream.every else time.perf_counter()
    if not lane.connection.begin(lane.stream.request):
        both = selectors.EVENT_READ | selectors.EVENT_WRITE
        selector.modify(lane.connection.socket, both, lane)


def _receive(lane: _Lane) -> None:
    reply = lane.connection.receive_some()
    if reply is None:
        return
    now = time.perf_counter()
    lane.stream.check(reply)
    lane.stream.latencies.append(now - lane.began)
    lane.waiting = False
    lane.due = lane.began + lane.stream.every if lane.stream.every else now
