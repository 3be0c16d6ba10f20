"""A client's connection as bytes, over TLS or not: what comes, what goes, and its end."""

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from tabpy.tabpy_server.tls.session import HandshakeError, Session
from tabpy.tabpy_server.web.connections import Connections, Watched
from tabpy.tabpy_server.web.http1.outgoing import Outgoing

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Caller:
    """Who is at the other end, as tornado asks for it. `protocol`: http or https."""

    remote_ip: str
    protocol: str


class Wire(Watched, asyncio.BufferedProtocol):
    """Hands on what comes, and sends what it is told to."""

    def __init__(
        self,
        connections: Connections,
        buffer: memoryview,
        caller: Caller,
        session: Session | None = None,
    ) -> None:
        """`buffer`: where what comes is put; all may share one, since it is taken at once.
        `session`: of TLS, for https."""
        super().__init__(connections)
        self.caller = caller
        self.is_ending = False  # no more is taken, nor sent but for what waits
        self.is_closed = False
        self.lost = asyncio.get_running_loop().create_future()  # done when it has ended
        self._buffer = buffer
        self._session = session
        self._is_held = False  # no more is read
        self._transport: asyncio.Transport | None = None
        self._outgoing: Outgoing | None = None

    # What happens

    @abstractmethod
    def receive(self, data: bytes) -> None:
        """Take what has come."""

    @abstractmethod
    def abandon(self) -> None:
        """Take note that the client has gone, or was cut off."""

    # What asyncio says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop's doesn't say that it is one
        self._transport = transport
        self._outgoing = Outgoing(transport, self._encrypt)
        if self.is_closed:  # meanwhile
            transport.abort()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.note(nbytes)
        data = bytes(self._buffer[:nbytes])
        if self._session is not None:
            data = self._decrypt(self._session, data)
        if data and not self.is_ending:
            self.receive(data)

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
        if not self.lost.done():
            self.lost.set_result(None)
        self.abandon()

    # What it can be told

    def send(self, *parts: bytes | memoryview) -> "asyncio.Future[None]":
        """Send `parts`. The future is done when the client has taken them."""
        assert self._outgoing is not None
        return self._outgoing.write(*parts)

    def when_sent(self, go_on: Callable[[], None]) -> None:
        """Call `go_on` when the client has taken all so far, or has gone."""
        if self._outgoing is None or self._outgoing.is_empty:
            go_on()
        else:
            self._outgoing.sent.add_done_callback(lambda _: go_on())

    def hold(self, is_full: bool) -> None:
        """Take no more bytes for now, or take them again."""
        if self._transport is None or self.is_closed or is_full is self._is_held:
            return
        self._is_held = is_full
        if is_full:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def end(self) -> None:
        """Close it when all is sent."""
        self.is_ending = True
        self.when_sent(self.close)

    def close(self) -> None:
        """Close it now, whatever isn't sent yet."""
        if self.is_closed:
            return
        self.is_closed = self.is_ending = True
        self.forget()
        if self._transport is not None and self._outgoing is not None:
            if self._session is not None and self._outgoing.is_empty:
                self._transport.write(self._session.end())
            self._outgoing.drop()
            self._transport.abort()

    def writing(self) -> bool:
        return self._outgoing is not None and not self._outgoing.is_empty

    def taken(self) -> int:
        return 0 if self._outgoing is None else self._outgoing.taken

    def _encrypt(self, text: bytes | memoryview) -> bytes | memoryview:
        """Return what is to be sent for `text`."""
        if self._session is None:
            return text
        try:
            return self._session.encrypt(text)
        except ConnectionError:
            self.close()
            return b""

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
