"""https by the server itself: handshakes, and who doesn't finish one."""

import asyncio
import contextlib
import json
import logging
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tabpy.tabpy_server.settings import Settings
from tabpy.tabpy_server.tls.served import ServedCertificate
from tabpy.tabpy_server.web.connections import HEADER_SECONDS
from tests.issuing import Files, at, issue, trusting
from tests.web.harness import SIGNED_IN, Connection, EchoHandler, Web, request_text

Serve = Callable[..., Web]

HEAD = {"Host": "localhost", "Authorization": SIGNED_IN}
INFO = request_text("GET", "/info", HEAD)
HALF_A_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
LARGE = 3_000_000  # bytes: many records of TLS


@pytest.fixture
def files(tmp_path: Path) -> Files:
    made = Files(tmp_path)
    made.put(issue())
    return made


@pytest.fixture
def secure(serve: Serve, files: Files) -> Callable[..., Web]:
    """Start a server that speaks https."""

    def start(**settings: str) -> Web:
        chosen = {"transfer_protocol": "https", **settings}
        certificate = ServedCertificate(
            replace(
                Settings(**chosen),  # type: ignore[arg-type] # by name
                certificate_file=files.certificate,
                key_file=files.key,
            )
        )
        return serve(chosen, routes={"/echo": EchoHandler}, certificate=certificate)

    return start


@pytest.fixture
def web(secure: Callable[..., Web]) -> Web:
    return secure()


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What has been logged of handshakes, in words; nothing else may be wrong."""
    caplog.set_level(logging.INFO)

    def take() -> list[str]:
        assert [each for each in caplog.records if each.levelno > logging.INFO] == []
        found = [each for each in caplog.records if each.getMessage() == "no handshake"]
        return [each.__dict__["fields"]["reason"] for each in found]

    return take


async def closed(web: Web) -> None:
    await web.until(lambda: len(web.connections) == 0)


async def opened(web: Web, count: int) -> None:
    await web.until(lambda: len(web.connections) == count)


async def is_closed(connection: Connection) -> bool:
    with contextlib.suppress(ConnectionResetError):
        await connection.rest()
    return True


# --- what is said ---


def test_replies_are_those_of_http_and_ask_browsers_to_stay(web: Web) -> None:
    async def exchange() -> None:
        async with web.connection(trusting()) as connection:
            for _ in range(2):
                await connection.send(INFO)
                reply = await connection.reply()
                assert reply.status == 200
                assert reply.headers["Strict-Transport-Security"] == "max-age=31536000"
                assert reply.json["name"] == "TabPy Server"

    web.run(exchange())


def test_much_comes_and_goes_as_it_is(web: Web) -> None:
    body = bytes(range(32, 127)) * (LARGE // 95)

    async def exchange() -> None:
        async with web.connection(trusting()) as connection:
            head = request_text("POST", "/echo", {**HEAD, "Content-Length": str(len(body))})
            await connection.send(head + body)
            assert (await connection.reply()).json["body"] == body.decode()

    web.run(exchange())


def test_the_end_of_a_connection_is_said_so_that_nobody_takes_it_for_an_attack(web: Web) -> None:
    def ask() -> bytes:
        text = request_text("GET", "/info", HEAD | {"Connection": "close"})
        said = b""
        with (
            socket.create_connection(("127.0.0.1", web.port)) as plain,
            trusting().wrap_socket(
                plain, server_hostname="localhost", suppress_ragged_eofs=False
            ) as client,
        ):
            client.sendall(text)
            while more := client.recv(1 << 16):
                said += more
        return said

    async def exchange() -> None:
        assert (await asyncio.to_thread(ask)).startswith(b"HTTP/1.1 200")

    web.run(exchange())


def test_the_page_says_that_the_connection_is_encrypted(web: Web) -> None:
    page = get_page(web)
    assert re.search(r'<b id="connection">encrypted</b>', page)
    assert 'id="finding-certificate"' not in page


def test_the_page_warns_of_a_certificate_that_expires(
    secure: Callable[..., Web], files: Files
) -> None:
    now = datetime.now(UTC)
    files.put(issue(now - timedelta(days=80), now + timedelta(days=10)))
    assert "The certificate expires on" in get_page(secure())


def get_page(web: Web) -> str:
    async def exchange() -> str:
        async with web.connection(trusting()) as connection:
            await connection.send(request_text("GET", "/", HEAD))
            return (await connection.reply()).body.decode()

    return web.run(exchange())


def test_a_renewed_certificate_is_for_the_next_connection(web: Web, files: Files) -> None:
    async def exchange() -> None:
        assert web.context.certificate is not None
        async with web.connection(trusting()) as old:
            await old.send(INFO)
            assert (await old.reply()).status == 200
            files.put(issue(at(2020), at(2900)))
            web.context.certificate.look()
            assert web.context.certificate.expires == at(2900).timestamp()
            async with web.connection(trusting()) as new:
                await new.send(INFO)
                assert (await new.reply()).status == 200
            await old.send(INFO)
            assert (await old.reply()).status == 200

    web.run(exchange())


# --- who speaks something else ---


@pytest.mark.parametrize("size", [1, 10_000])
def test_plain_http_is_told_that_this_is_https(
    web: Web, logged: Callable[[], list[str]], size: int
) -> None:
    async def exchange() -> None:
        async with web.connection() as connection:
            text = request_text("POST", "/evaluate", {**HEAD, "Content-Length": str(size)})
            await connection.send(text + b"x" * size)
            reply = await connection.reply()
            assert reply.status == 400
            assert reply.error == (
                400,
                "This port speaks https.",
                "Begin the address with https://, or set Require SSL to yes.",
            )
            assert await is_closed(connection)
        await closed(web)

    web.run(exchange())
    assert logged() == ["plain http"]


def test_who_reads_late_finds_the_answer_still_there(
    web: Web, logged: Callable[[], list[str]]
) -> None:
    async def exchange() -> None:
        with socket.create_connection(("127.0.0.1", web.port)) as client:
            client.sendall(INFO + b"x" * 10_000)
            await web.until(lambda: logged() == ["plain http"])
            await closed(web)
            assert b"This port speaks https." in client.recv(1000)
            # And no reset came, which elsewhere cuts off the answer.
            assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0

    web.run(exchange())


def test_a_request_that_comes_in_pieces_is_told_so_too(web: Web) -> None:
    async def exchange() -> None:
        async with web.connection() as connection:
            await opened(web, 1)
            await connection.send(b"G")
            assert json.loads((await connection.reply()).body)["message"]

    web.run(exchange())


def test_what_is_nothing_at_all_is_closed_without_a_warning(
    web: Web, logged: Callable[[], list[str]]
) -> None:
    async def exchange() -> None:
        async with web.connection() as connection:
            await connection.send(b"\x00\xff" * 99)
            assert await is_closed(connection)
        await closed(web)

    web.run(exchange())
    assert len(logged()) == 1


def test_who_only_looks_whether_the_port_is_open_is_not_logged(
    web: Web, logged: Callable[[], list[str]]
) -> None:
    async def exchange() -> None:
        async with web.connection():
            await opened(web, 1)
        await closed(web)

    web.run(exchange())
    assert logged() == []


def test_a_client_that_does_not_trust_the_certificate_is_logged_with_its_reason(
    web: Web, logged: Callable[[], list[str]]
) -> None:
    def distrust() -> None:  # asyncio's own clients leave without saying why
        context = ssl.create_default_context()
        with socket.create_connection(("127.0.0.1", web.port)) as connection:
            context.wrap_socket(connection, server_hostname="localhost")

    async def exchange() -> None:
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.to_thread(distrust)
        await closed(web)

    web.run(exchange())
    assert logged() == ["tlsv1 alert unknown ca"]


def test_what_is_older_than_the_minimum_gets_no_handshake(secure: Callable[..., Web]) -> None:
    web = secure(minimum_tls_version="TLSv1_3")
    old = trusting()
    old.maximum_version = ssl.TLSVersion.TLSv1_2

    async def exchange() -> None:
        with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
            async with web.connection(old):
                pass
        async with web.connection(trusting()) as connection:
            await connection.send(INFO)
            assert (await connection.reply()).status == 200

    web.run(exchange())


def test_what_is_no_tls_any_more_ends_the_connection_quietly(
    web: Web, logged: Callable[[], list[str]]
) -> None:
    async def exchange() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
        to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = trusting().wrap_bio(to_client, to_server, server_hostname="localhost")
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                client.do_handshake()
                break
            writer.write(to_server.read())
            to_client.write(await reader.read(1 << 16))
        writer.write(to_server.read() + b"\x17\x03\x03\x00\x20" + b"x" * 32)
        await reader.read()
        writer.close()
        await closed(web)

    web.run(exchange())
    assert logged() == []


# --- who stops in the middle ---


@pytest.mark.parametrize("sent", [b"", HALF_A_HELLO], ids=["nothing", "half a hello"])
def test_a_handshake_that_stalls_delays_nobody_and_is_closed(web: Web, sent: bytes) -> None:
    async def exchange() -> None:
        async with web.connection() as stalled:
            await opened(web, 1)
            await stalled.send(sent)
            async with web.connection(trusting()) as other:
                await other.send(INFO)
                assert (await other.reply()).status == 200
            await opened(web, 1)
            web.time += HEADER_SECONDS
            web.connections.close_slow()
            assert len(web.connections) == 1
            web.time += 0.1
            web.connections.close_slow()
            assert await is_closed(stalled)
            assert len(web.connections) == 0

    web.run(exchange())


def test_handshakes_that_stall_make_room(web: Web) -> None:
    web.connections.most = 2

    async def exchange() -> None:
        async with web.connection() as oldest, web.connection() as second:
            await oldest.send(HALF_A_HELLO)
            await second.send(HALF_A_HELLO)
            await opened(web, 2)
            async with web.connection(trusting()) as good:
                await good.send(INFO)
                assert (await good.reply()).status == 200
                assert len(web.connections) == 2
                assert await is_closed(oldest)

    web.run(exchange())
