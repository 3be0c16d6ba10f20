"""Where `Client` finds the server and the user when nobody tells it."""

import os
from base64 import b64decode
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tabpy.tabpy_tools.client import Client
from tests.client.fake_server import Answer, FakeServer, fake_server


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("TABPY_URL", "TABPY_USERNAME", "TABPY_PASSWORD", "TABPY_TOKEN", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with fake_server() as fake:
        fake.answers["GET /status"] = Answer({})
        yield fake


def set_all(monkeypatch: pytest.MonkeyPatch, environ: Mapping[str, str]) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)


def write_netrc(home: Path, text: str, mode: int = 0o600) -> Path:
    path = home / ".netrc"
    path.write_text(text)
    path.chmod(mode)
    return path


def signed_in(server: FakeServer, client: Client) -> str:
    """What the server learns of who asks."""
    client.get_status()
    scheme, _, credentials = server.last.headers.get("Authorization", "").partition(" ")
    return b64decode(credentials).decode() if scheme == "Basic" else credentials


def test_address_and_user_come_from_the_environment(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = {"TABPY_USERNAME": "ann", "TABPY_PASSWORD": "a: b"}
    set_all(monkeypatch, {"TABPY_URL": server.url, **user})
    assert signed_in(server, Client()) == "ann:a: b"


def test_a_token_comes_from_the_environment(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_all(monkeypatch, {"TABPY_URL": server.url, "TABPY_TOKEN": "abc"})
    assert signed_in(server, Client()) == "abc"


@pytest.mark.parametrize("ending", ["", "/"])
def test_an_address_that_is_given_wins_and_has_the_environments_user_if_it_is_the_same(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    user = {"TABPY_USERNAME": "ann", "TABPY_PASSWORD": "hush"}
    set_all(monkeypatch, {"TABPY_URL": server.url, **user})
    assert signed_in(server, Client(server.url + ending)) == "ann:hush"


@pytest.mark.parametrize("own", ["https://tabpy.example.com", "", "no address"])
def test_another_server_doesnt_get_the_environments_password(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, own: str
) -> None:
    user = {"TABPY_USERNAME": "ann", "TABPY_PASSWORD": "hush"}
    set_all(monkeypatch, {"TABPY_URL": own, **user})
    assert signed_in(server, Client(server.url)) == ""


def test_credentials_that_are_set_win(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    user = {"TABPY_USERNAME": "ann", "TABPY_PASSWORD": "hush"}
    set_all(monkeypatch, {"TABPY_URL": server.url, **user})
    client = Client()
    client.set_credentials("bob", "bobs")
    assert signed_in(server, client) == "bob:bobs"


@pytest.mark.parametrize(
    ("environ", "complaint"),
    [
        ({}, "Which server.* set TABPY_URL"),
        ({"TABPY_URL": ""}, "Which server"),
        ({"TABPY_URL": "localhost:9004"}, "^TABPY_URL: .*begins with http://"),
        ({"TABPY_USERNAME": "ann"}, "set TABPY_PASSWORD, or add the line 'machine localhost login"),
        ({"TABPY_PASSWORD": "hush"}, "TABPY_USERNAME isn't: set both"),
        ({"TABPY_USERNAME": "ann", "TABPY_TOKEN": "abc"}, "both set"),
    ],
    ids=["nothing", "empty", "no address", "no password", "no user", "two"],
)
def test_what_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], complaint: str
) -> None:
    set_all(monkeypatch, {"TABPY_URL": "http://localhost:1"} | environ if environ else {})
    with pytest.raises(ValueError, match=complaint) as refusal:
        Client()
    assert "hush" not in str(refusal.value)


def test_for_a_server_that_is_named_half_a_user_in_the_environment_is_none(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_all(monkeypatch, {"TABPY_URL": server.url, "TABPY_PASSWORD": "hush"})
    assert signed_in(server, Client(server.url)) == ""


def test_a_user_in_netrc_signs_in(server: FakeServer, home: Path) -> None:
    write_netrc(home, "machine 127.0.0.1 login ann password hush\n")
    client = Client(server.url)
    assert signed_in(server, client) == "ann:hush"
    assert "<td>ann</td>" in client._repr_html_()


def test_of_another_host_in_netrc_nothing_is_sent(server: FakeServer, home: Path) -> None:
    write_netrc(home, "machine tabpy.example.com login ann password hush\n")
    assert signed_in(server, Client(server.url)) == ""


def test_another_file_can_be_named(
    server: FakeServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_netrc(home, "machine 127.0.0.1 login ann password hush\n").rename(home / "mine")
    monkeypatch.setenv("NETRC", str(path))
    assert signed_in(server, Client(server.url)) == "ann:hush"


def test_a_user_in_the_environment_may_have_the_password_in_netrc(
    server: FakeServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_all(monkeypatch, {"TABPY_URL": server.url, "TABPY_USERNAME": "ann"})
    write_netrc(home, "machine 127.0.0.1 login bob password bobs\n")
    with pytest.raises(ValueError, match="no password"):
        Client()
    write_netrc(home, "machine 127.0.0.1 login ann password hush\n")
    assert signed_in(server, Client()) == "ann:hush"


@pytest.mark.parametrize(
    ("text", "mode", "complaint"),
    [
        pytest.param(
            *("machine 127.0.0.1 login ann password hush\n", 0o644, "isn't used: .*chmod 600"),
            marks=pytest.mark.skipif(os.name != "posix", reason="Windows has no such permissions"),
        ),
        ("machine 127.0.0.1 login ann password a hush\n", 0o600, "isn't used: about line [12]"),
    ],
    ids=["readable to others", "no netrc"],
)
def test_a_netrc_that_cannot_be_used_is_warned_of_and_not_used(
    server: FakeServer, home: Path, text: str, mode: int, complaint: str
) -> None:
    write_netrc(home, text, mode)
    client = Client(server.url)
    with pytest.warns(UserWarning, match=complaint) as said:
        assert signed_in(server, client) == ""
    assert "hush" not in str(said[0].message)
    client.get_status()  # another warning would be an error


def test_a_netrc_that_cannot_be_used_doesnt_matter_to_who_is_named(
    server: FakeServer, home: Path
) -> None:
    write_netrc(home, "nonsense")
    client = Client(server.url)
    client.set_credentials("ann", "hush")
    assert signed_in(server, client) == "ann:hush"


def test_a_client_can_be_closed_and_goes_on(server: FakeServer) -> None:
    with Client(server.url) as client:
        assert client.get_status() == {}
    assert client.get_status() == {}


def test_in_a_notebook_it_shows_server_and_user_but_no_password() -> None:
    client = Client("http://localhost:1/<b>")
    client.set_credentials("<i>ann</i>", "hush")
    shown = client._repr_html_()
    assert "http://localhost:1/&lt;b&gt;" in shown
    assert "&lt;i&gt;ann&lt;/i&gt;" in shown
    assert "hush" not in shown
