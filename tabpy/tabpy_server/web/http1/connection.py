"""A client's connection as requests, one after the other, and who has to wait for whom."""

import asyncio
import logging
from collections.abc import Awaitable

from tornado.httputil import HTTPInputError

from tabpy.tabpy_server.tls.session import Session
from tabpy.tabpy_server.web.connections import Connections
from tabpy.tabpy_server.web.http1.exchange import Entrance, Exchange
from tabpy.tabpy_server.web.http1.head import Head, HeadersTooLargeError
from tabpy.tabpy_server.web.http1.parser import End, Event, Parser, SpeaksTLSError
from tabpy.tabpy_server.web.http1.wire import Caller, Wire

logger = logging.getLogger(__name__)

CLOSE = b"Connection: close\r\nContent-Length: 0\r\n\r\n"
TOO_LARGE_HEADERS = b"HTTP/1.1 431 Request Header Fields Too Large\r\n" + CLOSE
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\n" + CLOSE
GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"
MOST_HELD = 1 << 18  # bytes that came and aren't read yet, beyond which no more are taken
EVENTS_A_TURN = 16  # so that many short requests or pieces at once leave others a turn


class Connection(Wire):
    """Reads requests for an entrance, and sends the replies in the same order."""

    def __init__(
        self,
        entrance: Entrance,
        connections: Connections,
        buffer: memoryview,
        caller: Caller,
        session: Session | None = None,
    ) -> None:
        """See `Wire` for the others."""
        super().__init__(connections, buffer, caller, session)
        self._entrance = entrance
        self._parser = Parser()
        self._exchange: Exchange | None = None
        self._is_waiting = False  # for a handler, a reply or a turn: until then nothing is read
        self._work: asyncio.Future[None] | None = None  # of a handler, before it can take more

    def reading(self) -> bool:
        exchange = self._exchange
        return exchange is not None and not exchange.is_read and not self._is_waiting

    def receive(self, data: bytes) -> None:
        self._parser.feed(data)
        self._read()

    def end_reply(self, exchange: Exchange) -> None:
        """Go on to the next request when the client has taken this reply."""
        if exchange is not self._exchange:
            return
        if exchange.keeps_alive:
            self.when_sent(lambda: self._end_exchange(exchange))
        else:
            self.end()

    def abandon(self) -> None:
        if self._work is not None:
            return  # which has to end first
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.abandon()

    def _read(self) -> None:
        """Read on, until somebody has to be waited for."""
        try:
            for _ in range(EVENTS_A_TURN):
                if self._is_waiting or self.is_ending:
                    break
                event = self._parser.next()
                if event is None:
                    self._ask_for_body()
                    break
                self._take(event)
            else:
                self._wait_a_turn()
        except HTTPInputError as error:
            self._refuse(error)
        except Exception:
            logger.exception("Uncaught exception")
            self.close()
        self.hold(self._is_waiting and self._parser.held >= MOST_HELD)

    def _take(self, event: Event) -> None:
        if isinstance(event, Head):
            self._begin(event)
            return
        exchange = self._exchange
        assert exchange is not None
        assert exchange.delegate is not None
        if isinstance(event, bytes):
            self._wait_for(exchange.delegate.data_received(event))
            return
        assert event is End.OF_REQUEST
        exchange.is_read = True
        if exchange.is_answered:
            self.end_reply(exchange)
        else:
            self._is_waiting = True
            exchange.delegate.finish()

    def _begin(self, head: Head) -> None:
        self.begin_request()
        exchange = self._exchange = Exchange(self, head)
        exchange.delegate, work = self._entrance.begin(self, exchange)
        self._wait_for(work)

    def _ask_for_body(self) -> None:
        """Tell a client to send the body, if it waits for that."""
        exchange = self._exchange
        if exchange is not None and exchange.asks_first:
            exchange.asks_first = False
            if not exchange.has_begun:
                self.send(GO_ON)

    def _wait_for(self, work: Awaitable[None] | None) -> None:
        """Read on when a handler has done what it has to do first."""
        if work is not None:
            self._is_waiting = True
            self._work = asyncio.ensure_future(work)
            self._work.add_done_callback(self._end_work)

    def _end_work(self, work: "asyncio.Future[None]") -> None:
        self._work = None
        if work.cancelled():
            self.close()
        elif (error := work.exception()) is not None:
            logger.error("Uncaught exception", exc_info=error)
            self.close()
        if self.lost.done():
            self.abandon()
        self._read_on()

    def _wait_a_turn(self) -> None:
        if not self._is_waiting:
            self._is_waiting = True
            asyncio.get_running_loop().call_soon(self._read_on)

    def _read_on(self) -> None:
        self._is_waiting = False
        self._read()

    def _end_exchange(self, exchange: Exchange) -> None:
        """Wait for the next request, once the last one is read and answered."""
        if self.is_closed or exchange is not self._exchange:
            return
        if exchange.is_read:
            self._exchange = exchange.delegate = None  # or they would live on in a circle
            self._is_waiting = False
            self.await_request()
            if self._parser.held:
                self._wait_a_turn()

    def _refuse(self, error: HTTPInputError) -> None:
        """Answer what is no request, and end: where the next one would begin isn't known."""
        fields = {"caller": self.caller.remote_ip, "reason": str(error)}
        logger.info("no request", extra={"fields": fields})
        if isinstance(error, SpeaksTLSError):
            self._connections.count_https()
        if self._exchange is None or not self._exchange.has_begun:
            large = isinstance(error, HeadersTooLargeError)
            self.send(TOO_LARGE_HEADERS if large else BAD_REQUEST)
        self.end()
