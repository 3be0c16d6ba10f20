"""The web process: making messages of the bytes that a worker's socket gives.

A script can write there whatever it likes. So a header is looked at before what it announces is
kept, and no more is kept than a message that is expected may have.
"""

from collections.abc import Iterator, Mapping

from tabpy.tabpy_server.workers import protocol
from tabpy.tabpy_server.workers.protocol import Death, Message, ProtocolError, TooLargeError


class FrameReader:
    """Takes bytes as they come, and gives messages with their bodies as they are complete."""

    def __init__(self) -> None:
        self._received = bytearray()

    @property
    def held(self) -> int:
        """Return the bytes of a message that isn't complete."""
        return len(self._received)

    def feed(
        self, data: bytes | memoryview, body_limits: Mapping[type[Message], int]
    ) -> Iterator[tuple[Message, bytes]]:
        """Return what `data` completes. `body_limits`: the messages that may come, and how many
        bytes the body of each may have.

        Raises ProtocolError for anything else, and TooLargeError for a body that is too large.
        """
        self._received += data
        while (found := self._next(body_limits)) is not None:
            yield found

    def clear(self) -> None:
        """Forget what has come."""
        self._received = bytearray()

    def _next(self, body_limits: Mapping[type[Message], int]) -> tuple[Message, bytes] | None:
        received = self._received
        if len(received) < protocol.HEADER.size:
            return None
        kind, meta_length, body_length = protocol.HEADER.unpack_from(received)
        cls = protocol.CLASSES.get(kind)
        if cls is None or cls not in body_limits or meta_length > protocol.META_LIMIT:
            raise ProtocolError("not a message's header")
        if body_length > body_limits[cls]:
            raise TooLargeError("a message that is too large")
        body_start = protocol.HEADER.size + meta_length
        body_end = body_start + body_length
        closing = b"" if cls is Death else protocol.END
        end = body_end + len(closing)
        if len(received) < end:
            return None
        if received[body_end:end] != closing:
            raise ProtocolError("a message without its end")
        with memoryview(received) as view:
            message = protocol.decode(kind, view[protocol.HEADER.size : body_start].tobytes())
            body = view[body_start:body_end].tobytes()
        del received[:end]
        return message, body
