"""What is to be sent to a client, and waits until the client takes it."""

import asyncio
from collections import deque
from collections.abc import Callable

from tornado.iostream import StreamClosedError

PIECE = 1 << 17  # bytes, to encrypt and to copy at a time
PIECES_A_TURN = 16  # so that a client as quick as we are leaves others a turn

Encode = Callable[[bytes | memoryview], bytes | memoryview]


class Outgoing:
    """Hands pieces to a transport, the next one when the last one is gone."""

    def __init__(self, transport: asyncio.Transport, encode: Encode) -> None:
        """`encode` makes of a piece what is sent for it."""
        transport.set_write_buffer_limits(0)  # so we hear of the last byte
        self._transport = transport
        self._encode = encode
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[memoryview] = deque()
        self._is_paused = False  # the transport has something left
        self.sent = self._loop.create_future()  # all so far; fails if the client goes
        self.sent.set_result(None)
        self.moved = 0  # bytes handed to the transport

    @property
    def is_empty(self) -> bool:
        """Tell whether the system has taken all of it."""
        return not self._waiting and not self._is_paused

    @property
    def taken(self) -> int:
        """Return how many bytes the system has taken so far."""
        return self.moved - self._transport.get_write_buffer_size()

    def write(self, *parts: bytes | memoryview) -> "asyncio.Future[None]":
        """Send `parts`, and return `sent`."""
        if self.is_empty and sum(map(len, parts)) <= PIECE:
            self._hand_over(b"".join(parts))
        else:
            self._waiting.extend(memoryview(part) for part in parts if part)
            self._pump()
        if not self.is_empty and self.sent.done():
            self.sent = self._loop.create_future()
        return self.sent

    def pause(self) -> None:
        """Note that the transport has enough."""
        self._is_paused = True

    def resume(self) -> None:
        """Note that the transport has handed on all it had."""
        self._is_paused = False
        self._pump()

    def drop(self) -> None:
        """Forget what waits: the client has gone."""
        self._waiting.clear()
        if not self.sent.done():
            self.sent.set_exception(StreamClosedError())
            self.sent.exception()  # nobody may be waiting, which is no error of its own

    def _pump(self) -> None:
        for _ in range(PIECES_A_TURN):
            if not self._waiting or self._is_paused:
                break
            first = self._waiting.popleft()
            if len(first) > PIECE:
                self._waiting.appendleft(first[PIECE:])
            self._hand_over(first[:PIECE])
        else:
            self._loop.call_soon(self._pump)
        if self.is_empty and not self.sent.done():
            self.sent.set_result(None)

    def _hand_over(self, piece: bytes | memoryview) -> None:
        data = self._encode(piece)
        self.moved += len(data)
        self._transport.write(data)
