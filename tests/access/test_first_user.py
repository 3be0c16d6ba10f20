"""Who may enter this run: never more people than somebody asked for."""

import asyncio
import base64
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tabpy.tabpy_server.access import first_user, password_file, password_hashes
from tabpy.tabpy_server.access.first_user import SignIn
from tabpy.tabpy_server.access.gate import Gate, OpenGate, Person
from tabpy.tabpy_server.access.password_hashes import CHEAPEST, hash_password
from tabpy.tabpy_server.errors import StartError, WrongCredentialsError
from tabpy.tabpy_server.rights import ALL, DEPLOY, EVALUATE, QUERY, Rights
from tabpy.tabpy_server.settings import Settings

# TabPy's own: user paolo, password P@ssw0rd.
PAOLO_PBKDF2 = (
    "0862ce7721ef341b5b53eb969ede03578d19c311011ee2a310a65c2d607c2fcd"
    "5ca8bc6a0f25c3d6d7afb3438034cfa05107c8edf1c0e77c450ae87ad868d9b5"
)


@pytest.fixture(autouse=True)
def _cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        password_hashes,
        "hash_password",
        lambda name, password: hash_password(name, password, CHEAPEST),
    )


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, and a checkout: both empty."""
    (tmp_path / "work").mkdir()
    (tmp_path / "checkout").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(first_user, "checkout", lambda: tmp_path / "checkout")
    return tmp_path


def resolve(
    *,
    environment: dict[str, str] | None = None,
    may_generate: bool = False,
    may_open: bool = False,
    confined: bool = True,
    **settings: Any,
) -> SignIn:
    """`explicit`, among the settings, is what somebody set."""
    return first_user.resolve(
        Settings(**settings),
        environment or {},
        may_generate=may_generate,
        may_open=may_open,
        confined=confined,
    )


def admits(sign_in: SignIn, name: str, password: str) -> bool:
    header = "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
    assert isinstance(sign_in.gate, Gate)
    try:
        return asyncio.run(sign_in.gate.admit(header, "192.0.2.1")).name == name
    except WrongCredentialsError:
        return False


NAMED: dict[str, Any] = {"explicit": frozenset({"TABPY_PWD_FILE"})}
ANN: dict[str, Any] = {"username": "ann", "password": "fake"}


# --- users that are there ---


def test_the_users_are_those_of_the_file_and_the_one_of_the_settings(folder: Path) -> None:
    password_file.add(folder / "work" / "tabpypwd.txt", "bob", hash_password("bob", "x", CHEAPEST))
    found = resolve(**ANN)
    assert found.users == ("bob", "ann")
    assert found.password is None
    assert admits(found, "ann", "fake")
    assert admits(found, "bob", "x")
    assert not admits(found, "ann", "x")


@pytest.mark.parametrize("flags", [{"may_generate": True}, {"may_open": True}])
def test_where_there_is_a_user_none_is_generated_and_nothing_is_opened(
    flags: dict[str, Any],
) -> None:
    found = resolve(**ANN, **flags)
    assert found.users == ("ann",)
    assert found.password is None
    assert isinstance(found.gate, Gate)


def test_users_with_old_hashes_are_named(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "work" / "tabpypwd.txt").write_text(f"paolo {PAOLO_PBKDF2}\n")
    resolve(**ANN)
    [warning] = caplog.messages
    assert warning.startswith("The password hashes of paolo are TabPy's old kind")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"username": "ann"}, "TABPY_PASSWORD is not set: TABPY_USERNAME and TABPY_PASSWORD go"),
        ({"password": "fake"}, "TABPY_USERNAME is not set"),
        ({"username": "a:b", "password": "fake"}, "TABPY_USERNAME, TABPY_PASSWORD: A user name"),
    ],
)
def test_half_a_user_is_no_user(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(StartError) as refused:
        resolve(**settings, may_generate=True, may_open=True)
    assert str(refused.value).startswith(message)
    assert "fake" not in str(refused.value)


@pytest.mark.parametrize("half", [{"password": "fake"}, {"username": "bob"}])
def test_beside_a_file_that_somebody_named_half_a_user_is_a_warning(
    folder: Path, caplog: pytest.LogCaptureFixture, half: dict[str, Any]
) -> None:  # differences 8: start scripts have such variables for tabpy-user
    file = folder / "users.txt"
    password_file.add(file, "ann", hash_password("ann", "fake", CHEAPEST))
    found = resolve(pwd_file=file, explicit=frozenset({"TABPY_PWD_FILE"}), **half)
    assert found.users == ("ann",)
    [warning] = caplog.messages
    assert "TABPY_USERNAME and TABPY_PASSWORD go together" in warning
    assert "fake" not in warning


# --- rights ---


def person(sign_in: SignIn, name: str = "ann", password: str = "fake") -> Person:
    header = "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
    return asyncio.run(sign_in.gate.admit(header, "192.0.2.1"))


def test_the_user_of_the_settings_has_the_rights_of_the_settings(folder: Path) -> None:
    bob = hash_password("bob", "x", CHEAPEST)
    password_file.add(folder / "work" / "tabpypwd.txt", "bob", bob, (DEPLOY,))
    found = resolve(**ANN, rights=(QUERY,))
    assert person(found).rights == (QUERY,)
    assert person(found, "bob", "x").rights == (DEPLOY,)
    assert person(resolve(**ANN)).rights == ALL
    assert person(resolve(environment=OLD, on_heroku=True, rights=(QUERY,))).rights == (QUERY,)


def test_rights_of_nobody_are_an_error(folder: Path) -> None:
    password_file.add(folder / "work" / "tabpypwd.txt", "bob", hash_password("bob", "x", CHEAPEST))
    with pytest.raises(StartError, match=r"^TABPY_RIGHTS is 'query', but there is no user"):
        resolve(rights=(QUERY,), may_generate=True)


@pytest.mark.parametrize("rights", [(EVALUATE,), (QUERY, EVALUATE), (QUERY, DEPLOY)])
@pytest.mark.parametrize("confined", [True, False])
def test_where_scripts_are_not_confined_a_restriction_is_warned_of(
    caplog: pytest.LogCaptureFixture, rights: Rights, confined: bool
) -> None:
    resolve(**ANN, rights=rights, confined=confined)
    said = [each for each in caplog.messages if each.startswith("The rights of ann only prevent")]
    assert len(said) == (0 if confined else 1)


@pytest.mark.parametrize("rights", [ALL, (QUERY,)])
def test_who_may_do_everything_or_run_no_code_is_not(
    caplog: pytest.LogCaptureFixture, rights: Rights
) -> None:
    resolve(**ANN, rights=rights, confined=False)
    assert caplog.messages == []


# --- Heroku's old names ---

OLD = {"USERNAME": "ann", "PASSWORD": "fake"}


def test_old_names_count_on_heroku_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    found = resolve(environment=OLD, on_heroku=True)
    assert admits(found, "ann", "fake")
    assert "set TABPY_USERNAME and TABPY_PASSWORD instead" in caplog.text
    assert "fake" not in caplog.text


@pytest.mark.parametrize(
    ("environment", "settings"),
    [
        (OLD, {"on_heroku": False}),  # there USERNAME is whoever works at the machine
        ({"USERNAME": "ann"}, {"on_heroku": True}),
        ({"PASSWORD": "fake"}, {"on_heroku": True}),
    ],
)
def test_old_names_count_nowhere_else(
    environment: dict[str, str], settings: dict[str, bool]
) -> None:
    with pytest.raises(StartError, match="There is no user"):
        resolve(environment=environment, **settings)


def test_new_names_beat_old_ones() -> None:
    found = resolve(environment=OLD, on_heroku=True, username="bob", password="x")
    assert found.users == ("bob",)


# --- nobody ---


def test_without_a_user_nothing_starts() -> None:
    with pytest.raises(
        StartError, match=r"^There is no user.* `tabpy-user add -u NAME -f tabpypwd"
    ):
        resolve()


def test_a_password_is_generated_for_who_is_there_to_see_it() -> None:
    found = resolve(may_generate=True)
    assert found.users == ("tabpy",)
    assert found.password is not None
    assert len(found.password) >= 16
    assert admits(found, "tabpy", found.password)
    assert not admits(found, "tabpy", "")
    assert resolve(may_generate=True).password != found.password


def test_it_is_open_for_who_asked_for_it_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = resolve(may_open=True, port=4711)
    assert isinstance(found.gate, OpenGate)
    assert found.users == ()
    assert caplog.messages[0].startswith("No password: whoever reaches port 4711")


def test_opening_beats_generating() -> None:
    assert isinstance(resolve(may_open=True, may_generate=True).gate, OpenGate)


def test_on_heroku_it_neither_opens_nor_generates() -> None:
    with pytest.raises(StartError, match="There is no user"):
        resolve(may_open=True, may_generate=True, on_heroku=True)


def test_where_a_password_file_was_named_it_does_not_open(folder: Path) -> None:
    (folder / "work" / "tabpypwd.txt").touch()
    with pytest.raises(StartError, match="There is no user"):
        resolve(may_open=True, **NAMED)


# --- which file ---


def test_the_file_is_looked_up_in_the_working_folder_then_in_the_checkout(folder: Path) -> None:
    assert first_user.find_password_file(Settings()) is None
    (folder / "checkout" / "tabpypwd.txt").touch()
    assert first_user.find_password_file(Settings()) == folder / "checkout" / "tabpypwd.txt"
    (folder / "work" / "tabpypwd.txt").touch()
    assert first_user.find_password_file(Settings()) == folder / "work" / "tabpypwd.txt"
    assert first_user.find_password_file(Settings(pwd_file=None)) is None


def test_this_machines_own_users_go_before_the_forks(folder: Path) -> None:
    for place in ("work", "checkout"):
        (folder / place / "tabpypwd.txt").touch()
        (folder / place / "local-users.txt").touch()
    assert first_user.find_password_file(Settings()) == folder / "work" / "local-users.txt"
    named = Settings(pwd_file=Path("tabpypwd.txt"), explicit=frozenset({"TABPY_PWD_FILE"}))
    assert first_user.find_password_file(named) == folder / "work" / "tabpypwd.txt"
    (folder / "work" / "local-users.txt").unlink()
    assert first_user.find_password_file(Settings()) == folder / "work" / "tabpypwd.txt"


def test_an_installed_package_has_no_file_beside_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "checkout" / "tabpypwd.txt").touch()
    monkeypatch.setattr(first_user, "checkout", lambda: None)
    assert first_user.find_password_file(Settings()) is None


MAKE_BROKEN: dict[str, Callable[[Path], object]] = {
    "but there is no such file": lambda _: None,
    "which is a folder": lambda file: file.mkdir(),
    "line 1": lambda file: file.write_text("ann no-hash\n"),
}


@pytest.mark.parametrize(("message", "make"), MAKE_BROKEN.items(), ids=MAKE_BROKEN)
def test_a_named_file_that_cannot_be_used_is_an_error(
    folder: Path, message: str, make: Callable[[Path], object]
) -> None:
    make(folder / "work" / "mine.txt")
    with pytest.raises(StartError, match=rf"^TABPY_PWD_FILE.*mine\.txt.*{message}"):
        resolve(**NAMED, pwd_file=Path("mine.txt"), may_generate=True, may_open=True)


def test_a_line_that_is_wrong_keeps_out_nobody_of_the_other_lines(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:  # differences 26: TabPy's own tabpy-user wrote such lines
    file = folder / "work" / "mine.txt"
    file.write_text(f"émile {PAOLO_PBKDF2}\ng:h {PAOLO_PBKDF2}\nann {PAOLO_PBKDF2[:-1]}\n")
    hash_of_bob = hash_password("bob", "x", CHEAPEST)
    with file.open("a") as lines:
        lines.write(f"bob {hash_of_bob}\n")
    found = resolve(**NAMED, pwd_file=Path("mine.txt"))
    assert found.users == ("bob",)
    assert admits(found, "bob", "x")
    problems = [each for each in caplog.messages if "this doesn't count" in each]
    assert [f"line {row}" in each for row, each in enumerate(problems, 1)] == [True] * 3
    assert PAOLO_PBKDF2[:20] not in caplog.text


@pytest.mark.parametrize(
    ("settings", "is_named"),
    [
        ({}, True),
        ({"on_heroku": True}, False),
        ({"explicit": frozenset({"TABPY_PWD_FILE"})}, False),
    ],
    ids=["anywhere", "on Heroku", "with a file that somebody named"],
)
def test_who_answered_y_to_tabpys_question_reads_which_flag_it_is_now(
    folder: Path, settings: dict[str, Any], is_named: bool
) -> None:  # differences 29: `echo y | tabpy`
    (folder / "work" / "tabpypwd.txt").touch()
    with pytest.raises(StartError) as refused:
        resolve(**settings)
    assert ("--disable-auth-warning" in str(refused.value)) is is_named
