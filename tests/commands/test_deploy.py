"""tabpy-deploy, against a small server that remembers what it is given."""

import getpass
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tabpy.commands.deploy import main
from tests.client.fake_server import Answer, FakeServer, fake_server
from tests.client.test_deploy import sent_metadata
from tests.running import PASSWORD, USER, Server

SHOP = '''
from tabpy.tabpy_tools.endpoint import endpoint

print("importing the shop")

@endpoint(name="Price it", is_public=True, requirements=["numpy>=2"])
def price(costs: list[float]) -> list[float]:
    """Prices."""
    return costs

def discount(prices):
    """Less."""
    return prices
'''
LOCKED = """
import threading
from tabpy.tabpy_tools.endpoint import endpoint
lock = threading.Lock()

@endpoint
def locked(): return lock.locked()
"""


@pytest.fixture(autouse=True)
def folder(nobody: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a file in `models/`; no server and no user anywhere."""
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    write("models/shop_of_mine.py", SHOP)
    return tmp_path


def write(path: str, text: str) -> None:
    Path(path).write_text(text)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    """A server without passwords, which TABPY_URL names."""
    with fake_server() as fake:
        fake.answers["GET /status"] = Answer({})
        fake.answers["POST /endpoints"] = Answer({"Price it": {"version": 1}}, 201)
        monkeypatch.setenv("TABPY_URL", fake.url)
        yield fake


def sent(fake: FakeServer) -> list[dict[str, Any]]:
    return [sent_metadata(each) for each in fake.requests if each.method in ("POST", "PUT")]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class TestDeploying:
    def test_a_folders_marked_functions_with_what_their_marks_say(
        self, fake: FakeServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["models"]) == 0
        (only,) = sent(fake)
        assert (only["name"], only["is_public"]) == ("Price it", True)
        assert (only["description"], only["requirements"]) == ("Prices.", ["numpy>=2"])
        assert capsys.readouterr().out.splitlines() == [
            "importing the shop",
            "1/1 Price it (models/shop_of_mine.py) ... deployed, version 1",
            f"1 of 1 deployed to {fake.url}.",
        ]

    def test_one_function_with_what_the_command_says(self, fake: FakeServer) -> None:
        write("requirements.txt", "# all\nscikit-learn>=1.6  # for it\nnumpy\n")
        given = ["--name", "Less", "--description", "Less money", "--public"]
        file = "models/shop_of_mine.py:discount"
        assert main([file, *given, "--requirements", "requirements.txt"]) == 0
        (only,) = sent(fake)
        assert (only["name"], only["description"], only["is_public"]) == (
            "Less",
            "Less money",
            True,
        )
        assert only["requirements"] == ["scikit-learn>=1.6", "numpy"]

    @pytest.mark.parametrize(
        ("mark", "flags", "pure"),
        [("", [], False), ("(pure=True)", [], True), ("", ["--pure"], True)],
        ids=["nothing", "mark", "flag"],
    )
    def test_a_function_is_pure_if_its_mark_or_the_command_says_so(
        self, fake: FakeServer, mark: str, flags: list[str], pure: bool
    ) -> None:
        head = "from tabpy.tabpy_tools.endpoint import endpoint\n\n"
        write("f.py", f"{head}@endpoint{mark}\ndef f(x):\n    return x\n")
        assert main(["f.py", *flags]) == 0
        (only,) = sent(fake)
        assert only["pure"] is pure

    def test_what_the_command_says_wins_over_the_mark_or_goes_beside_it(
        self, fake: FakeServer
    ) -> None:
        write("requirements.txt", "scipy\n")
        given = ["--name", "Other", "--requirements", "requirements.txt"]
        assert main(["models/shop_of_mine.py:price", *given]) == 0
        (only,) = sent(fake)
        assert (only["name"], only["requirements"]) == ("Other", ["numpy>=2", "scipy"])

    def test_all_public_functions_on_demand(self, fake: FakeServer) -> None:
        assert main(["models/shop_of_mine.py", "--all"]) == 0
        assert [each["name"] for each in sent(fake)] == ["Price it", "discount"]
        assert sent(fake)[1]["description"] == "Less."

    def test_an_endpoint_that_exists_is_replaced_only_on_demand(
        self, fake: FakeServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        fake.answers["GET /endpoints/Price%20it"] = Answer({"version": 1})
        fake.answers["PUT /endpoints/Price%20it"] = Answer({"Price it": {"version": 2}})
        assert main(["models"]) == 1
        complaint = "There is an endpoint 'Price it' already: give --override to replace it."
        assert complaint in capsys.readouterr().out
        assert sent(fake) == []
        assert main(["models", "--override"]) == 0
        assert "deployed, version 2" in capsys.readouterr().out

    def test_what_fails_is_told_in_a_line_and_the_others_go_on(
        self, fake: FakeServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write("models/broken_of_mine.py", "raise LookupError('first\\nsecond')")
        write("models/locked_of_mine.py", LOCKED)
        assert main(["models"]) == 1
        lines = capsys.readouterr().out.splitlines()
        assert lines[1] == "models/broken_of_mine.py: LookupError: first second"
        assert lines[2].startswith("1/2 locked (models/locked_of_mine.py) ... failed: ")
        assert lines[3] == "2/2 Price it (models/shop_of_mine.py) ... deployed, version 1"
        assert lines[4] == f"1 of 3 deployed to {fake.url}."

    def test_a_file_that_ends_its_process_ends_itself_only(
        self, fake: FakeServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write("models/ends_of_mine.py", "import sys\nsys.exit(0)")
        assert main(["models"]) == 1
        assert "models/ends_of_mine.py: SystemExit: 0\n" in capsys.readouterr().out
        assert len(sent(fake)) == 1

    def test_remarks_of_the_server_are_shown(
        self, fake: FakeServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        remark = {"X-TabPy-Warning": "numpy is older here"}
        fake.answers["POST /endpoints"] = Answer({"Price it": {"version": 1}}, 201, remark)
        assert main(["models"]) == 0
        assert "version 1\n    numpy is older here\n" in capsys.readouterr().out

    def test_a_dry_run_packs_and_sends_nothing(
        self, fake: FakeServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write("models/locked_of_mine.py", LOCKED)
        assert main(["models", "--dry-run"]) == 1
        lines = capsys.readouterr().out.splitlines()
        assert lines[1].startswith("1/2 locked (models/locked_of_mine.py) ... failed: ")
        assert lines[2].startswith("2/2 Price it (models/shop_of_mine.py) ... can be deployed, ")
        assert lines[3] == "1 of 2 can be deployed."
        assert fake.requests == []

    def test_json_is_one_document_whatever_the_files_print(
        self, fake: FakeServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write("models/locked_of_mine.py", LOCKED)
        assert main(["models", "--json"]) == 1
        shown = capsys.readouterr()
        document = json.loads(shown.out)
        assert (document["server"], document["ok"]) == (fake.url, False)
        locked, price = document["functions"]
        assert (locked["name"], locked["ok"]) == ("locked", False)
        assert "can't be deployed" in locked["error"]
        assert price == {
            "name": "Price it",
            "file": "models/shop_of_mine.py",
            "ok": True,
            "version": 1,
            "calculation": 'MODEL_EXTENSION_REAL("Price it", "costs", SUM([costs]))',
            "remarks": [],
        }
        assert "importing the shop" in shown.err
        assert "2/2 Price it" in shown.err

    def test_what_ends_it_all_is_in_the_document_too(
        self, fake: FakeServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        fake.answers["GET /status"] = Answer({"message": "no", "info": "no"}, 401)
        assert main(["models", "--json"]) == 1
        unknown = json.loads(capsys.readouterr().out)
        assert (unknown["server"], unknown["ok"]) == (fake.url, False)
        assert "doesn't know you" in unknown["error"]
        assert main(["models", "--json", "--url", "http://127.0.0.1:1"]) == 1
        shown = capsys.readouterr()
        absent = json.loads(shown.out)
        assert (absent["server"], absent["ok"]) == ("http://127.0.0.1:1", False)
        assert absent["error"].startswith("Nothing listens at http://127.0.0.1:1")
        assert absent["functions"] == []
        assert "Nothing listens" in shown.err

    def test_wrong_usage_and_an_interrupt_give_a_document_too(
        self, fake: FakeServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as ended:
            main(["nowhere.py", "--json"])
        assert ended.value.code == 2
        wrong = json.loads(capsys.readouterr().out)
        assert wrong == {"server": None, "ok": False, "error": wrong["error"], "functions": []}
        assert "nowhere.py is no Python file" in wrong["error"]
        write("models/a_of_mine.py", "raise KeyboardInterrupt")
        assert main(["models", "--json"]) == 130
        assert json.loads(capsys.readouterr().out)["error"] == "Interrupted."


class TestUsage:
    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            ([], "arguments are required"),
            (["nowhere.py"], "nowhere.py is no Python file"),
            (["nowhere.py:price"], "nowhere.py is no Python file"),
            (["notes.txt"], "notes.txt is no Python file"),
            (["models/shop_of_mine.py:cost"], "has no function 'cost'"),
            (["empty"], "empty marks no function with @endpoint"),
            (["models", "--all", "--name", "One"], "are for one function; here are 2"),
            (["broken.py", "models", "--name", "One"], "are for one function; here are 2"),
            (["models", "--name", "a/b"], "--name: 'a/b' can't name an endpoint"),
            (["models", "--requirements", "none.txt"], "none.txt: No such file"),
            (["models", "--requirements", "notes.txt"], "'not a requirement' is no requirement"),
            (["models", "--requirements", "others.txt"], "no packages by name: -r notes.txt"),
            (["models", "--url", "localhost"], "--url: The server's address begins with"),
            (["models", "--password", "hush"], "unrecognized arguments"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_what_is_wrong_is_named_and_nothing_deployed(
        self,
        fake: FakeServer,
        folder: Path,
        capsys: pytest.CaptureFixture[str],
        arguments: list[str],
        complaint: str,
    ) -> None:
        (folder / "empty").mkdir()
        write("notes.txt", "not a requirement\n")
        write("others.txt", "-r notes.txt\n")
        write("broken.py", "1 / 0")
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
        assert complaint in capsys.readouterr().err
        assert sent(fake) == []

    def test_a_server_has_to_be_named(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            main(["models"])
        assert ended.value.code == 2
        shown = capsys.readouterr()
        assert "Give --url, or set TABPY_URL" in shown.err
        assert shown.out == ""  # no file was imported

    def test_a_server_that_does_not_answer_stops_it(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["models", "--url", "http://127.0.0.1:1"]) == 1
        shown = capsys.readouterr()
        assert shown.err == (
            "tabpy-deploy: Nothing listens at http://127.0.0.1:1: is the server running, and on "
            "that port?\n"
        )
        assert shown.out == ""

    def test_an_interrupt_ends_it_quietly(
        self, fake: FakeServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write("models/a_of_mine.py", "raise KeyboardInterrupt")
        assert main(["models"]) == 130
        assert capsys.readouterr().err == "\nInterrupted.\n"


class TestSigningIn:
    def test_the_environments_user(self, fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TABPY_USERNAME", "ann")
        monkeypatch.setenv("TABPY_PASSWORD", "hush")
        assert main(["models"]) == 0
        assert {each.headers["Authorization"] for each in fake.requests} == {"Basic YW5uOmh1c2g="}

    def test_a_user_of_the_command_with_the_environments_password(
        self, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TABPY_PASSWORD", "hush")
        assert main(["models", "--user", "ann"]) == 0
        assert fake.last.headers["Authorization"] == "Basic YW5uOmh1c2g="

    @pytest.mark.parametrize(
        ("variable", "value"), [("TABPY_USERNAME", "bob"), ("TABPY_URL", "http://localhost:1")]
    )
    def test_another_users_or_servers_password_stays_here(
        self,
        fake: FakeServer,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        variable: str,
        value: str,
    ) -> None:
        monkeypatch.setenv("TABPY_PASSWORD", "hush")
        monkeypatch.setenv(variable, value)
        assert main(["models", "--user", "ann", "--url", fake.url]) == 1
        assert "No password of ann: set TABPY_PASSWORD" in capsys.readouterr().err
        assert fake.requests == []

    def test_a_password_in_netrc(self, fake: FakeServer, folder: Path) -> None:
        write(".netrc", "machine 127.0.0.1 login ann password hush\n")
        (folder / ".netrc").chmod(0o600)
        assert main(["models", "--user", "ann"]) == 0
        assert fake.last.headers["Authorization"] == "Basic YW5uOmh1c2g="

    def test_a_line_of_standard_input(
        self, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO("hush\r\n"))
        assert main(["models", "--user", "ann"]) == 0
        assert fake.last.headers["Authorization"] == "Basic YW5uOmh1c2g="

    def test_a_prompt_at_a_terminal(
        self, fake: FakeServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("sys.stdin", Terminal())
        monkeypatch.setattr(getpass, "getpass", lambda _: "hush")
        assert main(["models", "--user", "ann"]) == 0
        assert fake.last.headers["Authorization"] == "Basic YW5uOmh1c2g="
        shown = capsys.readouterr()
        assert "hush" not in shown.out + shown.err

    def test_a_token(self, fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TABPY_TOKEN", "abc")
        assert main(["models"]) == 0
        assert fake.last.headers["Authorization"] == "Bearer abc"
        monkeypatch.setenv("TABPY_URL", "http://localhost:1")
        assert main(["models", "--url", fake.url]) == 0
        assert "Authorization" not in fake.last.headers
        monkeypatch.delenv("TABPY_URL")
        assert main(["models", "--url", fake.url]) == 0
        assert fake.last.headers["Authorization"] == "Bearer abc"

    def test_who_isnt_known_is_told_before_a_file_is_imported(
        self, fake: FakeServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        fake.answers["GET /status"] = Answer({"message": "no", "info": "no"}, 401)
        assert main(["models"]) == 1
        assert "doesn't know you: give --user and TABPY_PASSWORD" in capsys.readouterr().err
        monkeypatch.setenv("TABPY_PASSWORD", "hush")
        assert main(["models", "--user", "ann"]) == 1
        shown = capsys.readouterr()
        assert shown.err == (
            f"tabpy-deploy: {fake.url} refuses user 'ann' with this password: one of the two is "
            "wrong.\n"
        )
        assert shown.out == ""


def test_on_a_server(server: Server, folder: Path) -> None:
    """In a process of its own, as CI runs it."""
    environment = {
        **server.environment,
        "TABPY_URL": f"http://127.0.0.1:{server.port}",
        "TABPY_USERNAME": USER,
        "TABPY_PASSWORD": PASSWORD,
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    command = [sys.executable, "-m", "tabpy.commands.deploy", "models/shop_of_mine.py:discount"]
    run = subprocess.run(
        [*command, "--json"], env=environment, cwd=folder, capture_output=True, check=True
    )
    try:
        (told,) = json.loads(run.stdout)["functions"]
        assert (told["name"], told["version"]) == ("discount", 1)
        assert server.client().query("discount", [3.0])["response"] == [3.0]
    finally:
        server.client().remove("discount")
