"""A client that goes, and who learns of it."""

from tornado.iostream import StreamClosedError

from tabpy.tabpy_server.web.http1.outgoing import PIECE, PIECES_A_TURN
from tests.web.http1.shapes import request
from tests.web.http1.wires import Client, Quick, Slow, run, turns

GET = request(first="GET /a HTTP/1.1")


@run
async def test_a_client_that_leaves_while_its_script_runs_is_noticed() -> None:
    client = Client()
    await client.send(GET)
    await client.leave()
    assert client.handlers[0].is_gone
    assert client.connection.lost.done()
    assert len(client.connections) == 0


@run
async def test_who_stops_sending_does_not_wait_for_a_reply() -> None:
    client = Client()
    await client.send(GET)
    client.connection.eof_received()
    await turns()
    assert client.is_closed
    assert client.handlers[0].is_gone


@run
async def test_a_client_that_leaves_in_a_body_is_noticed() -> None:
    client = Client()
    await client.send(request("Content-Length: 9", body=b"abc"))
    await client.leave()
    assert client.handlers[0].is_gone
    assert not client.handlers[0].is_whole


@run
async def test_a_handler_ends_what_it_does_before_it_learns_that_its_client_has_gone() -> None:
    """It may be verifying a password, and counts what it keeps afterwards."""
    client = Client(Slow)
    await client.send(request("Content-Length: 9", body=b"abc"))
    [handler] = client.handlers
    assert isinstance(handler, Slow)
    await client.leave()
    assert not handler.is_gone
    handler.go_on.set()
    await turns()
    assert handler.is_gone


@run
async def test_a_client_that_has_its_reply_may_go() -> None:
    client = Client(Quick)
    await client.send(GET)
    await client.leave()
    assert not client.handlers[0].is_gone


@run
async def test_what_is_written_for_a_client_that_has_gone_fails() -> None:
    client = Client()
    client.transport.room = 0
    await client.send(GET)
    waits = client.handlers[0].begin()
    await client.leave()
    assert isinstance(waits.exception(), StreamClosedError)
    assert isinstance(client.handlers[0].exchange.write(b"x").exception(), StreamClosedError)
    client.handlers[0].exchange.finish()  # and nothing happens


@run
async def test_what_waits_is_dropped_when_it_is_closed() -> None:
    client = Client()
    client.transport.room = 0
    await client.send(GET)
    taken = client.handlers[0].reply(b"x" * 9 * PIECE)
    client.connection.close()
    assert isinstance(taken.exception(), StreamClosedError)
    handed_over = client.transport.get_write_buffer_size()
    await turns()
    assert client.transport.get_write_buffer_size() == handed_over


@run
async def test_what_would_be_sent_in_a_later_turn_is_dropped_too() -> None:
    client = Client()
    await client.send(GET)
    client.handlers[0].reply(b"x" * (2 * PIECES_A_TURN * PIECE))
    client.connection.close()
    handed_over = client.take()
    await turns()
    assert handed_over
    assert client.take() == b""


@run
async def test_one_that_is_closed_before_it_is_connected_stays_closed() -> None:
    client = Client()
    client.connection.close()
    other = Client()
    other.connection.is_closed = True
    other.connection.connection_made(other.transport)
    assert client.is_closed
    assert other.is_closed
