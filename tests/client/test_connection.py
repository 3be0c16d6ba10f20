"""How `Client` reaches a server: addresses, certificates, credentials, and failures in words."""

import os
import socket
import ssl
import subprocess
import sys
import threading
import warnings
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests
import trustme

from tabpy.tabpy_tools import connection, other_scheme
from tabpy.tabpy_tools.client import Client
from tabpy.tabpy_tools.failures import ServerTimeoutError, ServerUnreachableError
from tabpy.tabpy_tools.rest import ResponseError
from tests.client.fake_server import Answer, FakeServer, fake_server


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"),
        *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"),
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with fake_server() as fake:
        fake.answers["GET /status"] = Answer({"add": {"version": 1}})
        yield fake


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def authority_file(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def tls_server(authority: trustme.CA) -> Iterator[FakeServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with fake_server(certificate=context) as fake:
        fake.answers["GET /status"] = Answer({})
        yield fake


@pytest.mark.parametrize("ending", ["", "/", "//"])
def test_an_address_with_or_without_a_slash(server: FakeServer, ending: str) -> None:
    assert Client(server.url + ending).get_status() == {"add": {"version": 1}}


@pytest.mark.parametrize("ending", ["", "/"])
def test_a_path_in_front(server: FakeServer, ending: str) -> None:
    server.answers["GET /some/tabpy/status"] = Answer({"under": {}})
    assert Client(f"{server.url}/some/tabpy{ending}").get_status() == {"under": {}}


def test_an_ipv6_address() -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        pytest.skip(f"this machine has no IPv6 loopback: {error}")
    with fake_server("::1") as server:
        server.answers["GET /status"] = Answer({})
        assert Client(server.url).get_status() == {}


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("", "begins with http:// or https://"),
        ("localhost:9004", "begins with http:// or https://"),
        ("http:/example.com", "begins with http:// or https://"),
        ("ftp://example.com", "begins with http:// or https://"),
        ("http://:9004", "names no host"),
        ("http://exam ple.com", "names no host"),
        ("http://example.com:0", "names no host and port"),
        ("http://example.com:99999", "[Pp]ort"),
        ("http://::1:9004", r"isn't an address such as"),
        ("http://[::1", "isn't an address"),
        ("http://example.com/?a=1", "no \\? or # part"),
        ("http://example.com/#a", "no \\? or # part"),
    ],
)
def test_an_address_that_is_none(address: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Client(address)


def test_an_address_that_is_no_string() -> None:
    with pytest.raises(TypeError, match="is a string such as http://localhost:9004"):
        Client(9004)  # type: ignore[arg-type]


@pytest.mark.parametrize("address", ["http://ann:hush@example.com", "ann:hush@example.com"])
def test_a_password_in_the_address_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(ValueError, match="call set_credentials") as refusal:
        Client(address)
    assert "hush" not in str(refusal.value)


def test_an_unknown_authority_is_refused_with_the_way_out(tls_server: FakeServer) -> None:
    with pytest.raises(ServerUnreachableError, match=r"ca_certificates='authority.pem'") as failure:
        Client(tls_server.url).get_status()
    assert tls_server.url in str(failure.value)
    assert tls_server.requests == []


def test_a_private_authority_is_trusted_when_given(
    tls_server: FakeServer, authority_file: str
) -> None:
    assert Client(tls_server.url, ca_certificates=authority_file).get_status() == {}


def test_a_certificate_for_another_name_is_refused(
    tls_server: FakeServer, authority_file: str
) -> None:
    with pytest.raises(ServerUnreachableError, match=r"is for another name: .*localhost"):
        Client(
            tls_server.url.replace("127.0.0.1", "localhost"), ca_certificates=authority_file
        ).get_status()


def test_verification_can_be_switched_off_with_one_warning(
    tls_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.warns(UserWarning, match="isn't checked") as said:
        client = Client(tls_server.url, verify=False)
    assert said[0].filename == __file__
    assert client.get_status() == {}  # any warning now would be an error
    # requests would prefer this variable to the session's setting.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    assert client.get_status() == {}


def test_without_tls_there_is_nothing_to_warn_of(server: FakeServer) -> None:
    assert Client(server.url, verify=False).get_status()


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_an_authority_file_that_is_none(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "authority.pem"
    if content:
        path.write_text(content)
    with pytest.raises(ValueError, match=r"ca_certificates.*authority.pem"):
        Client("https://localhost", ca_certificates=str(path))


def test_an_authority_and_no_verification_contradict(authority_file: str) -> None:
    with pytest.raises(ValueError, match="leave one of them out"):
        Client("https://localhost", ca_certificates=authority_file, verify=False)


def test_credentials_go_along_in_utf8_colons_in_the_password_included(server: FakeServer) -> None:
    client = Client(server.url)
    client.set_credentials("ann", "p:ä→ß")
    client.get_status()
    scheme, encoded = server.last.headers["Authorization"].split()
    assert (scheme, b64decode(encoded).decode()) == ("Basic", "ann:p:ä→ß")


def test_a_token_goes_along_in_place_of_credentials(server: FakeServer) -> None:
    client = Client(server.url)
    client.set_credentials("ann", "hush")
    client.set_token("abc.def")
    client.get_status()
    assert server.last.headers["Authorization"] == "Bearer abc.def"


@pytest.mark.parametrize("token", ["", "Bearer abc", "ab\nc", "ä", None])
def test_a_token_that_cannot_be_one(token: str) -> None:
    with pytest.raises(ValueError, match="one word of ASCII"):
        Client("http://localhost").set_token(token)


def test_a_user_name_with_a_colon_is_refused() -> None:
    with pytest.raises(ValueError, match="can't contain a colon"):
        Client("http://localhost").set_credentials("a:b", "hush")


def test_a_missing_password_is_refused() -> None:
    with pytest.raises(TypeError, match="are strings"):
        Client("http://localhost").set_credentials("ann", os.environ.get("UNSET"))  # type: ignore[arg-type]


def test_no_password_on_screen_or_in_a_log(
    server: FakeServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    server.answers["GET /status"] = Answer({"message": "no", "info": "no"}, 401)
    caplog.set_level("DEBUG")
    client = Client(server.url, remote_server=True, localhost_endpoint="http://localhost:1")
    client.set_credentials("ann", "hush")
    with pytest.raises(ResponseError) as failure:
        client.get_status()
    shown = repr(client) + str(failure.value) + caplog.text + "".join(capfd.readouterr())
    assert "hush" not in shown
    assert server.last.headers["Authorization"].removeprefix("Basic ") not in shown


def test_401_says_to_set_credentials(server: FakeServer) -> None:
    server.answers["GET /status"] = Answer(
        {"message": "Invalid credentials provided.", "info": "Unauthorized request."}, 401
    )
    with pytest.raises(ResponseError, match="call set_credentials") as failure:
        Client(server.url).get_status()
    error = failure.value
    assert (error.status_code, error.message, error.info) == (
        401,
        "Invalid credentials provided.",
        "Unauthorized request.",
    )
    assert str(error).startswith("401 Invalid credentials provided. (Unauthorized request.)")


@pytest.mark.parametrize("status", [200, 503])
def test_an_answer_of_something_else_is_named(server: FakeServer, status: int) -> None:
    server.answers["GET /status"] = Answer(b"<html>", status, {"Content-Type": "text/html"})
    with pytest.raises(ResponseError, match="isn't TabPy's JSON but text/html") as failure:
        Client(server.url).get_status()
    assert "<html>" not in str(failure.value)


def test_a_redirect_is_named_and_not_followed(server: FakeServer) -> None:
    elsewhere = {"Location": f"{server.url}/elsewhere"}
    server.answers["GET /status"] = Answer(None, 301, elsewhere)
    with pytest.raises(ResponseError, match=r"sends us on to http.*/elsewhere"):
        Client(server.url).get_status()
    assert len(server.requests) == 1


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ServerUnreachableError, match=f"Nothing listens at {url}") as failure:
            Client(url).get_status()
    assert isinstance(failure.value, ConnectionError | requests.exceptions.ConnectionError)
    assert failure.value.__suppress_context__
    assert "urllib3" not in str(failure.value)


def test_a_failure_while_another_is_handled_names_its_own_cause(server: FakeServer) -> None:
    server.answers["POST /query/add"] = Answer(status=0)
    try:
        raise OSError("disk full")
    except OSError:
        with pytest.raises(ServerUnreachableError, match=r"broke off \(RemoteDisconnected\)"):
            Client(server.url).query("add", 1)


def test_a_get_that_breaks_off_is_tried_once_more(server: FakeServer) -> None:
    server.answers["GET /status"] = [Answer(status=0), Answer({})]
    assert Client(server.url).get_status() == {}


def test_a_get_that_breaks_off_twice_fails(server: FakeServer) -> None:
    server.answers["GET /status"] = [Answer(status=0), Answer(status=0), Answer({})]
    with pytest.raises(ServerUnreachableError, match="is the address right"):
        Client(server.url).get_status()


def test_a_query_that_breaks_off_is_not_sent_twice(server: FakeServer) -> None:
    server.answers["POST /query/add"] = Answer(status=0)
    with pytest.raises(ServerUnreachableError):
        Client(server.url).query("add", 1)
    assert len(server.requests) == 1


def test_a_query_waits_for_its_timeout_in_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = Client(f"http://127.0.0.1:{silent.getsockname()[1]}", query_timeout=0.05)
        with pytest.raises(ServerTimeoutError, match=r"/query/add hasn't answered within 0\.\d s"):
            client.query("add", 1)


def test_https_to_a_server_of_http_is_told_with_the_right_address(server: FakeServer) -> None:
    wrong = server.url.replace("http:", "https:")
    place = server.url.removeprefix("http://")
    with pytest.raises(ServerUnreachableError) as failure:
        Client(wrong).get_status()
    assert str(failure.value) == (
        f"The server at {place} speaks http, not https: use {server.url}."
    )
    assert "Authorization" not in str([each.headers for each in server.requests])


def test_http_to_a_server_of_https_is_told_with_the_right_address(tls_server: FakeServer) -> None:
    wrong = tls_server.url.replace("https:", "http:")
    place = tls_server.url.removeprefix("https://")
    client = Client(wrong)
    client.set_credentials("ann", "hush")
    with pytest.raises(ServerUnreachableError) as failure:
        client.query("add", 1)
    assert str(failure.value) == (
        f"The server at {place} speaks https, not http: use {tls_server.url}."
    )


@contextmanager
def raw_server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Answers each connection in its own way; its host and port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection, suppress(OSError):
                        answer(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_plain_text_behind_an_https_address_is_told() -> None:
    def answer_in_plain_text(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with (
        raw_server(answer_in_plain_text) as place,
        pytest.raises(ServerUnreachableError, match="does its address begin with http://"),
    ):
        Client(f"https://{place}").get_status()


def test_a_server_of_http_that_waits_for_the_end_of_a_tls_greeting_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def answer_requests_only(connection: socket.socket) -> None:
        received = b""
        while not received.endswith(b"\r\n\r\n"):
            if not (more := connection.recv(4096)):
                return
            received += more
        connection.sendall(b"HTTP/1.1 401 Unauthorized\r\n\r\n")

    monkeypatch.setattr(other_scheme, "_PATIENCE", 0.2)
    monkeypatch.setattr(connection, "_CONNECT_TIMEOUT", 60.0)
    with (
        raw_server(answer_requests_only) as place,
        pytest.raises(ServerUnreachableError, match=f"speaks http, not https: use http://{place}"),
    ):
        Client(f"https://{place}").get_status()


def test_a_server_of_tls_that_answers_plain_http_is_told(authority: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    def answer_both(connection: socket.socket) -> None:
        if connection.recv(1, socket.MSG_PEEK) == b"\x16":
            context.wrap_socket(connection, server_side=True).close()
            return
        connection.recv(4096)
        page = b"The plain HTTP request was sent to HTTPS port"
        head = f"HTTP/1.1 400 Bad Request\r\nContent-Length: {len(page)}\r\n\r\n"
        connection.sendall(head.encode() + page)

    with (
        raw_server(answer_both) as place,
        pytest.raises(ServerUnreachableError, match=f"not http: use https://{place}"),
    ):
        Client(f"http://{place}").get_status()


def test_behind_a_proxy_nothing_is_asked(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    wrong = server.url.replace("http:", "https:")
    assert other_scheme.mistaken(wrong) is None
    assert not other_scheme.may_be_mistaken(wrong)
    assert server.requests == []


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_authorities_of_the_environment_are_trusted(
    tls_server: FakeServer, authority_file: str, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, authority_file)
    assert Client(tls_server.url).get_status() == {}


def test_authorities_that_are_given_win_over_the_environments(
    tls_server: FakeServer, authority_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere.pem")
    assert Client(tls_server.url, ca_certificates=authority_file).get_status() == {}


def test_authorities_of_the_environment_that_are_none_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere.pem")
    with pytest.raises(ValueError, match=r"^SSL_CERT_FILE has to name a file of certificates"):
        Client("https://localhost")
    assert Client("http://localhost")


def test_a_proxy_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "")
        with pytest.raises(ServerUnreachableError, match="look at HTTP_PROXY"):
            Client("http://tabpy.invalid").get_status()


def test_the_servers_remarks_become_warnings_at_the_callers_line(server: FakeServer) -> None:
    server.answers["GET /status"] = Answer({}, headers={"X-TabPy-Warning": "numpy differs"})
    with pytest.warns(UserWarning, match="numpy differs") as said:
        Client(server.url).get_status()
    assert said[0].filename == __file__


@pytest.mark.parametrize(("given", "kept"), [(5, 5), (0.5, 0.5), (0, 0.0), (-10.0, 0.0)])
def test_the_query_timeout_can_be_given_and_changed(given: float, kept: float) -> None:
    client = Client("http://localhost", given)
    assert client.query_timeout == kept
    client.query_timeout = 7
    assert client.query_timeout == 7


@pytest.mark.parametrize("timeout", ["5", None, True])
def test_a_query_timeout_that_is_no_number_is_refused(timeout: float) -> None:
    with pytest.raises(TypeError, match="number of seconds"):
        Client("http://localhost", query_timeout=timeout)


def test_importing_the_client_imports_nothing_heavy_and_nothing_of_the_server() -> None:
    heavy = {"cloudpickle", "tqdm", "numpy", "pandas", "genson", "tornado", "tabpy.tabpy_server"}
    code = f"import tabpy.tabpy_tools.client, sys; print(sorted({heavy} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_urllib3s_warning_stays_on_for_other_hosts(tls_server: FakeServer) -> None:
    other = tls_server.url.replace("127.0.0.1", "localhost")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert Client(other, verify=False).get_status() == {}
        requests.get(f"{tls_server.url}/status", verify=False, timeout=5)
    ours, urllib3s = (str(each.message) for each in said)
    assert f"The certificate of {other} isn't checked" in ours
    assert urllib3s.startswith("Unverified HTTPS request is being made to host '127.0.0.1'")


def test_importing_the_client_imports_nothing_that_takes_long() -> None:
    code = (
        "import sys; import tabpy.tabpy_tools.client; "
        "print({'requests', 'orjson', 'tqdm', 'cloudpickle', 'numpy'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"
