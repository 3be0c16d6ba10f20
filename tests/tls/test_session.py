"""TLS of one connection, without a network: handshakes, whatever pieces they come in, and ends."""

import contextlib
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tabpy.tabpy_server.settings import Settings
from tabpy.tabpy_server.tls.served import ServedCertificate
from tabpy.tabpy_server.tls.session import PLAIN_HTTP, RECORD, HandshakeError, Session
from tests.issuing import Files, issue, trusting

MUCH = b"0123456789" * 10_000  # several records


@pytest.fixture
def served(tmp_path: Path) -> ServedCertificate:
    return serve(tmp_path, Settings(transfer_protocol="https"))


def serve(folder: Path, settings: Settings) -> ServedCertificate:
    files = Files(folder)
    files.put(issue())
    return ServedCertificate(
        replace(settings, certificate_file=files.certificate, key_file=files.key)
    )


class Client:
    """The other side of a session."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")

    def hear(self, data: bytes) -> None:
        self._incoming.write(data)

    def hello(self) -> bytes:
        """Take the next step of the handshake, and return what it sends."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self._outgoing.read()

    def says(self, text: bytes) -> bytes:
        self.tls.write(text)
        return self._outgoing.read()

    def bye(self) -> bytes:
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self._outgoing.read()


def up(session: Session, size: int = 1 << 16) -> Client:
    """A client whose handshake is made, in pieces of `size` bytes."""
    client = Client(trusting())
    while data := client.hello():
        for start in range(0, len(data), size):
            assert session.decrypt(data[start : start + size]) == b""
        client.hear(session.answer())
    return client


@pytest.mark.parametrize("size", [1, 7, 1 << 16])
def test_a_handshake_may_come_in_any_pieces(served: ServedCertificate, size: int) -> None:
    session = served.session()
    client = up(session, size)
    assert client.tls.version() == "TLSv1.3"
    assert client.tls.selected_alpn_protocol() in (None, "http/1.1")
    assert session.decrypt(client.says(b"hello")) == b"hello"
    client.hear(session.encrypt(b"you"))
    assert client.tls.read() == b"you"


def test_nothing_can_be_said_before_a_handshake(served: ServedCertificate) -> None:
    with pytest.raises(ConnectionResetError):
        served.session().encrypt(b"hello")


def test_much_is_said_as_it_is(served: ServedCertificate) -> None:
    session = served.session()
    client = up(session)
    assert session.decrypt(client.says(MUCH)) == MUCH
    client.hear(session.encrypt(memoryview(MUCH)))
    heard = b""
    while len(heard) < len(MUCH):
        heard += client.tls.read(RECORD)
    assert heard == MUCH


def test_what_comes_with_the_end_of_the_handshake_is_not_lost(served: ServedCertificate) -> None:
    session, client = served.session(), Client(trusting())
    session.decrypt(client.hello())
    client.hear(session.answer())
    assert session.decrypt(client.hello() + client.says(b"at once")) == b"at once"


@pytest.mark.parametrize("first", [b"G", b"POST / HTTP/1.1\r\n\r\n"])
def test_who_speaks_http_is_told(served: ServedCertificate, first: bytes) -> None:
    with pytest.raises(HandshakeError, match="plain http") as caught:
        served.session().decrypt(first)
    assert caught.value.answer == PLAIN_HTTP


def test_what_is_nothing_at_all_has_a_reason(served: ServedCertificate) -> None:
    with pytest.raises(HandshakeError, match=r"^[a-z ]+$"):
        served.session().decrypt(b"\x00\xff" * 99)


def test_who_stops_in_a_handshake_has_a_reason(served: ServedCertificate) -> None:
    session = served.session()
    session.decrypt(Client(trusting()).hello()[:20])
    with pytest.raises(HandshakeError, match="eof"):
        session.decrypt(b"")


def test_who_says_nothing_has_none(served: ServedCertificate) -> None:
    with pytest.raises(ConnectionResetError):
        served.session().decrypt(b"")


def test_the_client_is_told_what_was_wrong_with_its_handshake(tmp_path: Path) -> None:
    settings = Settings(transfer_protocol="https", minimum_tls_version="TLSv1_3")
    context = trusting()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    session, client = serve(tmp_path, settings).session(), Client(context)
    with pytest.raises(HandshakeError, match="unsupported protocol") as caught:
        session.decrypt(client.hello())
    client.hear(caught.value.answer)
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        client.tls.do_handshake()


def test_what_is_no_tls_any_more_is_the_end(served: ServedCertificate) -> None:
    session = served.session()
    up(session)
    with pytest.raises(ConnectionResetError):
        session.decrypt(b"\x17\x03\x03\x00\x20" + b"x" * 32)


@pytest.mark.parametrize("said", [b"", b"the last"])
def test_who_says_that_nothing_more_comes_is_heard(served: ServedCertificate, said: bytes) -> None:
    session = served.session()
    client = up(session)
    last = client.says(said) if said else b""
    assert not session.is_over
    assert session.decrypt(last + client.bye()) == said
    assert session.is_over


def test_a_client_knows_that_it_was_not_cut_off(served: ServedCertificate) -> None:
    session = served.session()
    client = up(session)
    client.hear(session.encrypt(b"all") + session.end())
    assert client.tls.read() == b"all"
    assert client.tls.read() == b""  # and no SSLEOFError


@pytest.mark.parametrize("begin", [lambda _: None, lambda session: session.decrypt(b"\x16")])
def test_without_a_handshake_there_is_nothing_to_end(
    served: ServedCertificate, begin: Callable[[Session], object]
) -> None:
    session = served.session()
    begin(session)
    assert session.end() == b""
