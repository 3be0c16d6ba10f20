"""TLS as the server speaks it on one connection, between the bytes that travel and what they say.

It knows neither sockets nor the event loop. So a handshake that stalls is a connection that waits,
and whoever sends knows what the client has taken: Python's own transport for TLS doesn't tell.
"""

import contextlib
import errno
import ssl

BODY = (
    b'{"message":"This port speaks https.",'
    b'"info":"Begin the address with https://, or set Require SSL to yes."}'
)
PLAIN_HTTP = (
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
)
RECORD = 1 << 14  # bytes: what one holds at most (RFC 8446, section 5.1)


class HandshakeError(Exception):
    """Why there is no handshake, in a few words. `answer`: bytes to send before closing."""

    def __init__(self, reason: str, answer: bytes) -> None:
        super().__init__(reason)
        self.answer = answer


class Session:
    """One connection's TLS."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.is_over = False  # the client has said that nothing more comes
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._has_begun = False
        self._is_up = False

    def decrypt(self, data: bytes) -> bytes:
        """Return what is said by the bytes that came; empty `data` is their end.

        What has to be sent for that is in `answer`. Raises HandshakeError, and ConnectionResetError
        for what is no TLS any more.
        """
        if not self._has_begun:
            self._begin(data)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        if not self._is_up and not self._shake_hands():
            return b""
        return self._read()

    def answer(self) -> bytes:
        """Return what TLS itself has to say to the client."""
        return self._outgoing.read()

    def encrypt(self, text: bytes | memoryview) -> bytes:
        """Return what is to be sent for `text`. Raises ConnectionResetError if there is no TLS, not
        yet or not any more."""
        rest = memoryview(text)
        try:
            while rest:
                rest = rest[self._tls.write(rest) :]
        except ssl.SSLError:
            raise ConnectionResetError(errno.ECONNRESET, "no TLS") from None
        return self._outgoing.read()

    def end(self) -> bytes:
        """Return what tells the client that nothing more comes, and wasn't cut off."""
        if self._is_up:
            with contextlib.suppress(ssl.SSLError):  # the client hasn't said it yet
                self._tls.unwrap()
        return self._outgoing.read()

    def _begin(self, data: bytes) -> None:
        """Look at the first byte: no handshake begins with a letter, and every request does."""
        if not data:  # as those do who only look whether the port is open
            raise ConnectionResetError(errno.ECONNRESET, "nothing came")
        self._has_begun = True
        if data[:1].isalpha():
            raise HandshakeError("plain http", PLAIN_HTTP)

    def _shake_hands(self) -> bool:
        """Take the next step, and tell whether it was the last."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            reason = (error.reason or "the client has gone").lower().replace("_", " ")
            raise HandshakeError(reason, self._outgoing.read()) from None
        self._is_up = True
        return True

    def _read(self) -> bytes:
        pieces: list[bytes] = []
        try:
            while piece := self._tls.read(RECORD):
                pieces.append(piece)
            self.is_over = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            raise ConnectionResetError(errno.ECONNRESET, "no TLS") from None
        return b"".join(pieces)
