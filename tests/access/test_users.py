"""The users, while the password file is edited."""

import logging
import os
from pathlib import Path

import pytest

from tabpy.tabpy_server.access import password_file, users
from tabpy.tabpy_server.access.password_file import PasswordFileError, User
from tabpy.tabpy_server.access.password_hashes import CHEAPEST, hash_password
from tabpy.tabpy_server.access.users import CHECK_FILE_SECONDS, Users
from tabpy.tabpy_server.rights import QUERY

HASH = hash_password("ann", "fake", CHEAPEST)
OTHER = hash_password("ann", "another fake", CHEAPEST)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def go_on(self) -> None:
        """Until the file is looked at again."""
        self.now += CHECK_FILE_SECONDS + 0.001


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(users, "time", made)
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "users.txt"
    password_file.add(path, "ann", HASH)
    return path


@pytest.mark.usefixtures("clock")
def test_they_are_those_of_the_file_and_those_beside_it(file: Path) -> None:
    assert Users(file, {}).current() == {"ann": User(HASH)}
    assert Users(None, {"bob": User(HASH)}).current() == {"bob": User(HASH)}
    assert Users(file, {"bob": User(HASH)}).current() == {"ann": User(HASH), "bob": User(HASH)}
    assert Users(file, {"ann": User(OTHER)}).current() == {"ann": User(OTHER)}
    assert Users(None, {}).current() == {}


def test_a_file_that_cannot_be_used_is_an_error_at_the_start(file: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Users(file.with_name("none.txt"), {})
    file.write_text("ann no-hash\n", encoding="utf-16")
    with pytest.raises(PasswordFileError):
        Users(file, {})


def test_a_line_that_is_wrong_at_the_start_does_not_count_and_is_named(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:  # differences 26
    file.write_text(f"g:h {HASH}\nann {HASH}\n")
    known = Users(file, {"bob": User(HASH)})
    assert known.current() == {"ann": User(HASH), "bob": User(HASH)}
    [problem] = known.problems
    assert "line 1: a user name is printable ASCII without colons" in problem
    assert problem in caplog.text


def test_as_long_as_nothing_changes_it_is_the_same_object(file: Path, clock: Clock) -> None:
    known = Users(file, {"bob": User(HASH)})
    first = known.current()
    clock.go_on()
    assert known.current() is first


def test_an_edit_is_seen_with_the_next_look(
    file: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    known = Users(file, {"bob": User(HASH)})
    known.current()
    password_file.add(file, "carl", HASH)
    with caplog.at_level(logging.INFO):
        assert "carl" not in known.current()  # the last look was just now
        clock.go_on()
        assert known.current() == {"ann": User(HASH), "bob": User(HASH), "carl": User(HASH)}
        clock.go_on()
        known.current()
    assert [each.getMessage() for each in caplog.records] == [
        "The password file has changed: 3 users."
    ]


def test_an_edit_that_changes_neither_size_nor_time_is_seen(file: Path, clock: Clock) -> None:
    known = Users(file, {})
    known.current()
    before = file.stat()
    password_file.update(file, "ann", OTHER)  # puts another file in its place
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    clock.go_on()
    assert known.current() == {"ann": User(OTHER)}


def test_in_a_file_that_has_become_wrong_the_right_lines_count(
    file: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    known = Users(file, {"bob": User(HASH)})
    known.current()
    file.write_text(f"carl {HASH}\nann no-hash\n")
    clock.go_on()
    assert known.current() == {"bob": User(HASH), "carl": User(HASH)}
    assert "line 2" in caplog.text
    assert "no-hash" not in caplog.text


def test_other_rights_are_seen_with_the_next_look(file: Path, clock: Clock) -> None:
    known = Users(file, {})
    known.current()
    password_file.update(file, "ann", may=(QUERY,))
    clock.go_on()
    assert known.current() == {"ann": User(HASH, (QUERY,))}


def test_a_line_whose_rights_have_become_wrong_gives_none(
    file: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    known = Users(file, {"bob": User(HASH)})
    known.current()
    file.write_text(f"ann {HASH} evaluat\ncarl {HASH} query\n")
    clock.go_on()
    assert known.current() == {"bob": User(HASH), "carl": User(HASH, (QUERY,))}
    assert "line 1: the third word lists rights, and right 1 of 1, 'evaluat'" in caplog.text


def test_without_the_file_its_users_are_out(file: Path, clock: Clock) -> None:
    known = Users(file, {"bob": User(HASH)})
    known.current()
    file.unlink()
    clock.go_on()
    assert known.current() == {"bob": User(HASH)}
    password_file.add(file, "ann", OTHER)
    clock.go_on()
    assert known.current() == {"ann": User(OTHER), "bob": User(HASH)}
