"""The server where there is no fork: one process, and a fresh interpreter for each worker."""

import contextlib
import signal
import socket
import sys
import threading
from pathlib import Path

import psutil
import pytest

from tests.elsewhere.conftest import Start
from tests.running import PASSWORD, USER, Server, is_dead, until

# What asks for the end, as this system has it; where Windows is imitated, both of its signals.
AT_ONCE = [] if sys.platform == "win32" else [signal.SIGINT]
FINISHING = {
    "win32": getattr(signal, "CTRL_BREAK_EVENT", 0),
    "linux": getattr(signal, "SIGTTIN", 0),  # the number of SIGBREAK there
}.get(sys.platform, signal.SIGTERM)

PID = "import os\nreturn os.getpid()"


def descendants(server: Server) -> list[psutil.Process]:
    return server.psutil.children(recursive=True)


def test_it_says_what_it_is_and_what_it_cannot_do(server: Server) -> None:
    assert server.request("GET", "/info").json["name"] == "TabPy Server"
    [line] = server.log_lines("confinement")
    assert "level=warning" in line
    assert "can't confine scripts, nor hold them to TABPY_SCRIPT_MEMORY_MB" in line


def test_scripts_are_run(server: Server) -> None:
    assert server.evaluate("return [each + 1 for each in _arg1]", [1, 2]).json == [2, 3]


def test_a_large_result_arrives_whole(server: Server) -> None:
    assert (
        server.evaluate("return ['x' * 1000] * len(_arg1)", [0] * 5000).json == ["x" * 1000] * 5000
    )


def test_an_error_names_the_line(server: Server) -> None:
    status, message, info = server.evaluate("x = 1\nreturn x / 0").error
    assert (status, message) == (500, "Error processing script")
    assert "line 2" in info
    assert "ZeroDivisionError" in info


def test_a_timeout_ends_the_worker_and_another_takes_its_place(start_one: Start) -> None:
    server = start_one({"TABPY_EVALUATE_TIMEOUT": "2"})
    pid = until(lambda: answer(server, PID), "a worker is there")
    assert server.evaluate("while True: pass").status == 408
    until(lambda: not psutil.pid_exists(pid) or is_dead(psutil.Process(pid)), "the worker is gone")
    assert until(lambda: answer(server, PID), "another worker is there") != pid


def answer(server: Server, script: str) -> object:
    """None while no worker is there in time: a fresh interpreter may take longer than a script."""
    reply = server.evaluate(script)
    return reply.json if reply.status == 200 else None


def test_a_worker_that_dies_is_replaced(server: Server) -> None:
    assert server.evaluate("import os\nos._exit(3)").status == 500
    assert server.evaluate("return 1").json == 1


def test_scripts_see_nothing_of_the_servers_environment(start_one: Start) -> None:
    server = start_one({"MY_TOKEN": "secret", "USERPROFILE": "home"})
    names = set(server.evaluate("import os\nreturn sorted(os.environ)").json)
    assert "USERPROFILE" in names
    assert not {"MY_TOKEN", "TABPY_PWD_FILE"} & names


def test_somebody_who_only_tries_it_gets_a_password(start_one: Start) -> None:
    server = start_one({"TABPY_PWD_FILE": "-"}, ["--one-time-password"])
    until(lambda: server.log_lines("add -u NAME"), "it says how to add a user")
    [line] = server.log_lines("    password  ")
    assert server.evaluate("return 1", user="tabpy", password=line.split()[1]).json == 1


def test_a_function_is_deployed_called_and_there_after_a_restart(
    start_one: Start, tmp_path: Path
) -> None:
    state = {"TABPY_STATE_PATH": str(tmp_path / "state")}
    first = start_one(state)
    first.client().deploy("Doubled", lambda values: [2 * each for each in values])
    first.client().deploy("Doubled", lambda values: [4 * each for each in values], override=True)
    assert first.query("Doubled", [1]).json["response"] == [4]
    ended = end(first, FINISHING)
    assert ended == 0, first.log
    second = start_one(state)
    assert second.query("Doubled", [1]).json["response"] == [4]
    second.client().remove("Doubled")
    assert second.query("Doubled", [1]).status == 404
    assert "PermissionError" not in first.log + second.log


def test_tabpys_client_puts_an_archive_into_a_folder_of_this_machine(server: Server) -> None:
    reply = server.request("GET", "/configurations/endpoint_upload_destination")
    folder = Path(reply.json["path"])
    assert folder.is_absolute()
    assert folder.is_dir()


def end(server: Server, how: int) -> int:
    everybody = descendants(server)
    server.process.send_signal(how)
    code, _ = server.end()
    until(lambda: all(map(is_dead, everybody)), "nothing is left of the server")
    return code


@pytest.mark.parametrize("how", [*AT_ONCE, FINISHING, *{signal.SIGTERM} - {FINISHING}])
@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM ends a process at once there")
def test_a_signal_ends_it_and_its_workers(start_one: Start, how: int) -> None:
    server = start_one()
    assert server.evaluate("return 1").json == 1
    assert end(server, how) == 0
    assert "Traceback" not in server.log


def test_what_has_begun_is_finished_first(start_one: Start, tmp_path: Path) -> None:
    server = start_one()
    begun, go_on = tmp_path / "begun", tmp_path / "go_on"
    script = (
        "import pathlib\nbegun, go_on = map(pathlib.Path, _arg1)\nbegun.touch()\n"
        "while not go_on.exists(): pass\nreturn 'finished'"
    )
    answers: list[object] = []
    asking = threading.Thread(
        target=lambda: answers.append(server.evaluate(script, [str(begun), str(go_on)]).json)
    )
    asking.start()
    until(begun.exists, "the script runs")
    server.process.send_signal(FINISHING)
    until(lambda: refuses(server), "nobody is let in any more")
    go_on.touch()
    asking.join()
    assert answers == ["finished"]
    assert server.end()[0] == 0


def refuses(server: Server) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.port), 1.0):
        return False
    return True


def test_a_killed_server_leaves_no_worker(start_one: Start) -> None:
    server = start_one()
    assert server.evaluate("return 1").json == 1
    everybody = descendants(server)
    server.process.kill()
    until(lambda: all(map(is_dead, everybody)), "the workers leave")


def test_a_second_server_cannot_have_the_port(server: Server, start_one: Start) -> None:
    with pytest.raises(AssertionError, match=f"TABPY_PORT is {server.port}"):
        start_one({"TABPY_PORT": str(server.port)})


def test_wrong_passwords_are_refused(server: Server) -> None:
    assert server.evaluate("return 1", password="wrong").status == 401
    assert server.evaluate("return 1", user=USER, password=PASSWORD).status == 200
