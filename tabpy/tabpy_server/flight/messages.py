"""What web processes ask the flight process, and how it answers.

All web processes share one socket. A question is a message with descriptors: first that of the
socket on which the answer is to come, then a table's, if one comes with it. The shared socket
belongs to the arbiter: a flight process that is started anew finds the questions that came in
between, and one that dies closes the sockets for its answers.
"""

import socket
from typing import NamedTuple

import orjson

LIMIT = 1 << 16  # bytes of a message
GET = "get"  # give the table that has this path, and keep it
EXCHANGE = "exchange"  # keep the table that came with it, if one did, in place of that one
ASKS = GET, EXCHANGE


class Question(NamedTuple):
    """`owner`: the user; `path`: of the table that the question is about."""

    ask: str
    owner: str
    path: str


class Answer(NamedTuple):
    """`path`: of the table that is kept now, "" for none. `error`: the class of a TabPyError, ""
    if it went well, and `facts`, its arguments."""

    path: str = ""
    error: str = ""
    facts: tuple[str, ...] = ()


def send(to: socket.socket, message: Question | Answer, *descriptors: int) -> None:
    """Send a message and descriptors. Raises OSError."""
    socket.send_fds(to, [orjson.dumps(tuple(message))], descriptors)


def receive(source: socket.socket) -> tuple[list[object], list[int]]:
    """Return a message's fields, empty at the end, and the descriptors that came with it, which
    are the caller's to close. Raises OSError, BlockingIOError among them."""
    data, descriptors, _, _ = socket.recv_fds(source, LIMIT, 2, socket.MSG_CMSG_CLOEXEC)
    return orjson.loads(data) if data else [], descriptors
