"""Fetching the issuer's keys, from one that may be slow, down or lying, and reading them."""

import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest

pytest.importorskip("jwt", reason="PyJWT isn't installed: pip install '.[oauth]'")

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from tabpy.tabpy_server.access import key_download
from tabpy.tabpy_server.access.key_download import (
    KeyDownloadError,
    download,
    nonpublic_addresses,
    read,
)
from tests.issuer import PRIVATE, Issuer, KeyServer, public


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeyServer]:
    running = KeyServer(Issuer(), tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(running.authority))
    monkeypatch.setenv("NO_PROXY", "localhost")
    yield running
    running.close()


def test_the_keys_come_over_https(server: KeyServer) -> None:
    assert download(server.uri, public_only=False).keys() == {"first"}


def test_a_server_whose_certificate_is_not_trusted_is_not_asked(
    server: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(URLError) as refused:
        download(server.uri, public_only=False)
    assert isinstance(refused.value.reason, ssl.SSLCertVerificationError)
    assert server.asked == 0


def test_a_private_network_is_not_asked(server: KeyServer) -> None:
    with pytest.raises(KeyDownloadError, match="non-public"):
        download(server.uri, public_only=True)
    assert server.asked == 0


@pytest.mark.parametrize("status", [404, 500, 503])
def test_an_error_of_the_issuers_is_no_key_set(server: KeyServer, status: int) -> None:
    server.status = status
    with pytest.raises(URLError, match=str(status)):
        download(server.uri, public_only=False)


def test_a_redirect_is_not_followed(server: KeyServer) -> None:
    server.status = 302
    server.headers = {"Location": server.uri}
    with pytest.raises(URLError, match="302"):
        download(server.uri, public_only=False)
    assert server.asked == 1


def test_an_issuer_that_does_not_answer_is_given_up(
    server: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_download, "TIMEOUT", 0.2)
    server.may_answer.clear()
    with pytest.raises(TimeoutError):
        download(server.uri, public_only=False)


def test_an_answer_without_end_is_given_up(
    server: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_download, "MOST_BYTES", 10)
    with pytest.raises(KeyDownloadError, match="more than 10 bytes"):
        download(server.uri, public_only=False)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "isn't JSON"),
        (b"<html>", "isn't JSON"),
        (b"[" * 100_000, "isn't JSON"),
        (b"\xff", "isn't JSON"),
        (b"[]", "isn't a key set"),
        (b'{"keys": 1}', "isn't a key set"),
        (b'{"keys": []}', "no key"),
        (b'{"keys": [1, null, {}, {"kid": "x"}, {"kid": "x", "kty": "RSA", "n": 1}]}', "no key"),
    ],
    ids=range(8),
)
def test_what_is_no_key_set_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(KeyDownloadError, match=reason):
        read(content)


def entry(**changed: Any) -> dict[str, Any]:
    made = {**public(PRIVATE["ES256"]), "kid": "x", "alg": "ES256", "use": "sig", **changed}
    return {name: value for name, value in made.items() if value is not None}


def keys_of(*entries: dict[str, Any]) -> dict[str, str]:
    """The algorithms of the keys by their ids; the last of them can always be used."""
    found = read(json.dumps({"keys": [*entries, entry(kid="last")]}).encode())
    return {identity: key.algorithm for identity, key in found.items() if identity != "last"}


@pytest.mark.parametrize(
    "unusable",
    [
        entry(use="enc"),
        entry(kid=None),
        entry(kid=7),
        entry(alg="none"),
        entry(alg="HS256"),
        entry(alg=["ES256"]),
        entry(alg="RS256"),
        entry(alg="RSA-OAEP"),
        entry(crv="P-999"),
        {"kty": "oct", "kid": "x", "alg": "HS256", "k": "AAAA"},
        {"kty": "oct", "kid": "x", "k": "AAAA"},
    ],
    ids=lambda each: "-".join(f"{name}={each.get(name)}" for name in ("kty", "alg", "use", "kid")),
)
def test_a_key_that_no_token_may_be_signed_with_is_passed_over(unusable: dict[str, Any]) -> None:
    assert keys_of(unusable) == {}


def test_a_short_rsa_key_is_passed_over() -> None:
    short = public(rsa.generate_private_key(65537, 1024), kid="x")
    assert keys_of(short) == {}


@pytest.mark.parametrize(("kind", "algorithm"), [("RS256", "RS256"), ("ES256", "ES256")])
def test_a_key_that_names_no_algorithm_has_the_usual_one(kind: str, algorithm: str) -> None:
    assert keys_of(public(PRIVATE[kind], kid="x")) == {"x": algorithm}


def test_a_private_key_is_passed_over_everybody_could_sign_with_it() -> None:
    private = jwt.algorithms.ECAlgorithm.to_jwk(PRIVATE["ES256"], as_dict=True)
    assert "d" in private
    assert keys_of({**private, "kid": "x"}) == {}


def test_of_two_keys_with_one_id_the_first_counts() -> None:
    other = public(PRIVATE["RS256"], kid="x", alg="RS256")
    assert keys_of(entry(), other) == {"x": "ES256"}


@pytest.mark.parametrize(
    ("address", "is_public"),
    [
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("::1", False),
        ("fe80::1%2", False),
        ("8.8.8.8", True),
    ],
)
def test_addresses_of_private_networks_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, address: str, is_public: bool
) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    expected = [] if is_public else [address.partition("%")[0]]
    assert nonpublic_addresses("issuer.example", 443) == expected
