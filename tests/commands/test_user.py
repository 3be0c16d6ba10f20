"""The command tabpy-user, run as its users run it: by a shell, a script, at a terminal."""

import os
import pty
import secrets
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tabpy.tabpy_server import rights
from tabpy.tabpy_server.access import password_file, password_hashes

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "tabpy.commands.user"]
PATIENCE = 30.0

# TabPy's own: user paolo, password P@ssw0rd.
PAOLO_PBKDF2 = (
    "0862ce7721ef341b5b53eb969ede03578d19c311011ee2a310a65c2d607c2fcd"
    "5ca8bc6a0f25c3d6d7afb3438034cfa05107c8edf1c0e77c450ae87ad868d9b5"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tabpypwd.txt"
    ann = password_hashes.hash_password("ann", "fake", password_hashes.CHEAPEST)
    path.write_text(f"# users\nann {ann}\n")
    return path


@pytest.fixture
def password() -> str:
    return "fake: " + secrets.token_hex(8)


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "TABPY_PWD_FILE"}
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**kept, "PYTHONPATH": path, "PYTHONUTF8": "1", **more}


def run(
    folder: Path, *arguments: str, piped: str | bytes = b"", **variables: str
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment(**variables),
        input=piped.encode() if isinstance(piped, str) else piped,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert b"Traceback" not in done.stderr
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


def is_users(file: Path, name: str, password: str) -> bool:
    hashes = {each: user.encoded for each, user in password_file.read(file).items()}
    return password_hashes.verify_any(hashes, name, password)


class Terminal:
    """The command at a terminal of its own, which echoes what is typed as terminals do."""

    # Not pty.fork: the process of the tests may have threads.
    _TAKE_IT_OVER = (
        "import fcntl, os, sys, termios;"
        "fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._screen, inside = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-c", self._TAKE_IT_OVER, *COMMAND, *arguments],
            cwd=folder,
            env=environment(),
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
        )
        os.close(inside)
        self.seen = ""

    def wait_for(self, text: str) -> None:
        while text not in self.seen:
            shown = self._read()
            assert shown, f"ended without {text!r}: {self.seen!r}"
            self.seen += shown

    def type(self, text: str) -> None:
        os.write(self._screen, text.encode())

    def end(self) -> int:
        """Read on until the command has ended, and give its exit code."""
        while shown := self._read():
            self.seen += shown
        os.close(self._screen)
        return self._process.wait(PATIENCE)

    def _read(self) -> str:
        ready, _, _ = select.select([self._screen], [], [], PATIENCE)
        assert ready, f"nothing more after {self.seen!r}"
        try:
            return os.read(self._screen, 4096).decode()
        except OSError:  # Linux's end of a terminal
            return ""


# --- the password: given, piped, typed, generated ---


@pytest.mark.parametrize("flags", [("-u", "-p", "-f"), ("--user", "--password", "--pwdfile")])
def test_add_with_the_flags_of_tabpy(tmp_path: Path, password: str, flags: tuple[str, ...]) -> None:
    user, secret, pwdfile = flags
    done = run(tmp_path, "add", user, "Paolo", secret, password, pwdfile, "my.txt")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "Added user Paolo to my.txt.\n"
    assert is_users(tmp_path / "my.txt", "paolo", password)


@pytest.mark.parametrize("piped", [False, True])
def test_adding_somebody_again_with_the_same_password_is_no_failure(
    file: Path, password: str, piped: bool
) -> None:  # differences 9: `tabpy-user add … && tabpy` has to start a container a second time
    given = () if piped else ("-p", password)
    line = f"{password}\n" if piped else ""
    first = run(file.parent, "add", "-u", "zoe", *given, piped=line)
    before = file.read_bytes()
    again = run(file.parent, "add", "-u", "Zoe", *given, piped=line)
    assert (first.returncode, again.returncode) == (0, 0)
    assert "User Zoe is in tabpypwd.txt already, with this password.\n" in again.stderr
    assert file.read_bytes() == before
    assert run(file.parent, "add", "-u", "zoe", "-p", "other").returncode == 1
    assert run(file.parent, "add", "-u", "zoe", "-p", password, "--may", "query").returncode == 1
    assert file.read_bytes() == before


@pytest.mark.parametrize("password", ["-p", "--help", "-u x", "päss:✓", " "])
def test_a_given_password_may_be_anything(file: Path, password: str) -> None:
    done = run(file.parent, "update", "--username", "ann", "-p", password)
    assert (done.returncode, done.stderr) == (0, "Updated user ann in tabpypwd.txt.\n")
    assert is_users(file, "ann", password)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
@pytest.mark.parametrize("command", ["add", "update"])
def test_a_piped_line_is_the_password(file: Path, password: str, command: str, end: str) -> None:
    name = {"add": "zoe", "update": "ann"}[command]
    done = run(file.parent, command, "-u", name, piped=f"{password} ü{end}")
    assert (done.returncode, done.stdout) == (0, "")
    assert password not in done.stderr
    assert is_users(file, name, f"{password} ü")


def test_without_any_input_a_password_is_generated_and_is_all_of_the_output(file: Path) -> None:
    done = run(file.parent, "add", "-u", "zoe")
    assert done.returncode == 0
    generated = done.stdout.removesuffix("\n")
    assert len(generated) == 20
    assert generated.isalnum()
    assert is_users(file, "zoe", generated)
    assert generated not in done.stderr
    assert run(file.parent, "update", "-u", "zoe").stdout != done.stdout
    assert not is_users(file, "zoe", generated)


def test_a_closed_standard_input_is_no_input(file: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" <&-', "sh", *COMMAND, "add", "-u", "zoe"],
        cwd=file.parent,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert is_users(file, "zoe", done.stdout.strip())


@pytest.mark.parametrize(
    ("arguments", "piped", "message"),
    [
        (("-p", ""), b"", "empty"),
        (("--password=",), b"", "empty"),
        ((), b"\n", "empty"),
        ((), b"fake\xff\n", "isn't valid"),
        (("-p", "fake\udcff"), b"", "isn't valid"),
    ],
)
def test_what_is_no_password_is_refused(
    file: Path, arguments: tuple[str, ...], piped: bytes, message: str
) -> None:
    before = file.read_bytes()
    done = run(file.parent, "add", "-u", "zoe", *arguments, piped=piped)
    assert done.returncode == 1
    assert message in done.stderr
    assert "fake" not in done.stderr
    assert file.read_bytes() == before


def test_at_a_terminal_it_is_asked_for_twice_and_never_shown(file: Path, password: str) -> None:
    terminal = Terminal(file.parent, "add", "-u", "zoe")
    terminal.wait_for("Password for zoe")
    terminal.type(f"{password}\n")
    terminal.wait_for("again")
    terminal.type(f"{password}\n")
    assert terminal.end() == 0
    assert "Added user zoe to tabpypwd.txt." in terminal.seen
    assert password not in terminal.seen
    assert is_users(file, "zoe", password)


def test_an_empty_answer_has_one_generated(file: Path) -> None:
    terminal = Terminal(file.parent, "update", "-u", "ann")
    terminal.wait_for("Password for ann")
    terminal.type("\n")
    assert terminal.end() == 0
    assert is_users(file, "ann", terminal.seen.split()[-1])


@pytest.mark.parametrize(
    ("answers", "message"),
    [(("fake\n", "fakf\n"), "differ"), (("\x04",), "No password"), (("fake\n", "\x04"), "No pass")],
)
def test_answers_that_give_no_password_change_nothing(
    file: Path, answers: tuple[str, ...], message: str
) -> None:
    before = file.read_bytes()
    terminal = Terminal(file.parent, "add", "-u", "zoe")
    for question, answer in zip(("Password for zoe", "again"), answers, strict=False):
        terminal.wait_for(question)
        terminal.type(answer)
    assert terminal.end() == 1
    assert message in terminal.seen
    assert file.read_bytes() == before


@pytest.mark.parametrize("typed", ["", "fake"])
def test_ctrl_c_leaves_no_trace(tmp_path: Path, typed: str) -> None:
    terminal = Terminal(tmp_path, "add", "-u", "zoe")
    terminal.wait_for("Password for zoe")
    terminal.type(typed + "\x03")
    assert terminal.end() == 128 + signal.SIGINT
    assert "Traceback" not in terminal.seen
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("command", "name"), [("add", "ann"), ("update", "zoe")])
def test_nobody_is_asked_for_a_password_in_vain(file: Path, command: str, name: str) -> None:
    terminal = Terminal(file.parent, command, "-u", name)
    assert terminal.end() == 1
    assert "Password for" not in terminal.seen


# --- which file, which user ---


def test_the_file_is_the_one_of_the_environment_unless_a_flag_names_one(
    file: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.txt"
    run(tmp_path, "add", "-u", "zoe", TABPY_PWD_FILE=str(other))
    assert list(password_file.read(other)) == ["zoe"]
    run(tmp_path, "add", "-u", "zoe", "-f", str(file), TABPY_PWD_FILE=str(other))
    assert list(password_file.read(file)) == ["ann", "zoe"]


def test_delete_removes_the_user(file: Path) -> None:
    done = run(file.parent, "delete", "-u", "ANN")
    assert (done.returncode, done.stderr) == (0, "Deleted user ANN from tabpypwd.txt.\n")
    assert file.read_text() == "# users\n"


def test_list_shows_names_rights_and_which_hashes_are_old(file: Path) -> None:
    with file.open("a") as stream:
        stream.write(f"paolo {PAOLO_PBKDF2} query\n")
    done = run(file.parent, "list")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "ann  argon2id  query,evaluate,deploy\n"
        "paolo  pbkdf2  query  (an old hash: run tabpy-user update -u paolo)\n"
    )


def test_add_gives_rights(file: Path, password: str) -> None:
    done = run(file.parent, "add", "-u", "zoe", "-p", password, "--may", "evaluate,query")
    assert (done.returncode, done.stderr) == (0, "Added user zoe to tabpypwd.txt.\n")
    assert password_file.read(file)["zoe"].rights == ("query", "evaluate")
    assert password_file.read(file)["ann"].rights == rights.ALL
    assert is_users(file, "zoe", password)


def test_update_changes_rights_and_asks_for_no_password(file: Path) -> None:
    terminal = Terminal(file.parent, "update", "-u", "ann", "--may", "query")
    assert terminal.end() == 0
    said = "Updated the rights of ann in tabpypwd.txt; the password stays."
    assert terminal.seen.split("\r\n") == [said, ""]
    assert password_file.read(file)["ann"].rights == ("query",)
    assert is_users(file, "ann", "fake")


def test_update_changes_both_if_told_so_and_else_leaves_the_rights(
    file: Path, password: str
) -> None:
    run(file.parent, "update", "-u", "ann", "-p", password, "--may", "query")
    assert is_users(file, "ann", password)
    run(file.parent, "update", "-u", "ann", "-p", "fake again")
    assert is_users(file, "ann", "fake again")
    assert password_file.read(file)["ann"].rights == ("query",)
    done = run(file.parent, "update", "-u", "zoe", "--may", "query")
    assert (done.returncode, done.stderr.split(";")[0]) == (
        1,
        "tabpy-user: tabpypwd.txt has no user zoe",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("query,evalute", "right 2 of 2, 'evalute', is none; evaluate is; write one or more of qu"),
        ("", "right 1 of 1 is empty"),
        ("query,query", "right 2 of 2, 'query', is there already"),
        ("admin", "right 1 of 1 is none"),
    ],
)
@pytest.mark.parametrize("command", ["add", "update"])
def test_rights_that_are_none_are_explained(
    file: Path, command: str, text: str, message: str
) -> None:
    before = file.read_bytes()
    name = {"add": "zoe", "update": "ann"}[command]
    done = run(file.parent, command, "-u", name, "--may", text)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"argument --may: {message}" in done.stderr
    assert file.read_bytes() == before


def test_an_empty_list_says_so(tmp_path: Path) -> None:
    (tmp_path / "tabpypwd.txt").write_text("# nobody\n")
    done = run(tmp_path, "list")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "tabpypwd.txt has no users.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("add", "-u", "Ann"), "tabpypwd.txt has a user Ann already; use update to change it."),
        (
            ("update", "-u", "zoe"),
            "tabpypwd.txt has no user zoe; tabpy-user list shows those it has.",
        ),
        (
            ("delete", "-u", "zoe"),
            "tabpypwd.txt has no user zoe; tabpy-user list shows those it has.",
        ),
        (("add", "-u", "a:b"), "A user name is printable ASCII without spaces or colons,"),
        (("list", "-f", "none.txt"), "none.txt: No such file or directory."),
        (("update", "-u", "ann", "-f", "none.txt"), "none.txt: No such file or directory."),
        (("add", "-u", "ann", "-f", "none/x.txt"), "none/x.txt: No such file or directory."),
        (("add", "-u", "ann", "-f", "."), ".: Is a directory."),
    ],
)
def test_what_cant_be_done_is_said_in_one_line(
    file: Path, arguments: tuple[str, ...], message: str
) -> None:
    before = file.read_bytes()
    done = run(file.parent, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"tabpy-user: {message}")
    assert done.stderr.count("\n") == 1
    assert "$argon2id" not in done.stderr
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_a_broken_line_is_named_and_costs_nobody_the_account(file: Path) -> None:
    with file.open("a") as stream:
        stream.write("zoe in-plain-text\n")
    before = file.read_bytes()
    for command in (["add", "-u", "bob"], ["update", "-u", "ann"], ["delete", "-u", "ann"]):
        done = run(file.parent, *command)
        assert done.returncode == 1
        assert done.stderr.startswith("tabpy-user: tabpypwd.txt, line 3: ")
        assert "in-plain-text" not in done.stderr
        assert file.read_bytes() == before


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("remove", "-u", "ann"),
        ("add",),
        ("add", "-u", "zoe", "-p"),
        ("list", "-u", "ann"),
        ("add", "-u", "zoe", "-p", "fake", "words"),
    ],
)
def test_wrong_usage_is_explained(file: Path, arguments: tuple[str, ...]) -> None:
    before = file.read_bytes()
    done = run(file.parent, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: tabpy-user" in done.stderr
    assert "words" not in done.stderr
    assert file.read_bytes() == before


def test_help_tells_how_to_give_a_password(tmp_path: Path) -> None:
    done = run(tmp_path, "add", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "standard input" in done.stdout


def test_commands_at_the_same_time_lose_nobody(file: Path) -> None:
    names = [f"user{number}" for number in range(4)]
    started = [
        subprocess.Popen(
            [*COMMAND, "add", "-u", name],
            cwd=file.parent,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for name in names
    ]
    assert [process.wait(PATIENCE) for process in started] == [0] * 4
    assert sorted(password_file.read(file)) == sorted(["ann", *names])


def test_reading_a_file_imports_neither_argon2_nor_tornado(file: Path) -> None:
    code = (
        "import sys; from tabpy.tabpy_server.access import password_file as it;"
        "it.read('tabpypwd.txt');"
        "print({'argon2', 'tornado'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=file.parent,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stdout == "set()\n"
