"""Confinement, from what the arbiter finds out to a process that is confined."""

import errno
import json
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tabpy.tabpy_server.script_rules import SIGNALS_SINCE, InForce, ScriptRules
from tabpy.tabpy_server.workers.fork_server.confining import NOT_CONFINED, Confining, prepare
from tabpy.tabpy_server.workers.fork_server.linux import PR_SET_NO_NEW_PRIVS, prctl
from tabpy.tabpy_server.workers.fork_server.script_folders import PREFIX
from tabpy.tabpy_server.workers.worker import confinement, landlock, seccomp

PARTS = InForce(landlock=6, seccomp=True, processes=77, missing=("one 'thing'", "another"))
RULES = ScriptRules(
    confine=True,
    read=("/usr", "/with space"),
    tidy=("/app",),
    closed=('/quo"te',),
    models=("/state/archives",),
    write=("/out",),
    network=False,
)

confined = pytest.mark.skipif(not landlock.abi(), reason="this kernel has no Landlock")
filtered = pytest.mark.skipif(
    os.uname().machine not in seccomp.AUDIT_MACHINE, reason="calls of this machine aren't known"
)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confinement, "_process_limit", lambda: 0)


@pytest.fixture
def rules(tmp_path: Path) -> ScriptRules:
    (tmp_path / "app").mkdir()
    for name in ("open", "closed"):
        (tmp_path / "app" / name).write_text(name)
    app = str(tmp_path / "app")
    return ScriptRules(
        True, read=("/usr", "/proc", app), tidy=(app,), closed=(f"{app}/closed",), network=False
    )


# --- to the fork server ---


@pytest.mark.parametrize("each", [Confining(RULES, PARTS, "/tmp/a b"), NOT_CONFINED])
def test_it_is_the_same_after_a_command_line(each: Confining) -> None:
    argument = each.argument()
    assert Confining.of_argument(argument) == each
    assert "\0" not in argument
    assert hash(Confining.of_argument(argument)) == hash(each)  # tuples, and no lists


def test_who_starts_workers_may_start_any_number() -> None:
    loader = Confining(RULES, PARTS, "/folder").for_loader()
    assert loader.parts.processes == 0
    assert (loader.rules, loader.parts.seccomp, loader.parts.landlock) == (RULES, True, 6)


# --- finding out ---


def test_where_nothing_is_to_be_confined_nothing_is_tried(temporary: Path) -> None:
    assert prepare(ScriptRules(confine=False)) == NOT_CONFINED
    assert list(temporary.iterdir()) == []


@confined
@filtered
def test_what_this_kernel_has_is_found(
    temporary: Path, rules: ScriptRules, unlimited: None
) -> None:
    found = prepare(rules)
    assert found.rules == rules
    assert found.parts.landlock == landlock.abi()
    assert found.parts.seccomp
    assert [*temporary.iterdir()] == [Path(found.folder)]
    assert Path(found.folder).name.startswith(PREFIX)
    assert (found.parts.missing == ()) == (landlock.abi() >= SIGNALS_SINCE)


def test_this_process_is_not_confined_by_trying(
    temporary: Path, rules: ScriptRules, unlimited: None
) -> None:
    prepare(rules)
    assert (Path(rules.closed[0])).read_text() == "closed"


@confined
def test_a_secret_that_can_still_be_read_is_named(
    temporary: Path, rules: ScriptRules, tmp_path: Path, unlimited: None
) -> None:
    app = tmp_path / "app"
    open_after_all = ScriptRules(
        True, read=rules.read, closed=(str(app / "closed"),), write=(str(app),)
    )
    assert f"'{app / 'closed'}' can still be read" in prepare(open_after_all).parts.missing


def test_without_landlock_no_folder_is_kept(
    temporary: Path, rules: ScriptRules, unlimited: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    found = prepare(rules)
    assert (found.folder, found.parts.landlock) == ("", 0)
    assert found.parts.missing[0].endswith("has no Landlock, or it is off")
    assert list(temporary.iterdir()) == []


def test_where_trying_ends_the_process_that_is_said(
    temporary: Path, rules: ScriptRules, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confinement, "find", lambda *_: os._exit(3))
    assert prepare(rules).parts == InForce(missing=("the process that tried it was ended",))


# --- a process that is confined ---


def number_of(action: Callable[[], object]) -> int:
    """Return the number of the error that `action` ends with; 0 for none."""
    try:
        action()
    except OSError as error:
        return error.errno or -1
    return 0


def in_a_child(enter: Callable[[], None], actions: dict[str, Callable[[], object]]) -> object:
    """Return what each action ends with in a process that has entered its confinement."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            prctl(PR_SET_NO_NEW_PRIVS, 1)
            enter()
            found = {name: number_of(action) for name, action in actions.items()}
            os.write(write, json.dumps(found).encode())
        except BaseException as error:  # noqa: BLE001 - never back into the tests
            os.write(write, json.dumps(repr(error)).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        said = answer.read()
    os.waitpid(pid, 0)
    return json.loads(said)


@confined
def test_files_of_a_confined_process(rules: ScriptRules, tmp_path: Path) -> None:
    own, app = tmp_path / "own", tmp_path / "app"
    own.mkdir()
    parts = InForce(landlock=landlock.abi())
    assert in_a_child(
        lambda: Confining(rules, parts, "").enter(confinement.open_all(rules), str(own), ()),
        {
            "read": (app / "open").read_text,
            "read the closed": (app / "closed").read_text,
            "write in its own": lambda: (own / "new").write_text("x"),
            "remove in its own": (own / "new").unlink,
            "write where it reads": lambda: (app / "open").write_text("x"),
            "write beside its own": lambda: (tmp_path / "new").write_text("x"),
            "write to /tmp": lambda: Path("/tmp/tabpy-never").write_text("x"),
            "make a temporary file": lambda: tempfile.TemporaryFile().close(),
        },
    ) == {
        "read": 0,
        "read the closed": errno.EACCES,
        "write in its own": 0,
        "remove in its own": 0,
        "write where it reads": errno.EACCES,
        "write beside its own": errno.EACCES,
        "write to /tmp": errno.EACCES,
        "make a temporary file": 0,
    }
    assert (app / "open").read_text() == "open"


@filtered
@pytest.mark.parametrize("version", [0, landlock.abi()])
def test_signals_of_a_confined_process(rules: ScriptRules, tmp_path: Path, version: int) -> None:
    """Where Landlock doesn't see to them, the filter does."""
    server = os.getpid()
    parts = InForce(landlock=version, seccomp=True)
    assert in_a_child(
        lambda: Confining(rules, parts, "").enter((), str(tmp_path), (server,)),
        {
            "the server": lambda: os.kill(server, 0),
            "the server, really": lambda: os.kill(server, signal.SIGCONT),
            "itself": lambda: os.kill(os.getpid(), 0),
        },
    ) == {"the server": errno.EPERM, "the server, really": errno.EPERM, "itself": 0}


@filtered
def test_calls_of_a_confined_process(rules: ScriptRules, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch(mode=0o600)
    assert in_a_child(
        lambda: Confining(rules, InForce(seccomp=True), "").enter((), "", ()),
        {
            "network": lambda: socket.socket(socket.AF_INET),
            "pair": socket.socketpair,
            "clone of a thread": lambda: threading.Thread(target=int).start(),
            "mode": lambda: file.chmod(0o777),
            "priority": lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), 0),
        },
    ) == {
        "network": errno.EPERM,
        "pair": 0,
        "clone of a thread": 0,
        "mode": 0,
        "priority": errno.EPERM,
    }
    assert file.stat().st_mode & 0o777 == 0o600
