"""What tabpy-check reads out of the handshakes with a server."""

import datetime
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest
import trustme

from tabpy.check.certificates import authority, chain, dates, host_name
from tabpy.check.report import Status
from tabpy.check.tls import Certificates, Peer, inspect

ROOT = trustme.CA()
INTERMEDIATE = ROOT.create_child_ca()
NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)


@pytest.fixture(autouse=True)
def public_authorities(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """This computer trusts ROOT and nobody else."""
    file = f"{tmp_path}/roots.pem"
    ROOT.cert_pem.write_to_path(file)
    monkeypatch.setenv("SSL_CERT_FILE", file)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))


@contextmanager
def presenting(*pems: trustme.Blob) -> Iterator[Peer]:
    """A server that does nothing but handshakes, with the key and certificates in `pems`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with trustme.Blob(b"".join(pem.bytes() for pem in pems)).tempfile() as file:
        context.load_cert_chain(file)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        # Ends when the listener is shut down.
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with suppress(OSError), connection:
                    connection.settimeout(5)
                    with context.wrap_socket(connection, server_side=True) as sock:
                        sock.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield Peer("127.0.0.1", listener.getsockname()[1], "tabpy.example.com", 5)
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()


def seen(leaf: trustme.LeafCert, *above: trustme.CA, ca_file: str | None = None) -> Certificates:
    pems = [leaf.private_key_pem, leaf.cert_chain_pems[0], *(ca.cert_pem for ca in above)]
    with presenting(*pems) as peer:
        return inspect(peer, ca_file)


def statuses(certificates: Certificates) -> tuple[str, str, str, str]:
    now = NOW.timestamp()
    return (
        chain(certificates).status.value,
        authority(certificates).status.value,
        host_name(certificates, "tabpy.example.com").status.value,
        dates(certificates, now).status.value,
    )


GOOD = INTERMEDIATE.issue_cert("*.example.com", "other.example")


@pytest.mark.parametrize("above", [(INTERMEDIATE,), (INTERMEDIATE, ROOT)])
def test_a_whole_chain_with_or_without_its_root_is_fine(above: tuple[trustme.CA, ...]) -> None:
    assert statuses(seen(GOOD, *above)) == ("ok", "ok", "ok", "ok")


def test_a_certificate_issued_by_the_root_itself_needs_no_other() -> None:
    assert statuses(seen(ROOT.issue_cert("tabpy.example.com"))) == ("ok", "ok", "ok", "ok")


def test_a_missing_intermediate_leaves_the_authority_open() -> None:
    certificates = seen(GOOD)

    assert statuses(certificates) == ("FAIL", "skip", "ok", "ok")
    assert "an intermediate certificate is missing" in chain(certificates).said


def test_a_wrong_intermediate_is_a_missing_one() -> None:
    assert statuses(seen(GOOD, ROOT.create_child_ca())) == ("FAIL", "skip", "ok", "ok")


def test_an_intermediate_that_only_this_computer_knows_is_missing_all_the_same(
    tmp_path: object,
) -> None:
    file = f"{tmp_path}/roots.pem"
    INTERMEDIATE.cert_pem.write_to_path(file, append=True)

    assert statuses(seen(GOOD)) == ("FAIL", "ok", "ok", "ok")


@pytest.mark.parametrize("send_root", [True, False])
def test_an_unknown_authority_is_named(send_root: bool) -> None:
    company = trustme.CA(organization_unit_name="Company root")
    branch = company.create_child_ca()
    above = (branch, company) if send_root else (branch,)
    certificates = seen(branch.issue_cert("tabpy.example.com"), *above)

    assert statuses(certificates) == ("ok", "FAIL", "ok", "ok")
    assert "'Company root' is no authority" in authority(certificates).said


def test_a_company_authority_is_trusted_when_its_file_is_given(tmp_path: object) -> None:
    company = trustme.CA()
    company.cert_pem.write_to_path(f"{tmp_path}/company.pem")
    leaf = company.issue_cert("tabpy.example.com")
    certificates = seen(leaf, ca_file=f"{tmp_path}/company.pem")

    assert statuses(certificates) == ("ok", "ok", "ok", "ok")
    assert "Tableau Cloud accepts public authorities only" in authority(certificates).todo


def test_a_self_signed_certificate_is_its_own_chain() -> None:
    alone = trustme.CA()
    with presenting(alone.private_key_pem, alone.cert_pem) as peer:
        certificates = inspect(peer, None)

    assert statuses(certificates) == ("ok", "FAIL", "FAIL", "ok")
    assert "self-signed" in authority(certificates).said


def test_another_host_name_is_told_with_those_that_would_do() -> None:
    certificates = seen(ROOT.issue_cert("a.example", "*.b.example"))

    assert statuses(certificates) == ("ok", "ok", "FAIL", "ok")
    said = host_name(certificates, "tabpy.example.com").said
    assert said == "the certificate isn't for tabpy.example.com, but for a.example, *.b.example"


@pytest.mark.parametrize(
    ("begins", "ends", "status", "words"),
    [
        (-90, -1, Status.FAIL, "expired on 2026-05-31"),
        (2, 90, Status.FAIL, "valid from 2026-06-03 only"),
        (-80, 10, Status.WARN, "expires on 2026-06-11"),
        (-10, 80, Status.OK, "valid until 2026-08-20"),
    ],
)
def test_dates_are_judged_apart_from_everything_else(
    begins: int, ends: int, status: Status, words: str
) -> None:
    leaf = trustme.CA().issue_cert(
        "elsewhere.example",
        not_before=NOW + datetime.timedelta(days=begins),
        not_after=NOW + datetime.timedelta(days=ends),
    )
    finding = dates(seen(leaf), NOW.timestamp())

    assert finding.status is status
    assert words in finding.said


def test_an_expired_intermediate_is_told_from_an_expired_certificate() -> None:
    finding = dates(replace(seen(GOOD, INTERMEDIATE), date_code=10), NOW.timestamp())

    assert finding.status is Status.FAIL
    assert "above the server's own has expired" in finding.said
