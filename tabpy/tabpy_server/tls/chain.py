"""What stands in the file of certificates: the server's own, and those of the authorities above it.

Python shows a certificate only to who trusts it. So each one is trusted, for a moment, by somebody
who does nothing else: an authority's where it's loaded, the server's own in a handshake in memory.
"""

import re
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tabpy.tabpy_server.errors import StartError

PEM = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
# X509_V_FLAG_NO_CHECK_TIME of OpenSSL's x509_vfy.h; Python's ssl has no name for it.
IGNORE_DATES = 0x200000
NO_ISSUER = (2, 20, 21)  # the X509_V_ERR numbers for a chain that ends nowhere
TURNS = 10  # a handshake takes two or three

Certificate = dict[str, Any]  # as SSLSocket.getpeercert() gives it


@dataclass(frozen=True)
class Dates:
    """From when to when something holds, in seconds since 1970."""

    begins: float
    ends: float


def split(text: str) -> list[bytes]:
    """Return the certificates of a PEM file, as DER. Raises ValueError for one that is none."""
    return [ssl.PEM_cert_to_DER_cert(each) for each in PEM.findall(text)]


def read(ders: Sequence[bytes], server: ssl.SSLContext) -> tuple[Certificate, ...]:
    """Return the certificates: the one that `server` presents, and the authorities' after it.

    Raises ssl.SSLError or ValueError for what is no certificate, no server's or no authority's.
    """
    return (_own(ders[0], server), *map(_authority, ders[1:]))


def _authority(der: bytes) -> Certificate:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=der)
    for certificate in context.get_ca_certs():
        return certificate
    raise ValueError("one after the first is no authority's")


def _own(der: bytes, server: ssl.SSLContext) -> Certificate:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VerifyFlags(IGNORE_DATES)
    client.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(cadata=der)
    return _shake(server, client).getpeercert() or {}


def _shake(server: ssl.SSLContext, client: ssl.SSLContext) -> ssl.SSLObject:
    """Have two sides greet each other in memory, and return the client's."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = (
        client.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(TURNS):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            if side is sides[0]:
                return side
    raise ValueError("the handshake has no end")


def dates(certificate: Certificate) -> Dates:
    """Return from when to when it holds."""
    return Dates(
        float(ssl.cert_time_to_seconds(certificate["notBefore"])),
        float(ssl.cert_time_to_seconds(certificate["notAfter"])),
    )


def check_dates(certificates: Sequence[Certificate], now: float) -> Dates:
    """Return from when to when all of them hold. Raises StartError if one doesn't at `now`."""
    all_dates = [dates(each) for each in certificates]
    for number, (certificate, of_it) in enumerate(zip(certificates, all_dates, strict=True), 1):
        which = f"TABPY_CERTIFICATE_FILE: certificate {number} of {len(certificates)}"
        if now > of_it.ends:
            raise StartError(
                f"{which}, {name(certificate)}, expired on {moment(of_it.ends)}: renew it, and put "
                "the new one there with those that came with it."
            )
        if now < of_it.begins:
            raise StartError(
                f"{which}, {name(certificate)}, is not valid until {moment(of_it.begins)}: wait, "
                "or set this machine's clock."
            )
    return Dates(max(each.begins for each in all_dates), min(each.ends for each in all_dates))


def gap(certificates: Sequence[Certificate], server: ssl.SSLContext) -> str | None:
    """Return a warning where clients can't get from the server's certificate to an authority."""
    by_subject = {each["subject"]: each for each in certificates[1:]}
    last = certificates[0]
    while (above := by_subject.pop(last["issuer"], None)) is not None:
        last = above
    is_whole = last["subject"] == last["issuer"] or (len(certificates) > 1 and not by_subject)
    if is_whole or _is_trusted(server):
        return None
    issuer = _common_name(last["issuer"])
    return (
        f"TABPY_CERTIFICATE_FILE has no certificate of '{issuer}', which issued that of "
        f"{name(last)}. Unless clients trust '{issuer}' itself, Tableau can't connect: the file "
        "has to have the whole chain, the server's own first (often called fullchain.pem)."
    )


def _is_trusted(server: ssl.SSLContext) -> bool:
    """Tell whether this machine knows who issued the last certificate that `server` sends."""
    client = ssl.create_default_context()
    client.check_hostname = False
    try:
        _shake(server, client)
    except ssl.SSLCertVerificationError as error:
        return error.verify_code not in NO_ISSUER
    return True


def name(certificate: Certificate) -> str:
    """Return what people call it by, in quotes."""
    names = [text for kind, text in certificate.get("subjectAltName", ()) if kind == "DNS"]
    return f"'{names[0] if names else _common_name(certificate['subject'])}'"


def _common_name(parts: tuple[tuple[tuple[str, str], ...], ...]) -> str:
    found = {key: text for part in parts for key, text in part}
    for key in ("commonName", "organizationalUnitName", "organizationName"):
        if key in found:
            return found[key]
    return "nameless"


def moment(seconds: float) -> str:
    """Return a time as people read it, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
