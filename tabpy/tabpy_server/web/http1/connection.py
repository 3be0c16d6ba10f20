"""A client's connection: what comes on it, one request after the other, and who has to wait."""

import asyncio
import logging
from collections.abc import Awaitable

from tornado.httputil import HTTPInputError, HTTPServerConnectionDelegate

from tabpy.tabpy_server.tls.session import HandshakeError, Session
from tabpy.tabpy_server.web.connections import Connections, Watched
from tabpy.tabpy_server.web.http1.exchange import Caller, Exchange
from tabpy.tabpy_server.web.http1.head import Head, HeadersTooLargeError
from tabpy.tabpy_server.web.http1.outgoing import Outgoing
from tabpy.tabpy_server.web.http1.parser import End, Event, Parser

logger = logging.getLogger(__name__)

CLOSE = b"Connection: close\r\nContent-Length: 0\r\n\r\n"
TOO_LARGE_HEADERS = b"HTTP/1.1 431 Request Header Fields Too Large\r\n" + CLOSE
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\n" + CLOSE
GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"
MOST_HELD = 1 << 18  # bytes that came and aren't read yet, beyond which no more are taken
EVENTS_A_TURN = 16  # so that many short requests or pieces at once leave others a turn


class Connection(Watched, asyncio.BufferedProtocol):
    """Reads requests for an application, and sends the replies in the same order."""

    def __init__(
        self,
        application: HTTPServerConnectionDelegate,
        connections: Connections,
        buffer: memoryview,
        caller: Caller,
        session: Session | None = None,
    ) -> None:
        """`buffer`: where what comes is put; all may share one, since it is read at once.
        `session`: of TLS, for one of https."""
        super().__init__(connections)
        self.caller = caller
        self.is_closed = False
        self._application = application
        self._buffer = buffer
        self._session = session
        self._parser = Parser()
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._outgoing: Outgoing | None = None
        self._exchange: Exchange | None = None
        self.lost = self._loop.create_future()  # done when it has ended
        self._is_waiting = False  # for a handler, a reply or a turn: until then nothing is read
        self._asked: asyncio.Future[None] | None = None  # what a handler has to do first
        self.is_ending = False  # once all is sent: no more is read, and no more written

    # What asyncio says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._outgoing = Outgoing(transport, self._session.encrypt if self._session else None)
        if self.is_closed:  # meanwhile
            transport.abort()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.note(nbytes)
        data = bytes(self._buffer[:nbytes])
        if self._session is not None:
            data = self._decrypt(self._session, data)
        if not self.is_ending:
            self._parser.feed(data)
            self._go_on()

    def eof_received(self) -> None:
        if self._session is not None:
            self._decrypt(self._session, b"")
        self.close()  # who has stopped sending doesn't wait for a reply

    def pause_writing(self) -> None:
        assert self._outgoing is not None
        self._outgoing.pause()

    def resume_writing(self) -> None:
        assert self._outgoing is not None
        self._outgoing.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        self.close()
        if self._outgoing is not None:
            self._outgoing.drop()
        if not self.lost.done():
            self.lost.set_result(None)
        if self._asked is None:  # or it has to end first
            self._abandon()

    # What the exchange says

    def send(self, *parts: bytes) -> "asyncio.Future[None]":
        """Send `parts`. The future is done when the client has taken them."""
        assert self._outgoing is not None
        return self._outgoing.write(*parts)

    def end_reply(self, exchange: Exchange) -> None:
        """Go on to the next request when the client has taken this reply."""
        assert self._outgoing is not None
        if exchange is not self._exchange:
            return
        if not exchange.keeps_alive:
            self._is_waiting = self.is_ending = True
        if self._outgoing.is_empty:
            self._end_exchange()
        else:
            self._outgoing.sent.add_done_callback(lambda _: self._end_exchange())

    def end(self) -> None:
        """Close it when all is sent, and read no more."""
        self._is_waiting = self.is_ending = True
        if self._outgoing is None or self._outgoing.is_empty:
            self.close()
        else:
            self._outgoing.sent.add_done_callback(lambda _: self.close())

    def close(self) -> None:
        """Close it now, whatever isn't sent yet."""
        if self.is_closed:
            return
        self.is_closed = self.is_ending = True
        self.forget()
        if self._transport is not None:
            if self._session is not None and self.is_sent:
                self._transport.write(self._session.end())
            self._transport.abort()

    # How it gets on

    @property
    def is_sent(self) -> bool:
        """Tell whether the client has taken all that was to be sent."""
        return self._outgoing is None or self._outgoing.is_empty

    def writing(self) -> bool:
        return not self.is_sent

    def reading(self) -> bool:
        exchange = self._exchange
        return exchange is not None and not exchange.is_read and not self._is_waiting

    def taken(self) -> int:
        return 0 if self._outgoing is None else self._outgoing.taken

    def _decrypt(self, session: Session, data: bytes) -> bytes:
        """Return what `data` says. `data` is empty at the end."""
        assert self._transport is not None
        try:
            text = session.decrypt(data)
        except HandshakeError as error:
            fields = {"caller": self.caller.remote_ip, "reason": str(error)}
            logger.info("no handshake", extra={"fields": fields})
            self._transport.write(error.answer)
            self.end()
            return b""
        except ConnectionError:  # what came is no TLS any more
            self.close()
            return b""
        if answer := session.answer():
            self._transport.write(answer)
        if session.is_over:
            self.close()
        return text

    def _go_on(self) -> None:
        """Read on, until somebody has to be waited for."""
        try:
            for _ in range(EVENTS_A_TURN):
                if self._is_waiting or (event := self._parser.next()) is None:
                    break
                self._take(event)
            else:
                if not self._is_waiting:
                    self._wait_a_turn()
            if not self._is_waiting:
                self._ask_for_body()
        except HTTPInputError as error:
            self._refuse(error)
        except Exception:
            logger.exception("Uncaught exception")
            self.close()
        self._steer()

    def _steer(self) -> None:
        """Take no more bytes than can be held."""
        if self.is_closed or self._transport is None:
            return
        if self._is_waiting and self._parser.held >= MOST_HELD:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _take(self, event: Event) -> None:
        if isinstance(event, Head):
            self._begin(event)
            return
        exchange = self._exchange
        assert exchange is not None
        assert exchange.delegate is not None
        if isinstance(event, bytes):
            if not exchange.is_answered:
                self._await(exchange.delegate.data_received(event))
        elif event is End.OF_REQUEST:
            exchange.is_read = True
            if exchange.is_answered:
                self.end_reply(exchange)
            else:
                self._is_waiting = True
                exchange.delegate.finish()

    def _begin(self, head: Head) -> None:
        self.begin_request()
        exchange = self._exchange = Exchange(self, head)
        delegate = self._application.start_request(self, exchange)
        prepared = delegate.headers_received(head.start_line, head.headers)
        exchange.delegate = delegate
        self._await(prepared)

    def _await(self, work: Awaitable[None] | None) -> None:
        """Read on when a handler is ready for it."""
        if work is None:
            return
        self._is_waiting = True
        self._asked = asyncio.ensure_future(work)
        self._asked.add_done_callback(self._was_awaited)

    def _was_awaited(self, work: "asyncio.Future[None]") -> None:
        self._asked = None
        if work.cancelled() or (error := work.exception()) is not None:
            if not work.cancelled():
                logger.error("Uncaught exception", exc_info=error)
            self.close()
        if self.is_closed:
            self._abandon()
        elif not self.is_ending:
            self._is_waiting = False
            self._go_on()

    def _wait_a_turn(self) -> None:
        self._is_waiting = True
        self._loop.call_soon(self._have_turn)

    def _have_turn(self) -> None:
        if not self.is_ending:
            self._is_waiting = False
            self._go_on()

    def _ask_for_body(self) -> None:
        """Tell a client to send the body, if it waits for that."""
        exchange = self._exchange
        if exchange is not None and exchange.asks_first:
            exchange.asks_first = False
            if not exchange.has_begun:
                self.send(GO_ON)

    def _refuse(self, error: HTTPInputError) -> None:
        """Answer what is no request, and end: where the next one would begin isn't known."""
        fields = {"caller": self.caller.remote_ip, "reason": str(error)}
        logger.info("no request", extra={"fields": fields})
        if self._exchange is None or not self._exchange.has_begun:
            large = isinstance(error, HeadersTooLargeError)
            self.send(TOO_LARGE_HEADERS if large else BAD_REQUEST)
        self.end()

    def _end_exchange(self) -> None:
        exchange = self._exchange
        if self.is_closed or exchange is None:
            return
        if not exchange.keeps_alive:
            self.close()
        elif exchange.is_read and exchange.is_answered:
            self._exchange = None
            self.await_request()
            self._is_waiting = False
            if self._parser.held:
                self._wait_a_turn()

    def _abandon(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.abandon()
