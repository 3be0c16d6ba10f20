"""How much a connection holds of what one side sends quicker than the other takes."""

from tabpy.tabpy_server.web.http1.connection import (
    MOST_HELD,
)
from tabpy.tabpy_server.web.http1.outgoing import PIECE, PIECES_A_TURN
from tests.web.http1.shapes import request
from tests.web.http1.wires import Client, Slow, run, turns

GET = request(first="GET /a HTTP/1.1")


@run
async def test_of_a_body_no_more_is_held_than_some() -> None:
    client = Client(Slow)
    size = 9 * MOST_HELD
    await client.send(request(f"Content-Length: {size}"))
    [handler] = client.handlers
    assert isinstance(handler, Slow)
    left = size
    most = 0
    while left or not handler.is_whole:
        if left and not client.transport.is_paused:
            buffer = client.connection.get_buffer(-1)
            count = min(left, len(buffer))
            client.connection.buffer_updated(count)
            left -= count
        else:
            handler.go_on.set()
            await turns(3)
        most = max(most, size - left - len(handler.body))
    assert len(handler.body) == size
    assert MOST_HELD <= most < 2 * MOST_HELD


@run
async def test_of_the_next_requests_no_more_is_held_than_some() -> None:
    client = Client()
    await client.send(GET)
    for _ in range(9):
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * (MOST_HELD // 99))
    assert client.transport.is_paused
    assert len(client.handlers) == 1
    client.handlers[0].reply()
    await turns()
    assert len(client.handlers) == 2


@run
async def test_a_long_reply_is_handed_on_as_the_client_takes_it() -> None:
    client = Client()
    client.transport.room = 10
    await client.send(GET)
    [handler] = client.handlers
    taken = handler.reply(b"x" * (5 * PIECE))
    for _ in range(5):
        assert client.transport.get_write_buffer_size() <= PIECE
        assert not taken.done()
        client.transport.give_room(PIECE)
    client.transport.give_room(1000)
    assert taken.done()
    assert client.take().endswith(b"x" * (5 * PIECE))
    await turns()
    assert list(client.connections.idle) == [client.connection]


@run
async def test_a_client_as_quick_as_we_are_leaves_others_a_turn() -> None:
    client = Client()
    await client.send(GET)
    size = 2 * PIECES_A_TURN * PIECE
    taken = client.handlers[0].reply(b"x" * size)
    assert 0 < len(client.transport.said) <= PIECES_A_TURN * PIECE
    assert not taken.done()
    await turns()
    assert taken.done()
    assert client.take().endswith(b"x" * size)


@run
async def test_what_waits_counts_as_moving_when_the_client_takes_a_byte() -> None:
    client = Client()
    client.transport.room = 0
    await client.send(GET)
    client.handlers[0].begin(body=b"x")
    assert client.connection.writing()
    before = client.connection.taken()
    client.transport.give_room(1)
    assert client.connection.taken() == before + 1
    client.transport.give_room(1000)
    assert not client.connection.writing()
