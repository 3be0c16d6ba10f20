"""The verdicts on a server's certificates: chain, authority, host name, dates."""

import ssl
import time

from tabpy.check.report import Finding, fail, ok, skip, warn
from tabpy.check.tls import Certificate, Certificates, common_name

_SELF_SIGNED = 18  # X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT
_UNKNOWN_ROOT = 19  # X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN
_NO_ISSUER = (2, 20, 21)  # the three X509_V_ERR for a chain that ends nowhere
_DAY = 86400
_RENEWAL_DAYS = 14

_GET_PUBLIC = (
    "get a certificate from a public authority (Let's Encrypt's are free, and Heroku has one for "
    "each app); for Tableau Desktop and Server alone, trust it there and check with --ca FILE"
)


def chain(certificates: Certificates) -> Finding:
    """Check that the server sends every certificate between its own and a root."""
    last = common_name(certificates.path[-1]["issuer"])
    count = len(certificates.path)
    sent = "1 certificate" if count == 1 else f"{count} certificates"
    if certificates.trust_code in (_SELF_SIGNED, _UNKNOWN_ROOT) or certificates.whole:
        return ok(f"whole, {sent} sent")
    if certificates.trust_code == 0 or (certificates.trust_code in _NO_ISSUER and count == 1):
        where = certificates.path[-1].get("caIssuers", ())
        published = f" ({where[0]})" if where else ""
        return fail(
            f"the server sends {sent}, the last issued by {last!r}: an intermediate "
            f"certificate is missing",
            f"serve the whole chain, the server's certificate followed by {last!r}'s{published}: "
            f"often called fullchain.pem. Browsers fetch what is missing, Tableau doesn't",
        )
    return ok(f"{sent} sent, up to {last!r}")


def authority(certificates: Certificates) -> Finding:
    """Check that somebody whom clients trust vouches for the certificate."""
    issuer = common_name(certificates.leaf["issuer"])
    top = common_name(certificates.path[-1]["issuer"])
    match certificates.trust_code:
        case 0 if certificates.by_file:
            return ok(
                f"issued by {issuer!r}, trusted through --ca",
                "Tableau Desktop and Server trust it where their computer does; Tableau Cloud "
                "accepts public authorities only",
            )
        case 0:
            return ok(f"issued by {issuer!r}, trusted by this computer")
        case code if code == _SELF_SIGNED:
            return fail("the certificate is self-signed: no authority vouches for it", _GET_PUBLIC)
        case code if code == _UNKNOWN_ROOT or (code in _NO_ISSUER and len(certificates.path) > 1):
            return fail(f"{top!r} is no authority that this computer trusts", _GET_PUBLIC)
        case code if code in _NO_ISSUER:
            return skip(f"needs the whole chain, to tell whether {issuer!r} is trusted")
        case code:
            return fail(
                f"the certificate isn't accepted: {certificates.trust_message} ({code})",
                _GET_PUBLIC,
            )


def host_name(certificates: Certificates, host: str) -> Finding:
    """Check that the certificate is for the name that is typed into Tableau."""
    names = [name for _, name in certificates.leaf.get("subjectAltName", ())]
    if certificates.name_code:
        listed = ", ".join(names) or "no name at all"
        return fail(
            f"the certificate isn't for {host}, but for {listed}",
            "type one of these names into Tableau, or get a certificate for this one",
        )
    return ok(f"the certificate is for {host}")


def dates(certificates: Certificates, now: float) -> Finding:
    """Check that the certificate is valid at `now` (Unix time), and for a while."""
    begins = _time(certificates.leaf, "notBefore")
    ends = _time(certificates.leaf, "notAfter")
    if now > ends:
        return fail(f"the certificate expired on {_day(ends)}", "renew it, and serve the new one")
    if now < begins:
        return fail(
            f"the certificate is valid from {_day(begins)} only",
            "wait until then, or set this computer's clock",
        )
    if certificates.date_code:
        return fail(
            f"a certificate above the server's own has expired (its own holds until {_day(ends)})",
            "serve the chain that came with the newest certificate",
        )
    if ends - now < _RENEWAL_DAYS * _DAY:
        return warn(f"the certificate expires on {_day(ends)}", "renew it before")
    return ok(f"valid until {_day(ends)}")


def _time(certificate: Certificate, key: str) -> float:
    return float(ssl.cert_time_to_seconds(certificate[key]))


def _day(seconds: float) -> str:
    # The year 3000 of a test certificate is within reach of gmtime everywhere.
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
