"""An issuer of tokens for tests: its keys, and an https server of them."""

import json
import ssl
import threading
import time
from collections.abc import Mapping
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import trustme
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tabpy.tabpy_server.access.key_download import Key, read

URL = "https://issuer.example/"
AUDIENCE = "tabpy"

PRIVATE: dict[str, Any] = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "RS256": rsa.generate_private_key(65537, 2048),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


class Issuer:
    """Signs tokens with its `keys`: an algorithm and a private key for each id."""

    def __init__(self) -> None:
        self.keys: dict[str, tuple[str, Any]] = {"first": ("ES256", PRIVATE["ES256"])}

    def rotate(self, identity: str) -> None:
        """Have a new key, and no other."""
        self.keys = {identity: ("ES256", ec.generate_private_key(ec.SECP256R1()))}

    def entries(self) -> list[dict[str, Any]]:
        """The public keys, as a key set has them."""
        return [
            public(private, kid=identity, alg=algorithm, use="sig")
            for identity, (algorithm, private) in self.keys.items()
        ]

    def known(self) -> Mapping[str, Key]:
        return read(json.dumps({"keys": self.entries()}).encode())

    def token(
        self,
        identity: str = "first",
        *,
        algorithm: str | None = None,
        headers: Mapping[str, Any] | None = None,
        **changed: Any,
    ) -> str:
        """A token that is right, but for what is `changed` in its claims.

        None takes one out, and a timedelta is a time from now.
        """
        own_algorithm, private = self.keys[identity]
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": URL,
            "aud": AUDIENCE,
            "sub": "ann",
            "iat": now,
            "exp": now + 600,
        }
        for name, value in changed.items():
            is_span = isinstance(value, timedelta)
            claims[name] = now + int(value.total_seconds()) if is_span else value
        named = {"kid": identity, **(headers or {})}
        return jwt.encode(
            {name: value for name, value in claims.items() if value is not None},
            private,
            algorithm or own_algorithm,
            {name: value for name, value in named.items() if value is not None},
        )

    def forged(self, identity: str) -> str:
        """A token that names a key of the issuer's, or an invented one; another has signed it."""
        stranger = Issuer()
        stranger.rotate(identity)
        return stranger.token(identity)


def public(private: Any, **more: str) -> dict[str, Any]:
    """The public half of a key as JSON, with what else its entry has."""
    key = private.public_key()
    found: dict[str, Any]
    if isinstance(private, ec.EllipticCurvePrivateKey):
        found = jwt.algorithms.ECAlgorithm.to_jwk(key, as_dict=True)
    elif isinstance(private, rsa.RSAPrivateKey):
        found = jwt.algorithms.RSAAlgorithm.to_jwk(key, as_dict=True)
    else:
        found = jwt.algorithms.OKPAlgorithm.to_jwk(key, as_dict=True)
    return {**found, **more}


class KeyServer:
    """Serves the keys of `issuer` at `uri`, or `content` in their place.

    `status` is that of its answers. It answers when `may_answer` is set; `asked` counts requests.
    """

    def __init__(self, issuer: Issuer, folder: Path) -> None:
        self.issuer = issuer
        self.status = 200
        self.content: bytes | None = None
        self.headers: dict[str, str] = {}
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.asked = 0
        authority = trustme.CA()
        self.authority = folder / "issuers-authority.pem"
        authority.cert_pem.write_to_path(str(self.authority))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.uri = f"https://localhost:{self._server.server_port}/keys"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked += 1
                server.may_answer.wait()
                content = server.content
                if content is None:
                    content = json.dumps({"keys": server.issuer.entries()}).encode()
                self.send_response(server.status)
                for name, value in server.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None: ...

        return Handler

    @property
    def settings(self) -> dict[str, str]:
        """What a server has to be told of the issuer."""
        return {
            "TABPY_OAUTH_ENABLED": "true",
            "TABPY_OAUTH_ISSUER": URL,
            "TABPY_OAUTH_JWKS_URI": self.uri,
            "TABPY_OAUTH_AUDIENCE": AUDIENCE,
            "TABPY_OAUTH_ALLOW_NONPUBLIC_JWKS": "true",
            "SSL_CERT_FILE": str(self.authority),
        }

    def close(self) -> None:
        self.may_answer.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
