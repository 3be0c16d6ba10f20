"""The start: which step comes when, and what each does. Its processes are in tests/system."""

import dataclasses
import os
import signal
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tabpy.commands import serve, start
from tabpy.commands.interrupt import leave_at_ctrl_c
from tabpy.tabpy_server import log_format
from tabpy.tabpy_server.access import first_user
from tabpy.tabpy_server.access.first_user import SignIn
from tabpy.tabpy_server.access.gate import OpenGate
from tabpy.tabpy_server.errors import StartError
from tabpy.tabpy_server.metrics import files
from tabpy.tabpy_server.processes import gunicorn_server, single_process, state_path
from tabpy.tabpy_server.processes.listener import bind
from tabpy.tabpy_server.script_rules import InForce, ScriptRules
from tabpy.tabpy_server.settings import Settings
from tabpy.tabpy_server.tls import served
from tabpy.tabpy_server.workers.fork_server import confining, linux, process
from tabpy.tabpy_server.workers.fork_server.confining import Confining

CHOSEN = Settings(port=4711, state_path=Path("/nonexistent"))
RULES = ScriptRules(confine=True)
ALL = InForce(landlock=6, seccomp=True)


class Steps(list[str]):
    """The steps that were taken. `failing` is one in which `happens` is called."""

    failing = ""
    happens: Callable[[], object]
    parts = ALL

    def take(self, name: str) -> None:
        self.append(name)
        if name == self.failing:
            self.happens()


class Exited(BaseException):
    """In place of the end of this process."""


@pytest.fixture(autouse=True)
def _at_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ctrl-C doesn't end the tests, neither here nor later."""

    def leave(code: int) -> NoReturn:
        raise Exited(code)

    monkeypatch.setattr(os, "_exit", leave)
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def fail() -> None:
    raise StartError("for some reason")


def press_ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def end_in_order() -> None:
    raise SystemExit(0)  # as a web process does, too


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    """All steps as fakes that write down their names."""
    taken = Steps()

    class ForkServer:
        parts = ALL

        def stop(self) -> None:
            taken.take("stop the fork server")

    def prepare(rules: ScriptRules) -> Confining:
        taken.take("find out what confines scripts")
        return Confining(rules, taken.parts, "")

    def start_fork_server(*_: object) -> ForkServer:
        taken.take("start the fork server")
        return ForkServer()

    def resolve(*_: object, **flags: bool) -> SignIn:
        taken.take("decide who may enter")
        return SignIn(OpenGate())

    class Server:
        def __init__(self, *_: object) -> None:
            pass

        def run(self) -> None:
            taken.take("serve")

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(state_path, "check", lambda _: taken.take("check the state path"))
    monkeypatch.setattr(state_path, "make_folders", lambda _: None)
    monkeypatch.setattr(start, "bind", lambda *_: taken.take("bind"))
    monkeypatch.setattr(linux, "prctl", lambda *options: taken.take(f"prctl {options}"))
    monkeypatch.setattr(confining, "prepare", prepare)
    monkeypatch.setattr(process, "ForkServerProcess", start_fork_server)
    monkeypatch.setattr(first_user, "resolve", resolve)
    monkeypatch.setattr(files, "prepare", lambda folder: taken.take(f"prepare {folder.name}"))
    monkeypatch.setattr(gunicorn_server, "Server", Server)
    monkeypatch.setattr(single_process, "run", lambda *_: taken.take("serve alone"))
    return taken


IN_ORDER = [
    "check the state path",
    "bind",
    "prctl (4, 0)",  # PR_SET_DUMPABLE
    "find out what confines scripts",
    "start the fork server",
    "decide who may enter",
    "prepare metrics-4711",
    "serve",
]


def test_the_steps_are_taken_in_this_order(steps: Steps) -> None:
    start.start(CHOSEN, RULES, may_generate=False, may_open=False)
    assert steps == IN_ORDER


def test_the_key_is_read_when_the_fork_server_is_there_already(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "ServedCertificate", lambda _: steps.take("read the key"))
    secure = dataclasses.replace(CHOSEN, transfer_protocol="https")
    start.start(secure, RULES, may_generate=False, may_open=False)
    assert steps == [*IN_ORDER[:5], "read the key", *IN_ORDER[5:]]


def test_where_there_is_no_fork_there_is_no_fork_server(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "elsewhere")
    start.start(CHOSEN, RULES, may_generate=False, may_open=False)
    assert steps == [*IN_ORDER[:2], *IN_ORDER[5:7], "serve alone"]


@pytest.mark.parametrize(("happens", "error"), [(fail, StartError), (press_ctrl_c, Exited)])
@pytest.mark.parametrize("failing", IN_ORDER)
def test_a_start_that_fails_leaves_no_process_behind(
    steps: Steps, failing: str, happens: Callable[[], object], error: type[BaseException]
) -> None:
    steps.failing, steps.happens = failing, happens
    leave_at_ctrl_c()
    with pytest.raises(error):
        start.start(CHOSEN, RULES, may_generate=False, may_open=False)
    is_there = IN_ORDER.index(failing) > IN_ORDER.index("start the fork server")
    stops = ["stop the fork server"] if is_there else []
    assert steps == [*IN_ORDER[: IN_ORDER.index(failing) + 1], *stops]


def test_a_server_that_ends_in_order_is_not_stopped_again(steps: Steps) -> None:
    steps.failing, steps.happens = "serve", end_in_order
    with pytest.raises(SystemExit):
        start.start(CHOSEN, RULES, may_generate=False, may_open=False)
    assert steps == IN_ORDER


@pytest.mark.usefixtures("steps")
@pytest.mark.parametrize("may_generate", [True, False])
def test_who_is_there_to_see_it_is_told_where_to_go(
    may_generate: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    start.start(CHOSEN, RULES, may_generate=may_generate, may_open=False)
    assert ("open      http://localhost:4711/" in capsys.readouterr().out) is may_generate


REQUIRING = dataclasses.replace(CHOSEN, script_confinement="required")


def test_confinement_that_is_required_and_not_there_is_no_start(steps: Steps) -> None:
    steps.parts = InForce(landlock=2, seccomp=True, missing=("Landlock 2 has no signals",))
    with pytest.raises(StartError, match=r"is 'required', and Landlock 2 has no signals\. Set it"):
        start.start(REQUIRING, RULES, may_generate=False, may_open=False)
    assert "start the fork server" not in steps


def test_confinement_that_is_required_where_there_can_be_none(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "elsewhere")
    with pytest.raises(StartError, match="TABPY_SCRIPT_CONFINEMENT is 'required'"):
        start.start(REQUIRING, RULES, may_generate=False, may_open=False)
    assert "serve alone" not in steps


def test_what_confines_scripts_is_one_line_of_the_log(
    steps: Steps, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    start.start(REQUIRING, RULES, may_generate=False, may_open=False)
    line = next(each for each in caplog.records if each.message == "confinement")
    assert vars(line)["fields"] == {
        "setting": "required",
        "landlock": 6,
        "seccomp": True,
        "processes": 0,
    }
    assert "serve" in steps


# --- the command ---


class Started:
    """What `start` was called with; it calls `happens`."""

    def __init__(self) -> None:
        self.chosen: Settings | None = None
        self.flags: dict[str, bool] = {}
        self.happens: Callable[[], object] = lambda: None

    def __call__(self, chosen: Settings, rules: ScriptRules, **flags: bool) -> None:
        assert rules.confine
        self.chosen, self.flags = chosen, flags
        self.happens()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """The command without its effects on this process."""
    fake = Started()
    monkeypatch.setattr(start, "start", fake)
    monkeypatch.setattr(log_format, "set_up", lambda *_: None)
    for name in os.environ:
        if name.startswith("TABPY_"):
            monkeypatch.delenv(name)
    return fake


@pytest.mark.parametrize(
    ("arguments", "may_generate", "may_open"),
    [
        ([], False, False),
        (["--one-time-password"], True, False),
        (["--disable-auth-warning"], False, True),
    ],
)
def test_flags_say_what_may_be_done_without_a_user(
    started: Started,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    may_generate: bool,
    may_open: bool,
) -> None:
    monkeypatch.setattr("sys.stdin", Path(os.devnull).open())  # noqa: SIM115 - no terminal
    assert serve.main(arguments) == 0
    sys.stdin.close()
    assert started.flags == {"may_generate": may_generate, "may_open": may_open}


def test_the_settings_are_those_of_the_config_file(started: Started, tmp_path: Path) -> None:
    (tmp_path / "my.conf").write_text("[TabPy]\nTABPY_PORT = 4711\n")
    assert serve.main(["--config", str(tmp_path / "my.conf")]) == 0
    assert started.chosen is not None
    assert started.chosen.port == 4711


def test_a_port_on_the_command_line_goes_before_all_others(
    started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my.conf").write_text("[TabPy]\nTABPY_PORT = 4711\n")
    monkeypatch.setenv("TABPY_PORT", "4712")
    assert serve.main(["--port", "4713", "--config", str(tmp_path / "my.conf")]) == 0
    assert started.chosen is not None
    assert started.chosen.port == 4713


def test_a_port_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        serve.main(["--port", "many"])
    assert "argument --port: invalid port value: 'many'" in capsys.readouterr().err


def test_what_is_set_wrongly_is_one_line_and_exit_code_2(
    started: Started, capsys: pytest.CaptureFixture[str]
) -> None:
    started.happens = fail
    assert serve.main([]) == 2
    assert capsys.readouterr() == ("", "tabpy: for some reason\n")


def test_ctrl_c_is_quiet(started: Started, capsys: pytest.CaptureFixture[str]) -> None:
    started.happens = press_ctrl_c
    with pytest.raises(Exited, match="130"):
        serve.main([])
    assert capsys.readouterr() == ("", "")


def test_a_ctrl_c_that_somebody_ignores_stays_ignored(started: Started) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a shell script's `tabpy &`
    started.happens = press_ctrl_c
    assert serve.main([]) == 0


# --- the port ---


def test_a_port_is_taken_and_not_yet_open() -> None:
    with (
        bind("127.0.0.1", 0) as listener,
        socket.socket() as client,
        pytest.raises(ConnectionRefusedError),
    ):
        client.connect(listener.getsockname())


def test_a_port_that_another_has_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            StartError, match=rf"^TABPY_PORT is {port} \(on TABPY_ADDRESS 127.0.0.1\): Address al"
        ):
            bind("127.0.0.1", port)


# --- the state path ---


def named(folder: Path) -> Settings:
    return Settings(state_path=folder, explicit=frozenset({"TABPY_STATE_PATH"}))


def test_a_state_path_that_somebody_named_is_made_for_this_user_alone(tmp_path: Path) -> None:
    state_path.check(named(tmp_path / "new" / "state"))
    assert stat.S_IMODE((tmp_path / "new" / "state").stat().st_mode) == 0o700


def test_the_default_one_is_left_to_who_needs_it(tmp_path: Path) -> None:
    state_path.check(Settings(state_path=tmp_path / "state"))
    assert not (tmp_path / "state").exists()


def test_only_the_servers_user_may_look_into_the_state_folder(tmp_path: Path) -> None:
    folder = tmp_path / "share" / "state"
    state_path.make_folders(Settings(state_path=folder))
    assert {stat.S_IMODE(each.stat().st_mode) for each in (folder, *folder.iterdir())} == {0o700}


def test_a_state_path_that_cannot_be_had_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "state"
    with pytest.raises(StartError, match=f"^TABPY_STATE_PATH is '{folder}': Not a directory"):
        state_path.check(named(folder))


def test_a_state_path_that_cannot_be_written_to_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> bool:  # as for another user: tests may be root, who may do all
        return False

    monkeypatch.setattr(os, "access", refuse)
    with pytest.raises(StartError, match="it can't be written to"):
        state_path.check(named(tmp_path))
