"""What a server's TLS says about itself, learned by handshakes that each check one thing.

OpenSSL stops at the first fault, and the first is often not the one to repair. So the
authority, the host name and the dates are each verified with the other two switched off.
"""

import socket
import ssl
import sys
from dataclasses import dataclass
from typing import Any

import certifi

# X509_V_FLAG_NO_CHECK_TIME of OpenSSL's x509_vfy.h; Python's ssl has no name for it.
_IGNORE_DATES = 0x200000

Name = tuple[tuple[tuple[str, str], ...], ...]
Certificate = dict[str, Any]  # as SSLSocket.getpeercert() gives it


@dataclass(frozen=True)
class Certificates:
    """`path`: the server's certificate and those it sent along, each issued by the next.

    The codes are OpenSSL's X509_V_ERR numbers, 0 where the check passed: `trust_code` of the
    authority, `name_code` of the host name, `date_code` of the dates of the whole path.
    `whole` tells that a trusted authority issued the last of `path`. `by_file` tells that
    trust rests on the given file only.
    """

    version: str
    path: tuple[Certificate, ...]
    trust_code: int
    trust_message: str
    whole: bool
    by_file: bool
    name_code: int
    date_code: int

    @property
    def leaf(self) -> Certificate:
        return self.path[0]


@dataclass(frozen=True)
class Peer:
    """Where to shake hands: an address (IP), its port, and the name the certificate must bear."""

    address: str
    port: int
    host: str
    timeout: float

    def shake(self, context: ssl.SSLContext) -> tuple[str, list[bytes], Certificate]:
        """Return the protocol, DER of each certificate sent, and the server's own when verified."""
        with (
            socket.create_connection((self.address, self.port), self.timeout) as raw,
            context.wrap_socket(raw, server_hostname=self.host) as sock,
        ):
            return sock.version() or "TLS", _sent(sock), sock.getpeercert() or {}

    def verify(self, context: ssl.SSLContext) -> tuple[int, str]:
        """Return OpenSSL's error number and text, (0, "") when the certificate passes."""
        try:
            self.shake(context)
        except ssl.SSLCertVerificationError as error:
            return error.verify_code, error.verify_message
        return 0, ""


def trusting(ca_file: str | None = None) -> ssl.SSLContext:
    """Make a context that trusts the system's authorities, and those of `ca_file` (PEM) too.

    Raises OSError when the file can't be read or holds no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()
    paths = ssl.get_default_verify_paths()
    if not (context.cert_store_stats()["x509_ca"] or paths.cafile or paths.capath):
        # Some builds of Python (python.org's for macOS) come without any authorities.
        context.load_verify_locations(certifi.where())
    if ca_file:
        context.load_verify_locations(ca_file)
    return context


def inspect(peer: Peer, ca_file: str | None) -> Certificates:
    """Look at what is sent. Raises OSError if no handshake succeeds, even without verifying."""
    context = unverifying()
    version, sent, _ = peer.shake(context)
    leaf = _read(peer, sent[0])
    path = _path(leaf, _authorities(sent[1:]))

    store, by_file = _ignoring(trusting()), False
    code, message = peer.verify(store)
    if code and ca_file:
        store = _ignoring(trusting(ca_file))
        by_file = not (second := peer.verify(store))[0]
        code, message = second
    dated = trusting(ca_file if by_file else None)
    dated.check_hostname = False
    named = _anchored(sent[0])
    named.check_hostname = True
    return Certificates(
        version=version,
        path=path,
        trust_code=code,
        trust_message=message,
        whole=_meets(path, store),
        by_file=by_file,
        name_code=peer.verify(named)[0],
        date_code=0 if code else peer.verify(dated)[0],
    )


def unverifying() -> ssl.SSLContext:
    """Make a context to look at what a server presents; nothing secret may be sent over it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def outdated(peer: Peer) -> str:
    """Return the protocol older than TLS 1.2 that the server agrees to, or an empty string."""
    context = unverifying()
    # Not TLSv1 by name, which Python deprecates; level 0 lets OpenSSL 3 speak it at all.
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ALL:@SECLEVEL=0")
    try:
        return peer.shake(context)[0]
    except OSError:
        return ""


def common_name(name: Name) -> str:
    """Return the part of a distinguished name that people call it by."""
    parts = {key: value for rdn in name for key, value in rdn}
    for key in ("commonName", "organizationalUnitName", "organizationName"):
        if key in parts:
            return parts[key]
    return "a nameless authority"


def _sent(sock: ssl.SSLSocket) -> list[bytes]:
    if sys.version_info >= (3, 13):
        return sock.get_unverified_chain()
    # 3.10 to 3.12 have the same below the surface, and no longer change.
    below: Any = sock
    der = 2
    return [shown.public_bytes(der) for shown in below._sslobj.get_unverified_chain()]


def _ignoring(context: ssl.SSLContext) -> ssl.SSLContext:
    context.check_hostname = False
    context.verify_flags |= ssl.VerifyFlags(_IGNORE_DATES)
    return context


def _anchored(der: bytes) -> ssl.SSLContext:
    """Trust this one certificate for what it is, whoever issued it, whatever its dates."""
    context = _ignoring(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=der)
    return context


def _read(peer: Peer, der: bytes) -> Certificate:
    # Python decodes a certificate only once it is verified, so it is verified against itself.
    return peer.shake(_anchored(der))[2]


def _authorities(ders: list[bytes]) -> list[Certificate]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for der in ders:
        context.load_verify_locations(cadata=der)
    return context.get_ca_certs()


def _path(leaf: Certificate, sent: list[Certificate]) -> tuple[Certificate, ...]:
    path = [leaf]
    by_subject = {certificate["subject"]: certificate for certificate in sent}
    while (above := by_subject.pop(path[-1]["issuer"], None)) is not None:
        path.append(above)
    return tuple(path)


def _meets(path: tuple[Certificate, ...], store: ssl.SSLContext) -> bool:
    # Windows keeps intermediates among its authorities, so a verified chain may still be one
    # that others can't complete: only a root counts.
    roots = {c["subject"] for c in store.get_ca_certs() if c["subject"] == c["issuer"]}
    return any(c["issuer"] in roots or c["subject"] in roots for c in path)
