"""Bytes become messages only when they are whole."""

import pytest

from tabpy.tabpy_server.workers import protocol
from tabpy.tabpy_server.workers.pool.frame_reader import FrameReader
from tabpy.tabpy_server.workers.protocol import Crash, Death, Message, ProtocolError, Reply

LIMITS = {Reply: 4, Crash: 10_000_000, Death: 0}
FRAME = protocol.encode(Reply("etag"), 4) + b"body" + protocol.END


def messages(*chunks: bytes) -> list[tuple[Message, bytes]]:
    reader = FrameReader()
    return [each for chunk in chunks for each in reader.feed(chunk, LIMITS)]


def test_a_message_may_come_in_pieces_and_several_at_once() -> None:
    one = (Reply("etag"), b"body")
    assert messages(FRAME) == [one]
    assert messages(*(bytes([each]) for each in FRAME)) == [one]
    assert messages(FRAME + FRAME[:7], FRAME[7:] + FRAME) == [one, one, one]
    assert messages(FRAME[:-1]) == []


def test_a_frame_without_its_end_is_refused() -> None:
    with pytest.raises(ProtocolError, match="without its end"):
        messages(FRAME[:-1] + b"x")


def test_a_death_does_not_complete_what_the_worker_had_begun() -> None:
    death = protocol.encode(Death("was killed"))
    assert messages(death) == [(Death("was killed"), b"")]
    for cut in range(1, len(FRAME)):
        try:
            assert messages(FRAME[:cut] + death) == []
        except ProtocolError:
            continue


@pytest.mark.parametrize(
    "header",
    [
        protocol.HEADER.pack(b"?", 2, 0),
        protocol.HEADER.pack(b"C", protocol.META_LIMIT + 1, 0),
        protocol.HEADER.pack(b"R", 2, 5),
        protocol.HEADER.pack(b"R", 2, 1 << 60),
        protocol.HEADER.pack(b"N", 2, 0),  # not expected now
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_what_begins_wrongly_is_refused_at_once(header: bytes) -> None:
    with pytest.raises(ProtocolError):
        messages(header)


def test_a_large_body_is_not_taken_for_something_else() -> None:
    body = bytes(range(256)) * 10_000
    frame = protocol.encode(Crash("x"), len(body)) + body + protocol.END
    assert messages(frame[:1_000_000], frame[1_000_000:]) == [(Crash("x"), body)]
