"""The web process: making messages of the bytes that a worker's socket gives."""

from collections.abc import Iterator

from tabpy.tabpy_server.workers import protocol
from tabpy.tabpy_server.workers.protocol import Death, Message, ProtocolError


class FrameReader:
    """Takes bytes as they come, and gives messages with their bodies as they are complete."""

    def __init__(self) -> None:
        self._received = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[Message, bytes]]:
        """Return what `data` completes. Raises ProtocolError for what isn't a message."""
        self._received += data
        while (found := self._next()) is not None:
            yield found

    def _next(self) -> tuple[Message, bytes] | None:
        received = self._received
        if len(received) < protocol.HEADER.size:
            return None
        kind, meta_length, body_length = protocol.HEADER.unpack_from(received)
        if kind not in protocol.CLASSES or meta_length > protocol.META_LIMIT:
            raise ProtocolError("not a message's header")
        body_start = protocol.HEADER.size + meta_length
        body_end = body_start + body_length
        closing = b"" if protocol.CLASSES[kind] is Death else protocol.END
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
