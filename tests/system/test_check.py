"""tabpy-check against servers that each have one thing wrong with them, staged for real."""

import base64
import datetime
import json
import os
import secrets
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import trustme

from tabpy.check.network import unencrypted
from tabpy.check.report import Status
from tabpy.check.session import Session
from tabpy.check.target import Target
from tabpy.commands.check import main

ROOT = trustme.CA()
HOST = "127.0.0.1"
USER = "paolo"
PASSWORD = secrets.token_urlsafe(12)


@dataclass
class Stage:
    """A server as it should be; each test changes what it is about."""

    certificate: str = "good"  # or "" for http, or what is wrong with it
    scheme: str = "https"
    authentication: bool = True
    guarded: bool = True  # /evaluate asks for credentials too
    evaluate: bool = True
    announced: object = field(default_factory=lambda: {"methods": {"basic-auth": {}}})
    prefix: str = ""
    script: str = "computed"  # or "hangs", "trickles", "raises", "lies"
    info_status: int = 200
    location: str = ""
    clock_off: float = 0
    states: dict[str, str] = field(default_factory=dict)
    packages: dict[str, object] | None = None
    over: threading.Event = field(default_factory=threading.Event)
    seen: list[tuple[str, bool]] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    stage: Stage

    def log_message(self, *_: object) -> None:
        """Nothing on standard error, which some tests read."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        now = datetime.datetime.now().timestamp()
        return formatdate(now + self.stage.clock_off, usegmt=True)

    def do_GET(self) -> None:
        self._serve({})

    def do_POST(self) -> None:
        self._serve(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _serve(self, body: dict[str, Any]) -> None:
        stage = self.stage
        authorization = self.headers.get("Authorization")
        stage.seen.append((self.path, authorization is not None))
        path = self.path.removeprefix(stage.prefix)
        right = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        needed = stage.authentication and (stage.guarded or path != "/evaluate")
        if stage.location:
            self._reply(308, {}, Location=stage.location)
        elif stage.prefix and path == self.path:
            self._reply(404, {"message": "Not found", "info": ""})
        elif needed and authorization != right:
            self._reply(401, {"message": "no"}, **{"WWW-Authenticate": 'Basic realm="x"'})
        elif authorization and not stage.authentication:
            self._reply(406, {"message": "Username or password provided", "info": ""})
        elif path == "/evaluate":
            self._evaluate(body)
        else:
            status, value = self._told(path)
            self._reply(status, value)

    def _told(self, path: str) -> tuple[int, object]:
        stage = self.stage
        features: dict[str, object] = {"evaluate_enabled": stage.evaluate, "gzip_enabled": True}
        if stage.authentication and stage.announced:
            features["authentication"] = stage.announced
        pages: dict[str, object] = {
            "/info": {"name": "Staged", "versions": {"v1": {"features": features}}},
            "/endpoints": {name: {"type": "model"} for name in stage.states},
            "/status": {
                name: {"status": state, "last_error": "No module named 'ghost'"}
                for name, state in stage.states.items()
            },
            "/packages": stage.packages,
        }
        value = pages.get(path)
        status = stage.info_status if path == "/info" else 200
        return (404, {"message": "Unknown"}) if value is None else (status, value)

    def _evaluate(self, body: dict[str, Any]) -> None:
        numbers = body["data"]["_arg1"]
        match self.stage.script:
            case _ if not self.stage.evaluate:
                self._reply(404, {"message": "Ad-hoc scripts have been disabled", "info": ""})
            case "hangs":
                self.stage.over.wait(30)
            case "trickles":
                for _ in range(100):
                    if not self.stage.over.wait(0.05):
                        self.wfile.write(b"x")
            case "raises":
                told = {"message": "Error processing script", "info": "MemoryError : \x1b[2J"}
                self._reply(500, told)
            case "lies":
                self._reply(200, True)
            case _:
                one = body["script"] == "return int(1)"
                self._reply(200, 1 if one else [2 * number for number in numbers])

    def _reply(self, status: int, value: object, **headers: str) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that breaks a handshake off is what these tests are about."""


def tls(kind: str) -> ssl.SSLContext:
    """The server's side for a certificate that is "good", or wrong in the way `kind` says."""
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    leaf = {
        "expired": lambda: ROOT.issue_cert(HOST, not_before=past.replace(2019), not_after=past),
        "other authority": lambda: trustme.CA().create_child_ca().issue_cert(HOST),
        "other name": lambda: ROOT.issue_cert("tabpy.example.com"),
    }.get(kind, lambda: ROOT.create_child_ca().issue_cert(HOST))()
    chain, key = leaf.cert_chain_pems, leaf.private_key_pem
    if kind == "missing intermediate":
        chain = chain[:1]
    if kind == "self-signed":
        alone = trustme.CA()
        chain, key = [alone.cert_pem], alone.private_key_pem
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    everything = trustme.Blob(b"".join(pem.bytes() for pem in [key, *chain]))
    with everything.tempfile() as file:
        context.load_cert_chain(file)
    if kind == "old protocol":
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


@contextmanager
def staged(stage: Stage) -> Iterator[int]:
    """Serves `stage` on a free port, which it gives."""
    server = Server((HOST, 0), type("Staged", (Handler,), {"stage": stage}))
    if stage.certificate:
        server.socket = tls(stage.certificate).wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_port
    finally:
        stage.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABPY_PASSWORD", PASSWORD)


@pytest.fixture(scope="module")
def ca_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ROOT.cert_pem.write_to_path(str(path))
    return str(path)


class Check:
    """Runs the command on a stage and reads its `--json`."""

    def __init__(self, capsys: pytest.CaptureFixture[str], ca_file: str) -> None:
        self._capsys, self._always = capsys, ["-u", USER, "--ca", ca_file, "--json"]
        self.code = 0

    def __call__(self, stage: Stage, *arguments: str) -> dict[str, dict[str, str]]:
        with staged(stage) as port:
            return self.url(f"{stage.scheme}://{HOST}:{port}", *arguments)

    def url(self, url: str, *arguments: str) -> dict[str, dict[str, str]]:
        self.code = main([url, *self._always, *arguments])
        steps = json.loads(self._capsys.readouterr().out)["steps"]
        return {step["step"]: step for step in steps}


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str], ca_file: str) -> Check:
    return Check(capsys, ca_file)


def failing(steps: dict[str, dict[str, str]]) -> list[str]:
    return [name for name, step in steps.items() if step["status"] == "fail"]


def test_a_server_in_order_passes_every_step(check: Check) -> None:
    steps = check(Stage(states={"add": "LoadSuccessful"}))

    assert {name: step for name, step in steps.items() if step["status"] != "ok"} == {}
    assert check.code == 0


HTTP: dict[str, Any] = {"certificate": "", "scheme": "http"}


@pytest.mark.parametrize(
    ("stage", "steps", "words"),
    [
        pytest.param({"certificate": ""}, ["TLS"], "plain http", id="http only"),
        pytest.param({"scheme": "http"}, ["/info"], "speaks https", id="https only"),
        pytest.param(
            {"certificate": "self-signed"},
            ["public authority", "host name"],
            "self-signed",
            id="self-signed",
        ),
        pytest.param(
            {"certificate": "other authority"},
            ["public authority"],
            "no authority that this computer trusts",
            id="unknown authority",
        ),
        pytest.param(
            {"certificate": "missing intermediate"},
            ["certificate chain"],
            "an intermediate certificate is missing",
            id="missing intermediate",
        ),
        pytest.param({"certificate": "expired"}, ["dates"], "expired on 2020-01-01", id="expired"),
        pytest.param(
            {"certificate": "other name"},
            ["host name"],
            "isn't for 127.0.0.1, but for tabpy.example.com",
            id="other host name",
        ),
        pytest.param(
            {"certificate": "old protocol"},
            ["TLS"],
            "TLSv1.1 at best",
            id="protocol too old",
            marks=pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning"),
        ),
        pytest.param(
            {"authentication": False},
            ["no credentials"],
            "anybody who reaches the server can run Python",
            id="authentication off",
        ),
        pytest.param(
            {"guarded": False},
            ["no credentials"],
            "/evaluate runs anybody's code",
            id="evaluate unprotected",
        ),
        pytest.param(
            {"announced": None}, ["features"], "doesn't announce authentication", id="unannounced"
        ),
        pytest.param(
            {"announced": {"methods": 5}},
            ["features"],
            "without the method basic-auth",
            id="no Basic",
        ),
        pytest.param({"evaluate": False}, ["probe"], "switched off", id="evaluate off"),
        pytest.param({"prefix": "/tabpy"}, ["/info"], "no /info at the root", id="404 root"),
        pytest.param(
            {"location": "https://elsewhere.example/"}, ["/info"], "elsewhere", id="redirect"
        ),
        pytest.param({"script": "raises"}, ["probe"], "MemoryError", id="script error"),
        pytest.param({"script": "lies"}, ["probe"], "'true' instead of 1", id="wrong probe"),
        pytest.param({"info_status": 503}, ["credentials"], "status 503", id="server out of order"),
        pytest.param(
            {"states": {"add": "LoadFailed", "sub": "LoadSuccessful"}},
            ["deployed functions"],
            "1 of 2 can't be loaded: add",
            id="broken function",
        ),
    ],
)
def test_finds_the_one_thing_that_is_wrong(
    check: Check, stage: dict[str, Any], steps: list[str], words: str
) -> None:
    found = check(Stage(**stage))

    assert failing(found) == steps
    assert words in found[steps[0]]["said"]
    assert found[steps[0]]["todo"]
    assert float(found[steps[0]]["seconds"]) < 3
    assert check.code == 1


@pytest.mark.parametrize(
    "stage",
    [
        pytest.param({"script": "hangs"}, id="slow server"),
        pytest.param({"script": "trickles", **HTTP}, id="trickling"),
    ],
)
def test_a_server_that_does_not_answer_is_given_up(check: Check, stage: dict[str, Any]) -> None:
    found = check(Stage(**stage), "--timeout", "1")

    assert failing(found) == ["probe"]
    assert "no answer within 1 s" in found["probe"]["said"]
    assert found["probe"]["todo"]
    assert float(found["probe"]["seconds"]) < 3
    assert check.code == 1


def test_finds_a_wrong_port(check: Check) -> None:
    with socket.socket() as bound:
        bound.bind((HOST, 0))
        port = bound.getsockname()[1]
        found = check.url(f"https://{HOST}:{port}")

    assert failing(found) == ["TCP"]
    assert f"nothing listens on port {port}" in found["TCP"]["said"]
    assert found["probe"]["status"] == "skip"
    assert check.code == 1


def test_finds_a_wrong_password(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABPY_PASSWORD", "not-it")
    found = check(Stage())

    assert failing(found) == ["credentials"]
    assert "password is wrong" in found["credentials"]["said"]
    assert found["probe"]["said"] == "needs credentials"


@pytest.mark.parametrize("certificate", ["self-signed", "expired", "other name"])
def test_the_password_never_goes_to_a_server_whose_certificate_fails(
    check: Check, certificate: str
) -> None:
    stage = Stage(certificate=certificate)
    check(stage)

    assert not any(with_password for _, with_password in stage.seen)


def test_warns_of_plain_http_and_passes(check: Check) -> None:
    found = check(Stage(**HTTP))

    assert found["http to https"]["status"] == "warn"
    assert "Tableau Cloud needs https" in found["http to https"]["todo"]
    assert check.code == 0


def test_warns_of_a_clock_that_is_off(check: Check) -> None:
    found = check(Stage(clock_off=-7200))

    assert found["clock"]["status"] == "warn"
    assert "behind" in found["clock"]["said"]
    assert check.code == 0


@pytest.mark.parametrize(
    ("plain", "status"),
    [
        ({"location": f"https://{HOST}/info"}, Status.OK),
        ({"prefix": "/elsewhere"}, Status.OK),
        ({}, Status.WARN),
        ({"authentication": False}, Status.WARN),
    ],
    ids=["redirects", "refuses", "asks for the password", "open"],
)
def test_looks_at_the_unencrypted_port_beside_the_encrypted_one(
    plain: dict[str, Any], status: Status
) -> None:
    with staged(Stage(certificate="", **plain)) as port:
        session = Session(Target(HOST, 443, ssl=True), plain_port=port)

        assert unencrypted(session).status is status


@pytest.mark.parametrize(
    ("packages", "status", "words"),
    [
        ({"numpy": "2.4.6", "Typing.Extensions": "4.15"}, "ok", "all 2 are there"),
        ({"numpy": "2.4.6"}, "fail", "the server lacks: typing-extensions"),
        ({"numpy": "1.26.0", "typing-extensions": "4"}, "warn", "versions: numpy>=2 (has 1.26.0)"),
        ({"numpy": "1.26.0"}, "fail", "typing-extensions; it has other versions: numpy>=2"),
        (None, "fail", "doesn't tell its packages"),
    ],
    ids=["all there", "one missing", "another version", "both", "no list"],
)
def test_compares_the_packages(
    check: Check, tmp_path: Path, packages: dict[str, str] | None, status: str, words: str
) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("numpy>=2\ntyping-extensions  # types\n")
    told: dict[str, object] = {"python": "3.13.1", "packages": packages}
    found = check(Stage(packages=told if packages else None), "--requirements", str(requirements))

    assert found["packages"]["status"] == status
    assert words in found["packages"]["said"]
    assert check.code == (1 if status == "fail" else 0)


def test_leaves_out_what_a_notebook_has_for_itself(check: Check, tmp_path: Path) -> None:
    frozen = tmp_path / "notebook.txt"
    frozen.write_text("ipykernel==7\nnumpy==2.4.6\ntabpy @ file:///home/ann/tabpy\n")
    told: dict[str, object] = {"python": "3.13.1", "packages": {"numpy": "2.4.6"}}
    found = check(Stage(packages=told), "--requirements", str(frozen))

    assert found["packages"]["status"] == "ok"
    assert "all 1 are there" in found["packages"]["said"]
    assert found["packages"]["todo"].startswith("2 for Jupyter, pip or the client")


def test_warns_of_what_came_with_a_package_that_the_server_has_without_it(
    check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "requires", lambda name: ["pytz"] if name == "pandas" else [])
    frozen = tmp_path / "notebook.txt"
    frozen.write_text("ipykernel==7\npandas==2.3.3\npytz==2026.6\n")
    told: dict[str, object] = {"python": "3.13.1", "packages": {"pandas": "3.1.1"}}
    found = check(Stage(packages=told), "--requirements", str(frozen))

    assert found["packages"]["status"] == "warn"
    assert "pandas==2.3.3 (has 3.1.1), pytz (not there" in found["packages"]["said"]


class Mute(Handler):
    """An http server that waits for more, where a TLS handshake has begun."""

    def handle_one_request(self) -> None:
        if self.connection.recv(1, socket.MSG_PEEK) == b"\x16":
            self.close_connection = True
            self.stage.over.wait(30)
        else:
            super().handle_one_request()


def test_names_http_where_https_was_expected_within_two_seconds(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "Handler", Mute)
    found = check(Stage(certificate=""))

    assert failing(found) == ["TLS"]
    assert "plain http" in found["TLS"]["said"]
    assert float(found["TLS"]["seconds"]) < 2


def test_as_a_process_it_reads_the_password_from_a_line_and_never_shows_it() -> None:
    environment = {k: v for k, v in os.environ.items() if k != "TABPY_PASSWORD"}
    with staged(Stage(**HTTP)) as port:
        done = subprocess.run(
            [sys.executable, "-m", "tabpy.commands.check", f"http://{HOST}:{port}", "-u", USER],
            input=PASSWORD + "\n",
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(__file__).parents[2],
            env=environment,
        )

    assert (done.returncode, done.stderr) == (0, "")
    assert PASSWORD not in done.stdout
    assert "\x1b" not in done.stdout
    dialogue = done.stdout.splitlines()[-4:]
    assert [line.split()[-1] for line in dialogue] == [HOST, str(port), "no", USER]
