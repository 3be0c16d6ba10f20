"""The command line of tabpy-check: usage, and where the password comes from."""

import io
from pathlib import Path

import pytest

from tabpy.check.report import Finding, Result, fail, ok, skip, warn
from tabpy.check.session import Session
from tabpy.commands import check as command


@pytest.fixture(autouse=True)
def no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TABPY_PASSWORD", raising=False)


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[Session]:
    """The sessions that would have been checked."""
    made: list[Session] = []

    def check(session: Session, wanted: object) -> list[Result]:
        made.append(session)
        return []

    monkeypatch.setattr(command, "check", check)
    return made


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "URL"),
        (["host/path"], "no field for a path"),
        (["host", "-u", ""], "a user name isn't empty"),
        (["host", "-u", "a:b"], "has no colon"),
        (["host", "--timeout", "0"], "--timeout"),
        (["host", "--timeout", "nan"], "--timeout"),
        (["host", "--requirements", "missing.txt"], "missing.txt"),
        (["host", "--ca", "missing.pem"], "missing.pem has no certificates"),
        (["host", "--ca", __file__], "has no certificates"),
        (["host", "-u", "paolo"], "no password"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    arguments: list[str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(SystemExit) as stopped:
        command.main(arguments)

    assert stopped.value.code == 2
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_the_flag_beats_the_environment_and_that_the_standard_input(
    sessions: list[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("from-stdin\r\nmore\n"))
    command.main(["host", "-u", "paolo"])
    monkeypatch.setenv("TABPY_PASSWORD", "from-environment")
    command.main(["host", "-u", "paolo"])
    command.main(["host", "-u", "paolo", "-p", "from-flag"])

    passwords = [session.password for session in sessions]
    assert passwords == ["from-stdin", "from-environment", "from-flag"]
    assert "from-flag" not in repr(sessions)


def test_without_a_user_no_password_is_asked_for(
    sessions: list[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", None)

    assert command.main(["host"]) == 0
    assert sessions[0].user is None


@pytest.mark.parametrize(
    ("finding", "code"),
    [(ok("fine"), 0), (warn("fair", "look"), 0), (skip("needs TCP"), 0), (fail("bad", "mend"), 1)],
)
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_only_a_failure_fails(
    finding: Finding, code: int, flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = [Result("TCP", finding, 0.1), Result("TLS", ok("fine"), 0.1)]
    monkeypatch.setattr(command, "check", lambda session, wanted: results)

    assert command.main(["host", *flags]) == code


def test_reads_requirements_before_it_asks_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("num py\n")
    with pytest.raises(SystemExit):
        command.main(["host", "-u", "paolo", "--requirements", str(file)])

    assert "line 1: 'num py'" in capsys.readouterr().err
