"""tabpy-deploy-models, against a small server that keeps what it is given."""

import base64
import getpass
import io
import json
import secrets
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tabpy.commands import deploy_models
from tabpy.commands.deploy_models import main, server_url

USER = "paolo"
PASSWORD = secrets.token_urlsafe()
ALL = ["PCA", "Sentiment Analysis", "ttest", "anova"]


class FakeServer(ThreadingHTTPServer):
    """The routes of a deploy. `refuses` are names it answers 400 for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.endpoints: dict[str, dict[str, Any]] = {}
        self.archives: dict[str, bytes] = {}
        self.needs_password = True
        self.info_status = 200
        self.refuses: set[str] = set()
        self.remark = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: FakeServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if not self._is_allowed():
            return self._answer(401, {"message": "Invalid credentials provided."})
        if self.path == "/info":
            return self._answer(self.server.info_status, {"message": "Of a kind"})
        if self.path == "/endpoints":
            return self._answer(200, self.server.endpoints)
        name = self.path.removeprefix("/endpoints/").replace("%20", " ")
        known = name in self.server.endpoints
        return self._answer(200 if known else 404, self.server.endpoints.get(name, {}))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self._is_allowed():
            return self._answer(401, {"message": "Invalid credentials provided."})
        start = body.index(b"\r\n\r\n") + 4
        metadata, end = json.JSONDecoder().raw_decode(body[start:].decode("latin-1"))
        name = metadata["name"]
        if name in self.server.refuses:
            return self._answer(400, {"message": "Can't load it", "info": "line 1\nline 2"})
        version = self.server.endpoints.get(name, {"version": 0})["version"] + 1
        self.server.endpoints[name] = metadata | {"version": version}
        self.server.archives[name] = body[start + end :]
        return self._answer(201, {name: self.server.endpoints[name]})

    def do_PUT(self) -> None:
        self.do_POST()

    def log_message(self, *_: object) -> None:
        pass

    def _is_allowed(self) -> bool:
        right = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return not self.server.needs_password or self.headers["Authorization"] == right

    def _answer(self, status: int, reply: object) -> None:
        body = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if self.command != "GET" and self.server.remark:
            self.send_header("X-TabPy-Warning", self.server.remark)
        self.end_headers()
        self.wfile.write(body)


pytestmark = pytest.mark.usefixtures("nobody")


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{USER}\n{PASSWORD}\n"))


@pytest.fixture
def never_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploy_models, "ask_credentials", lambda: pytest.fail("asked"))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class TestDeploying:
    @pytest.mark.usefixtures("piped")
    def test_all_are_deployed_with_credentials_from_a_pipe(
        self, server: FakeServer, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["--url", server.url]) == 0
        assert list(server.endpoints) == ALL
        assert all(info["is_public"] for info in server.endpoints.values())
        assert capfd.readouterr().out.splitlines() == [
            "1/4 PCA ... deployed, version 1",
            "2/4 Sentiment Analysis ... deployed, version 1",
            "3/4 ttest ... deployed, version 1",
            "4/4 anova ... deployed, version 1",
            f"4 of 4 deployed to {server.url}.",
        ]

    @pytest.mark.usefixtures("never_asked")
    def test_open_server_isnt_given_credentials(self, server: FakeServer) -> None:
        server.needs_password = False
        assert main(["--url", server.url]) == 0
        assert list(server.endpoints) == ALL

    @pytest.mark.usefixtures("never_asked")
    def test_deployed_before_gets_a_new_version(
        self, server: FakeServer, capfd: pytest.CaptureFixture[str]
    ) -> None:
        server.needs_password = False
        main(["--url", server.url])
        assert main(["--url", server.url]) == 0
        assert "1/4 PCA ... deployed, version 2\n" in capfd.readouterr().out

    @pytest.mark.usefixtures("piped")
    def test_code_itself_is_sent(self, server: FakeServer) -> None:
        main(["--url", server.url])
        for name, archive in server.archives.items():
            assert b"pip install" in archive, f"{name} is sent as a reference to our module"

    @pytest.mark.usefixtures("piped")
    def test_one_failure_is_told_in_one_line_and_the_others_go_on(
        self, server: FakeServer, capfd: pytest.CaptureFixture[str]
    ) -> None:
        server.refuses = {"Sentiment Analysis"}
        assert main(["--url", server.url]) == 1
        lines = capfd.readouterr().out.splitlines()
        assert lines[1] == "2/4 Sentiment Analysis ... failed: 400 Can't load it line 1 line 2"
        assert lines[-2:] == [
            f"3 of 4 deployed to {server.url}.",
            "Not deployed: Sentiment Analysis.",
        ]
        assert list(server.endpoints) == ["PCA", "ttest", "anova"]

    @pytest.mark.usefixtures("piped")
    def test_remarks_of_the_server_are_shown(
        self, server: FakeServer, capfd: pytest.CaptureFixture[str]
    ) -> None:
        server.remark = "scipy is older here"
        assert main(["--url", server.url]) == 0
        assert capfd.readouterr().out.count("version 1\n    scipy is older here\n") == 4


class TestCredentials:
    def test_are_asked_for_at_a_terminal_and_never_shown(
        self,
        server: FakeServer,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr("sys.stdin", Terminal(f"{USER}\n"))
        monkeypatch.setattr(getpass, "getpass", lambda _: PASSWORD)
        assert main(["--url", server.url]) == 0
        assert list(server.endpoints) == ALL
        shown = capfd.readouterr()
        assert PASSWORD not in shown.out + shown.err

    @pytest.mark.usefixtures("never_asked")
    def test_server_and_user_are_the_environments(
        self, server: FakeServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TABPY_URL", server.url)
        monkeypatch.setenv("TABPY_USERNAME", USER)
        monkeypatch.setenv("TABPY_PASSWORD", PASSWORD)
        assert main([]) == 0
        assert list(server.endpoints) == ALL

    @pytest.mark.usefixtures("piped")
    def test_the_environments_password_goes_to_no_other_server(
        self, server: FakeServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TABPY_URL", "http://localhost:1")
        monkeypatch.setenv("TABPY_USERNAME", "of another server")
        monkeypatch.setenv("TABPY_PASSWORD", "hush")
        assert main(["--url", server.url]) == 0
        assert list(server.endpoints) == ALL

    def test_wrong_password_stops_before_deploying(
        self,
        server: FakeServer,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        wrong = secrets.token_urlsafe()
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{USER}\n{wrong}\n"))
        assert main(["--url", server.url]) == 1
        shown = capfd.readouterr()
        assert f"knows no user {USER!r} with this password" in shown.err
        assert wrong not in shown.out + shown.err
        assert not server.endpoints

    def test_spaces_belong_to_the_password(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{USER}\r\n {PASSWORD} \r\n"))
        assert deploy_models.ask_credentials() == (USER, f" {PASSWORD} ")

    @pytest.mark.parametrize("stdin", [None, io.StringIO(""), io.StringIO("paolo\n"), Terminal("")])
    def test_missing_ones_are_explained(
        self,
        stdin: io.StringIO | None,
        server: FakeServer,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr("sys.stdin", stdin)
        assert main(["--url", server.url]) == 1
        assert "two lines of standard input" in capfd.readouterr().err

    def test_interrupt_at_the_question_ends_quietly(
        self, server: FakeServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt() -> tuple[str, str]:
            raise KeyboardInterrupt

        monkeypatch.setattr(deploy_models, "ask_credentials", interrupt)
        assert main(["--url", server.url]) == 130


class TestServer:
    def test_that_doesnt_run_is_named(self, capfd: pytest.CaptureFixture[str]) -> None:
        with FakeServer() as closed:
            url = closed.url
        assert main(["--url", url]) == 1
        error = capfd.readouterr().err
        assert url in error
        assert error.count("\n") == 1

    def test_that_answers_otherwise_is_refused(
        self, server: FakeServer, capfd: pytest.CaptureFixture[str]
    ) -> None:
        server.needs_password, server.info_status = False, 503
        assert main(["--url", server.url]) == 1
        assert "503" in capfd.readouterr().err
        assert not server.endpoints

    @pytest.mark.parametrize("url", ["localhost:9004", "ftp://host", "https://me:secret@host"])
    def test_address_that_is_none_is_refused(
        self, url: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["--url", url]) == 1
        error = capfd.readouterr().err
        assert "server's address" in error
        assert "secret" not in error

    @pytest.mark.usefixtures("piped")
    def test_is_found_by_the_config_file(
        self, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("TABPY_PORT", raising=False)
        config = tmp_path / "tabpy.conf"
        config.write_text(f"[TabPy]\nTABPY_PORT = {server.server_port}\n")
        monkeypatch.setenv("TABPY_URL", "http://localhost:1")  # the file is nearer
        assert main([str(config)]) == 0
        assert list(server.endpoints) == ALL


class TestServerUrl:
    @pytest.mark.parametrize(
        ("text", "environ", "url"),
        [
            ("", {}, "http://localhost:9004"),
            ("TABPY_PORT = 4047", {}, "http://localhost:4047"),
            ("TABPY_TRANSFER_PROTOCOL = https", {}, "https://localhost:9004"),
            ("TABPY_PORT = 4047", {"TABPY_PORT": "5000"}, "http://localhost:5000"),
            (
                "TABPY_TRANSFER_PROTOCOL = https",
                {"TABPY_TRANSFER_PROTOCOL": "http"},
                "http://localhost:9004",
            ),
            ("TABPY_PORT = 4047\nTABPY_STATE_PATH = 100%", {}, "http://localhost:4047"),
            ("TABPY_PORT = %(WEB_PORT)s", {"WEB_PORT": "5001"}, "http://localhost:5001"),
            ("", {"HTTP_PROXY": "a", "http_proxy": "b", "RATE": "5%"}, "http://localhost:9004"),
        ],
    )
    def test_environment_beats_file_beats_default(
        self, text: str, environ: dict[str, str], url: str, tmp_path: Path
    ) -> None:
        config = tmp_path / "tabpy.conf"
        config.write_text(f"[TabPy]\n{text}\n")
        assert server_url(config, environ) == url

    def test_without_a_file_it_is_tabpys_default(self) -> None:
        assert server_url(None, {}) == "http://localhost:9004"

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("[TabPy]\nTABPY_PORT = web", "TABPY_PORT .* not 'web'"),
            ("[TabPy]\nTABPY_PORT = 65536", "TABPY_PORT .* not '65536'"),
            ("[TabPy]\nTABPY_TRANSFER_PROTOCOL = ftp", "http or https, not 'ftp'"),
            ("[tabpy]\n", r"no section \[TabPy\]"),
            ("TABPY_PORT = 1", "isn't a configuration file"),
            ("[TabPy]\nTABPY_PORT = %(NONE)s", "isn't a configuration file"),
            ("[TabPy]\nTABPY_PWD_FILE = %(NONE)s", "isn't a configuration file"),
        ],
    )
    def test_what_is_wrong_in_the_file_is_named(
        self, text: str, complaint: str, tmp_path: Path
    ) -> None:
        config = tmp_path / "tabpy.conf"
        config.write_text(text)
        with pytest.raises(ValueError, match=complaint):
            server_url(config, {})

    def test_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"absent\.conf: No such file"):
            server_url(tmp_path / "absent.conf", {})
