"""Arrow Flight over TLS, and with tokens of an identity provider."""

import http.client
import json
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

if sys.platform != "linux":
    pytest.skip("Arrow Flight needs Linux", allow_module_level=True)
pytest.importorskip("pyarrow", reason="pyarrow isn't installed: pip install '.[flight]'")
pytest.importorskip("jwt", reason="PyJWT isn't installed: pip install '.[oauth]'")

from pyarrow import flight

from tests.flight.flying import DOUBLE, FlightServer, User, table
from tests.issuer import Issuer, KeyServer
from tests.issuing import HOST, ROOT, Files, at, encrypted, files_in, issue, trusting
from tests.running import USER, until

PHRASE = "not a real phrase"


class SecureServer(FlightServer):
    """One that speaks https and grpc+tls."""

    def connect(self, timeout: float) -> http.client.HTTPConnection:
        return http.client.HTTPSConnection(HOST, self.port, timeout=timeout, context=trusting())

    def connect_flight(self, **_: Any) -> Any:
        return super().connect_flight(tls_root_certs=ROOT.cert_pem.bytes())

    def handshake(self, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLSocket:
        context = trusting()
        context.maximum_version = version
        context.set_alpn_protocols(["h2"])
        connection = socket.create_connection((HOST, self.flight_port), timeout=10)
        return context.wrap_socket(connection, server_hostname=HOST)

    def expires(self) -> float:
        """When the certificate that a new connection is shown expires."""
        with self.handshake() as client:
            certificate = client.getpeercert()
            assert client.selected_alpn_protocol() == "h2"
        assert certificate is not None
        return ssl.cert_time_to_seconds(certificate["notAfter"])  # type: ignore[arg-type] # a text


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return files_in(tmp_path)


@pytest.fixture
def start(tmp_path: Path, files: Files) -> Iterator[Callable[..., SecureServer]]:
    servers: list[SecureServer] = []

    def start_one(**settings: str) -> SecureServer:
        given = {"WEB_CONCURRENCY": "1", **files.settings, **settings}
        servers.append(SecureServer(tmp_path, given))
        servers[-1].wait_until_ready()
        return servers[-1]

    yield start_one
    for each in servers:
        each.kill()


def test_a_renewed_certificate_costs_neither_a_table_nor_a_call(
    start: Callable[..., SecureServer], files: Files
) -> None:
    server = start()
    user = server.user()
    user.put("p", table(n=[1]))
    with server.handshake(ssl.TLSVersion.TLSv1_2) as older:
        assert older.version() == "TLSv1.2"  # the minimum, by default
    stop, problems, count = threading.Event(), list[object](), 0

    def load() -> None:
        nonlocal count
        while not stop.is_set():
            try:  # a connection of its own each time
                assert server.user().act("healthcheck") == []
                assert user.info("p").total_records == 1
            except Exception as error:  # noqa: BLE001 - whatever it is, none may come
                problems.append(error)
            count += 1

    loading = threading.Thread(target=load)
    loading.start()
    for year in (2101, 2102):
        files.put(issue(ends=at(year)))
        until(lambda: server.expires() == at(year).timestamp(), "the new one is shown")  # noqa: B023
    before = count
    until(lambda: count > before + 2, "calls go on")
    stop.set()
    loading.join()
    assert problems == []
    assert user.get("p").to_pydict() == {"n": [1]}


def test_flight_has_the_same_key_file_pass_phrase_and_minimum_version(
    start: Callable[..., SecureServer], files: Files
) -> None:
    leaf = issue(ends=at(2100))
    files.put(leaf, encrypted(leaf, PHRASE))
    server = start(TABPY_KEY_PASSWORD=PHRASE, TABPY_MINIMUM_TLS_VERSION="TLSv1_3")
    assert server.user().flow(DOUBLE, table(n=[1])).to_pydict() == {"n": [2]}
    with server.handshake() as newer:
        assert newer.version() == "TLSv1.3"
    with pytest.raises(ssl.SSLError):
        server.handshake(ssl.TLSVersion.TLSv1_2)


def test_who_speaks_no_tls_or_says_nothing_delays_nobody(
    start: Callable[..., SecureServer],
) -> None:
    server = start()
    address = HOST, server.flight_port
    with ExitStack() as silent:
        for _ in range(20):
            silent.enter_context(socket.create_connection(address))
        assert server.user().act("healthcheck") == []
    plain = flight.connect(f"grpc://{HOST}:{server.flight_port}")
    with pytest.raises(flight.FlightError):
        plain.authenticate_basic_token(USER, "x", flight.FlightCallOptions(timeout=20))


# Tokens


@pytest.fixture
def key_server(tmp_path: Path) -> Iterator[KeyServer]:
    folder = tmp_path / "issuer"
    folder.mkdir()
    running = KeyServer(Issuer(), folder)
    yield running
    running.close()


@pytest.fixture
def flying(tmp_path: Path, key_server: KeyServer) -> Iterator[FlightServer]:
    settings = {**key_server.settings, "WEB_CONCURRENCY": "1"}
    running = FlightServer(tmp_path, {**settings, "TABPY_OAUTH_ENFORCE_ENDPOINT_SCOPES": "true"})
    running.wait_until_ready()
    yield running
    running.kill()


def bearer(server: FlightServer, token: str) -> User:
    header = (b"authorization", f"Bearer {token}".encode())
    return User(server, "", server.connect_flight(), [header])


def test_tokens_are_taken_beside_passwords_with_the_rights_of_their_scopes(
    flying: FlightServer, key_server: KeyServer
) -> None:
    issuer = key_server.issuer
    token = issuer.token(scope="tabpy:evaluate")
    user = bearer(flying, token)
    user.put("p", table(n=[1]))
    headers = {"Authorization": f"Bearer {token}"}
    body = json.dumps({"script": DOUBLE, "dataPath": "p"})
    reply = flying.request("POST", "/evaluate", body, user=None, headers=headers)
    again = bearer(flying, issuer.token(scope="tabpy:evaluate"))  # the same person's
    assert again.get(reply.json["outputDataPath"]).to_pydict() == {"n": [2]}
    assert flying.user().flow(DOUBLE, table(n=[1])).to_pydict() == {"n": [2]}

    user.put("mine", table(n=[1]))
    assert bearer(flying, issuer.token(scope="tabpy:evaluate", sub="bob")).paths() == []
    lacking = bearer(flying, issuer.token(scope="tabpy:query"))
    assert lacking.act("healthcheck") == []
    with pytest.raises(flight.FlightUnauthorizedError, match="tabpy:evaluate"):
        lacking.paths()
    for wrong in (issuer.forged("first"), issuer.token(aud="another"), "no.token"):
        with pytest.raises(flight.FlightUnauthenticatedError, match="Invalid credentials"):
            bearer(flying, wrong).paths()
    assert flying.log_lines("msg=flight", "user=oauth: ")
    assert "oauth:ann" not in flying.log
