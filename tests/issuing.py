"""Certificates for servers under test, as an authority of the test's own issues them."""

import datetime
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization

HOST = "localhost"
ROOT = trustme.CA()
MIDDLE = ROOT.create_child_ca()


def at(year: int, month: int = 1, day: int = 1) -> datetime.datetime:
    return datetime.datetime(year, month, day, tzinfo=datetime.UTC)


def issue(
    begins: datetime.datetime | None = None,
    ends: datetime.datetime | None = None,
    *,
    kind: trustme.KeyType = trustme.KeyType.ECDSA,
    by: trustme.CA = MIDDLE,
) -> trustme.LeafCert:
    return by.issue_cert(HOST, "127.0.0.1", not_before=begins, not_after=ends, key_type=kind)


def trusting() -> ssl.SSLContext:
    """A client's side that trusts this authority alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=ROOT.cert_pem.bytes().decode())
    return context


def encrypted(leaf: trustme.LeafCert, phrase: str) -> bytes:
    """The key in PEM, which opens with `phrase`."""
    key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(phrase.encode()),
    )


@dataclass(frozen=True)
class Files:
    """Where a server's certificate and key lie."""

    folder: Path

    @property
    def certificate(self) -> Path:
        return self.folder / "chain.pem"

    @property
    def key(self) -> Path:
        return self.folder / "key.pem"

    @property
    def authority(self) -> Path:
        """What clients trust."""
        file = self.folder / "authority.pem"
        file.write_bytes(ROOT.cert_pem.bytes())
        return file

    @property
    def settings(self) -> dict[str, str]:
        """What a server is to be told of them."""
        return {
            "TABPY_TRANSFER_PROTOCOL": "https",
            "TABPY_CERTIFICATE_FILE": str(self.certificate),
            "TABPY_KEY_FILE": str(self.key),
        }

    def put(self, leaf: trustme.LeafCert, key: bytes | None = None) -> None:
        """Write the whole chain, and the key or what is given in its place."""
        self.put_chain(leaf.cert_chain_pems)
        self.put_key(leaf.private_key_pem.bytes() if key is None else key)

    def put_chain(self, pems: Sequence[trustme.Blob]) -> None:
        replace(self.certificate, b"".join(pem.bytes() for pem in pems))

    def put_key(self, key: bytes) -> None:
        replace(self.key, key)


def files_in(above: Path) -> Files:
    """A certificate that is good for long, and its key, in a folder of their own."""
    folder = above / "certificates"
    folder.mkdir()
    made = Files(folder)
    made.put(issue(ends=at(2100)))
    return made


def replace(file: Path, data: bytes) -> None:
    """Write a file as a careful program does: it's the old one or the new one, at any time."""
    new = file.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_bytes(data)
    new.replace(file)
