"""The beginning of an https connection, and what those are told who don't speak it."""

import contextlib
import errno
import logging
import socket
import ssl

logger = logging.getLogger(__name__)

BODY = (
    b'{"message":"This port speaks https.",'
    b'"info":"Begin the address with https://, or set Require SSL to yes."}'
)
PLAIN_HTTP = (
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
)
ENOUGH = 1 << 16  # bytes of a request that is to be thrown away


class ServerSocket(ssl.SSLSocket):
    """A connection that may turn out to be plain http.

    What fails on it is a ConnectionResetError: for tornado a client that has gone, and no warning.
    """

    _begun = False
    _caller: str | None = None

    def do_handshake(self, block: bool = False) -> None:
        """Take the next step. Raises SSLWantReadError or SSLWantWriteError as long as one is left,
        and ConnectionResetError if there will be none."""
        try:
            if not self._begun:
                self._begin()
            super().do_handshake(block)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            self._log(error.reason or "the client has gone")
            raise _reset() from None

    def _begin(self) -> None:
        """Look at the first byte: no handshake begins with a letter, and every request does."""
        try:
            first = socket.socket.recv(self, 1, socket.MSG_PEEK)
        except BlockingIOError:
            raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "no byte yet") from None
        if not first:  # as those do who only look whether the port is open
            raise _reset()
        self._begun = True
        with contextlib.suppress(OSError):
            self._caller = self.getpeername()[0]
        if first.isalpha():
            self._refuse()

    def _refuse(self) -> None:
        with contextlib.suppress(OSError):
            # Read first: what is unread when a connection is closed makes it a reset, which on some
            # systems cuts off the answer.
            socket.socket.recv(self, ENOUGH)
            socket.socket.send(self, PLAIN_HTTP)
            socket.socket.shutdown(self, socket.SHUT_WR)
        self._log("plain http")
        raise _reset()

    def _log(self, reason: str) -> None:
        fields = {"caller": self._caller, "reason": reason.lower().replace("_", " ")}
        logger.info("no handshake", extra={"fields": fields})


def _reset() -> ConnectionResetError:
    return ConnectionResetError(errno.ECONNRESET, "no TLS")
