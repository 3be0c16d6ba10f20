"""Accepting connections one at a time, so that web processes share them evenly."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Any

logger = logging.getLogger(__name__)

PAUSE = 0.001  # seconds after each connection: a moment for the other web processes
PAUSE_AFTER_ERROR = 1.0  # seconds
PAUSE_WHEN_FULL = 0.1  # seconds, in which one of the connections may end


class Acceptor:
    """Takes connections from one listening socket, and pauses after each.

    tornado takes all that wait: of a burst one process would get everything and the others
    nothing, for as long as the connections are kept alive.
    """

    def __init__(
        self,
        listener: socket.socket,
        take: Callable[[socket.socket, Any], object],
        make_room: Callable[[], bool] = lambda: True,
    ) -> None:
        """`take` gets each connection and its address; `listener` doesn't block. While `make_room`
        returns False, those that come wait, or go to another process."""
        self._listener = listener
        self._take = take
        self._make_room = make_room
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._listen()

    def close(self) -> None:
        """Take those that wait already, no more, and close the listener: what nobody will accept
        is to be refused."""
        if self._pause is not None:
            self._pause.cancel()
        with contextlib.suppress(OSError):  # nobody waits any more
            while self._make_room():
                self._take(*self._listener.accept())
        self._loop.remove_reader(self._listener)
        self._listener.close()

    def _listen(self) -> None:
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        if not self._make_room():
            self._rest(PAUSE_WHEN_FULL)
            return
        pause = PAUSE
        try:
            connection, address = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return  # another web process was faster, or the client has given up
        except OSError as error:  # no file descriptor left, for one
            logger.error("A connection can't be accepted: %s", error)
            pause = PAUSE_AFTER_ERROR
        else:
            self._take(connection, address)
        self._rest(pause)

    def _rest(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener)
        self._pause = self._loop.call_later(seconds, self._listen)
