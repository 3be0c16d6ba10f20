"""The steps below HTTP: the name, the connection, TLS, and the unencrypted port beside it."""

import ipaddress
import os
import socket
import ssl
import time
from dataclasses import replace

from tabpy.check.client import Reply, UnansweredError, send
from tabpy.check.report import Finding, fail, ok, warn
from tabpy.check.session import Session
from tabpy.check.target import Target
from tabpy.check.tls import Peer, inspect, outdated, unverifying

_CONNECT_SECONDS = 5.0
# Longer than a handshake takes. A port that speaks http waits for more, often for much longer.
_SILENT_SECONDS = 1.0


def resolve(session: Session) -> Finding:
    host = session.target.host
    try:
        found = socket.getaddrinfo(host, session.target.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return fail(
            f"{host} has no address ({error.strerror})",
            "look for a typing mistake, and whether it's a name of a network that you aren't in",
        )
    session.addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    private = not any(ipaddress.ip_address(address).is_global for address in session.addresses)
    note = "a private address: Tableau Cloud can't reach it, Desktop and Server may"
    return ok(f"{host} is {', '.join(session.addresses)}", note if private else "")


def connect(session: Session) -> Finding:
    """Try the addresses in turn, and leave the ones that answer in the session."""
    port = session.target.port
    answering: list[str] = []
    errors: list[OSError] = []
    start = time.monotonic()
    for address in session.addresses:
        try:
            seconds = min(_CONNECT_SECONDS, session.timeout)
            socket.create_connection((address, port), seconds).close()
        except OSError as error:
            errors.append(error)
        else:
            answering.append(address)
    took = time.monotonic() - start
    if not answering:
        return _unreachable(session.target, errors[0])
    silent = [address for address in session.addresses if address not in answering]
    session.addresses = answering
    if silent:
        return warn(
            f"port {port} answers on {', '.join(answering)}, but not on {', '.join(silent)}",
            f"where Tableau can't connect, type {answering[0]} as its host name"
            if not session.target.ssl
            else "remove the address that doesn't answer from the DNS",
        )
    return ok(f"port {port} answers, in {took * 1000 / len(answering):.0f} ms")


def _unreachable(target: Target, error: OSError) -> Finding:
    usual = "443 on Heroku and behind other https proxies, 9004 where tabpy runs by itself"
    proxied = (
        "; this check connects directly, not through the proxy of HTTPS_PROXY"
        if os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
        else ""
    )
    if isinstance(error, ConnectionRefusedError):
        return fail(
            f"nothing listens on port {target.port} of {target.host}",
            f"check that the server runs, and its port: {usual}",
        )
    if isinstance(error, TimeoutError):
        return fail(
            f"port {target.port} of {target.host} doesn't answer",
            f"a firewall drops it, or host name or port are wrong ({usual}){proxied}",
        )
    return fail(
        f"no way to port {target.port} of {target.host} ({error.strerror or error})",
        f"check the network and the firewall{proxied}",
    )


def handshake(session: Session) -> Finding:
    """Try TLS as such; leave the certificates to the steps that judge them."""
    target = session.target
    peer = _peer(session)
    try:
        if _is_silent(peer) and _speaks_http(session):
            return _plain_http(target)
        session.certificates = inspect(peer, session.ca_file)
    except ssl.SSLCertVerificationError as error:
        return fail(
            f"the server's certificate is unusable ({error.verify_message})",
            "get one for a web server, of at least 2048 bits (RSA) or 256 (elliptic curve)",
        )
    except OSError as error:
        if _speaks_http(session):
            return _plain_http(target)
        if version := outdated(peer):
            return fail(
                f"the server knows {version} at best, which is too old",
                "let it speak TLS 1.2 or newer (TABPY_MINIMUM_TLS_VERSION, or the proxy's setting)",
            )
        reason = getattr(error, "reason", None) or str(error)
        return fail(f"no TLS on port {target.port} ({reason})", "check that it's the https port")
    return ok(f"{session.certificates.version}")


def _is_silent(peer: Peer) -> bool:
    """Tell whether a handshake gets no answer, as good or bad as it may be, in its first second."""
    try:
        replace(peer, timeout=min(_SILENT_SECONDS, peer.timeout)).shake(unverifying())
    except TimeoutError:
        return True
    except OSError:
        return False
    return False


def _plain_http(target: Target) -> Finding:
    plain = replace(target, ssl=False)
    return fail(
        f"port {target.port} speaks plain http, not TLS",
        "switch TLS on in the server; or, within your own network, leave Require SSL off: "
        f"tabpy-check {plain.url}",
    )


def speaks_tls(session: Session) -> bool:
    """Tell whether a port that was to speak http speaks TLS."""
    try:
        _peer(session).shake(unverifying())
    except OSError:
        return False
    return True


def _peer(session: Session) -> Peer:
    target = session.target
    return Peer(
        session.addresses[0], target.port, target.host, min(_CONNECT_SECONDS, session.timeout)
    )


def _speaks_http(session: Session) -> bool:
    plain = Target(session.target.host, session.target.port, ssl=False)
    try:
        _anonymous_info(session, plain)
    except UnansweredError:
        return False
    return True


def unencrypted(session: Session) -> Finding:
    """Check that nobody who forgets "require SSL" sends the password in clear."""
    if not session.target.ssl:
        return warn(
            "the connection isn't encrypted: the password and all data cross the network in clear",
            "fine on your own computer; elsewhere switch TLS on. Tableau Cloud needs https",
        )
    plain = Target(session.target.host, session.plain_port, ssl=False)
    try:
        reply = _anonymous_info(session, plain)
    except UnansweredError:
        return ok(f"no http on port {plain.port}")
    location = reply.headers.get("Location", "").lower()
    if 300 <= reply.status < 400 and location.startswith("https:"):
        return ok(f"http on port {plain.port} is redirected to https")
    if reply.status == 401 or reply.status < 400:
        return warn(
            f"port {plain.port} answers in clear too (status {reply.status})",
            "redirect http to https: a connection without Require SSL would send the password "
            "in clear",
        )
    return ok(f"http on port {plain.port} is refused (status {reply.status})")


def _anonymous_info(session: Session, target: Target) -> Reply:
    seconds = min(_CONNECT_SECONDS, session.timeout)
    return send(target, session.trust, ("GET", "/info", None), authorization=None, timeout=seconds)
