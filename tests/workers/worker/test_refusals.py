"""Which setting a failed script is told of."""

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tabpy.tabpy_server.script_rules import InForce, ScriptRules
from tabpy.tabpy_server.workers.worker import refusals
from tabpy.tabpy_server.workers.worker.refusals import (
    CALL,
    CAUSES_SEEN,
    NETWORK,
    PROCESSES,
    READ,
    WRITE,
    explain,
)

ALL = InForce(landlock=6, seccomp=True, processes=100)
ONLINE, OFFLINE = ScriptRules(True), ScriptRules(True, network=False)
THREAD = RuntimeError("can't start new thread")
SQLITE = sqlite3.OperationalError("unable to open database file")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    refusals._kept_to.clear()


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The path of a file that is there and can't be opened, even by root."""
    file = tmp_path / "closed"
    file.touch()
    opened = os.open

    def refuse(path: object, *rest: int) -> int:
        if path in {str(file), os.fsencode(file)}:
            raise PermissionError(errno.EACCES, "", path)
        return opened(path, *rest)  # type: ignore[arg-type] # whatever it was

    monkeypatch.setattr(os, "open", refuse)
    return str(file)


def denied(path: object = None) -> OSError:
    return OSError(errno.EACCES, os.strerror(errno.EACCES), path)


def failed(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def test_a_file_that_is_there_and_cannot_be_read(closed: str) -> None:
    refusals.note(ONLINE, ALL)
    assert explain(denied(closed)) == READ
    assert explain(denied(os.fsencode(closed))) == READ
    assert "TABPY_SCRIPT_READ" in READ


def test_a_file_that_can_be_read_or_is_not_there_was_to_be_written(tmp_path: Path) -> None:
    refusals.note(ONLINE, ALL)
    (tmp_path / "open").touch()
    for path in (str(tmp_path / "open"), str(tmp_path / "new"), str(tmp_path / "no/such"), 7):
        assert explain(denied(path)) == WRITE
    assert "TABPY_SCRIPT_WRITE" in WRITE


def test_a_pipe_without_a_writer_makes_nobody_wait(tmp_path: Path) -> None:
    refusals.note(ONLINE, ALL)
    os.mkfifo(tmp_path / "pipe")
    assert explain(denied(str(tmp_path / "pipe"))) == WRITE


@pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES])
def test_a_call_that_is_refused_is_the_networks_where_that_is_off(number: int) -> None:
    refusals.note(OFFLINE, ALL)
    assert explain(failed(number)) == NETWORK
    refusals.note(ONLINE, ALL)
    assert explain(failed(number)) == CALL
    assert "TABPY_SCRIPT_NETWORK" in NETWORK
    assert "TABPY_SCRIPT_CONFINEMENT" in CALL


@pytest.mark.parametrize("error", [failed(errno.EAGAIN), THREAD])
def test_no_more_processes_and_threads(error: Exception) -> None:
    refusals.note(ONLINE, ALL)
    assert explain(error) == PROCESSES


def test_a_database_of_sqlite_needs_a_folder_to_write_to() -> None:
    refusals.note(ONLINE, ALL)
    assert explain(SQLITE) == WRITE
    assert explain(sqlite3.OperationalError("no such table: t")) == ""


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "No such file", "/nowhere"),
        failed(errno.ECONNREFUSED),
        OSError("without a number"),
        RuntimeError("something else"),
        ValueError("unable to open"),
        KeyError("x"),
    ],
)
def test_no_setting_would_help_others(error: Exception) -> None:
    refusals.note(OFFLINE, ALL)
    assert explain(error) == ""


@pytest.mark.parametrize("error", [denied("/x"), failed(errno.EPERM), SQLITE, THREAD])
def test_nothing_is_said_where_nothing_is_in_force(error: Exception) -> None:
    assert explain(error) == ""
    refusals.note(ONLINE, InForce())
    assert explain(error) == ""


def test_only_what_is_in_force_is_blamed(closed: str) -> None:
    refusals.note(ONLINE, InForce(seccomp=True))
    assert [explain(each) for each in (denied(closed), SQLITE, THREAD)] == ["", "", ""]
    assert explain(failed(errno.EPERM)) == CALL
    refusals.note(ONLINE, InForce(landlock=1))
    assert [explain(each) for each in (denied(closed), SQLITE, THREAD)] == [READ, WRITE, ""]
    assert explain(failed(errno.EAGAIN)) == ""


# --- causes ---


def behind(cause: BaseException, others: int, *, explicit: bool) -> BaseException:
    error = cause
    for _ in range(others):
        outer = ValueError("it didn't work")
        if explicit:
            outer.__cause__ = error
        else:
            outer.__context__ = error
        error = outer
    return error


@pytest.mark.parametrize("explicit", [True, False])
def test_the_cause_may_lie_behind_other_exceptions(explicit: bool) -> None:
    refusals.note(ONLINE, ALL)
    assert explain(behind(THREAD, CAUSES_SEEN - 1, explicit=explicit)) == PROCESSES
    assert explain(behind(THREAD, CAUSES_SEEN, explicit=explicit)) == ""


def test_the_outermost_that_a_setting_explains_counts() -> None:
    refusals.note(ONLINE, ALL)
    error = denied("/nowhere")
    error.__context__ = THREAD
    assert explain(behind(error, 1, explicit=True)) == WRITE


def test_causes_in_a_circle_come_to_an_end() -> None:
    refusals.note(ONLINE, ALL)
    one, two = ValueError(), ValueError()
    one.__cause__, two.__cause__ = two, one
    assert explain(one) == ""


# --- exceptions that scripts made themselves ---


class Raising:
    """Raises whatever is done with it."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __eq__(self, other: object) -> bool:
        raise self.error

    def __hash__(self) -> int:
        raise self.error


def raising_attribute(error: BaseException) -> BaseException:
    class HostileError(OSError):
        @property
        def errno(self) -> int:  # type: ignore[override]
            raise error

    return HostileError()


def raising_words(error: BaseException) -> BaseException:
    class HostileError(RuntimeError):
        def __str__(self) -> str:
            raise error

    return HostileError()


def raising_number(error: BaseException) -> BaseException:
    hostile = OSError()
    hostile.errno = Raising(error)  # type: ignore[assignment]
    return hostile


@pytest.mark.parametrize("make", [raising_attribute, raising_words, raising_number])
@pytest.mark.parametrize("error", [ValueError, RecursionError, KeyboardInterrupt, SystemExit])
def test_one_that_raises_when_looked_at_is_not_explained(
    make: Callable[[BaseException], BaseException], error: type[BaseException]
) -> None:
    refusals.note(ONLINE, ALL)
    assert explain(make(error())) == ""


@pytest.mark.parametrize("path", ["nul\0byte", b"\xff\0", object(), ("a", "b"), "x" * 10_000, ""])
def test_a_name_that_is_no_path_is_no_error(path: object) -> None:
    refusals.note(ONLINE, ALL)
    assert explain(denied(path)) in {WRITE, ""}
