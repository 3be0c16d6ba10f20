"""The issuer's keys, fetched over https and read: bounded in time and size, whatever comes."""

import ipaddress
import json
import socket
import ssl
import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

TIMEOUT = 10.0  # seconds
MOST_BYTES = 1 << 20
MOST_KEYS = 100
# Signatures of key pairs only: with one of a shared secret (HS256), whoever reads the key set
# could make tokens.
ALGORITHMS = {
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "ES256K", "EdDSA"),
}
RSA_BITS = range(2048, 8193)


class Key(NamedTuple):
    """A public key: the one algorithm that it is for, its parameters, and PyJWT's object for it."""

    algorithm: str
    parameters: Mapping[str, Any]
    jwk: Any


class KeyDownloadError(Exception):
    """Why there are no keys, in words for the log."""


class _NoRedirects(HTTPRedirectHandler):
    """Keys come from the host that was checked, and no other."""

    def redirect_request(self, *_: Any) -> None:
        return None


def download(uri: str, *, public_only: bool) -> Mapping[str, Key]:
    """Return the keys at `uri` by their ids. Blocks, for twice `TIMEOUT` at most.

    `public_only`: not from an address of a private network. Raises KeyDownloadError, and whatever
    urllib raises.
    """
    parts = urlsplit(uri)
    if public_only and nonpublic_addresses(parts.hostname or "", parts.port or 443):
        raise KeyDownloadError("the host has come to resolve to a non-public address")
    opener = build_opener(HTTPSHandler(context=ssl.create_default_context()), _NoRedirects)
    deadline = time.monotonic() + TIMEOUT
    request = Request(uri, headers={"Accept": "application/json"})  # noqa: S310 - checked: https
    content = b""
    with opener.open(request, timeout=TIMEOUT) as response:
        while piece := response.read1(1 << 16):
            content += piece
            if len(content) > MOST_BYTES:
                raise KeyDownloadError(f"the answer has more than {MOST_BYTES} bytes")
            if time.monotonic() > deadline:
                raise KeyDownloadError(f"the answer took more than {TIMEOUT:.0f} s")
    return read(content)


def read(content: bytes) -> Mapping[str, Key]:
    """Return the keys of a JWK set (RFC 7517) that tokens may be signed with, by their ids.

    Keys that can't be used are passed over. Raises KeyDownloadError if none is left.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise KeyDownloadError("the answer isn't JSON") from None
    entries = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(entries, list):
        raise KeyDownloadError('the answer isn\'t a key set, {"keys": [...]}')
    keys: dict[str, Key] = {}
    for entry in entries[:MOST_KEYS]:
        key = _key(entry) if isinstance(entry, dict) else None
        if key is not None:
            keys.setdefault(entry["kid"], key)
    if not keys:
        raise KeyDownloadError("no key of the answer can be used")
    return keys


def _key(entry: Mapping[str, Any]) -> Key | None:
    import jwt

    if not _may_sign(entry):
        return None
    try:
        jwk = jwt.PyJWK(dict(entry))
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None
    is_too_short_or_slow = entry["kty"] == "RSA" and jwk.key.key_size not in RSA_BITS
    if is_too_short_or_slow or jwk.algorithm_name not in ALGORITHMS:
        return None
    return Key(jwk.algorithm_name, entry, jwk)


def _may_sign(entry: Mapping[str, Any]) -> bool:
    """Tell whether a key is public, has an id, and is meant for signatures that are taken here."""
    identity, algorithm = entry.get("kid"), entry.get("alg")
    return (
        isinstance(identity, str)
        and identity != ""
        and "d" not in entry
        and entry.get("use", "sig") == "sig"
        and (algorithm is None or (isinstance(algorithm, str) and algorithm in ALGORITHMS))
    )


def nonpublic_addresses(host: str, port: int) -> list[str]:
    """Return the addresses of `host` that aren't reached over the internet. Blocks.

    Raises OSError or UnicodeError if it has no address.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = dict.fromkeys(str(each[4][0]).partition("%")[0] for each in found)
    return [address for address in addresses if not ipaddress.ip_address(address).is_global]
