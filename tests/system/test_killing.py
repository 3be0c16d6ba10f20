"""Any process of the server can be killed at any instruction, and the next request works."""

import concurrent.futures
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import cloudpickle
import psutil
import pytest

from tabpy.tabpy_tools.custom_query_object import CustomQueryObject
from tests.deploying import deploy
from tests.running import Server, until

Start = Callable[..., Server]


def answers_right(server: Server) -> bool:
    try:
        return bool(server.evaluate("return _arg1[0] + 1", [1], timeout=3).json == 2)
    except (OSError, ValueError):
        return False


@pytest.mark.parametrize("role", ["template", "web process", "both web processes", "workers"])
def test_a_killed_process_is_replaced_within_three_seconds(start: Start, role: str) -> None:
    server = start({"WEB_CONCURRENCY": "2"})
    victims: list[psutil.Process] = {
        "template": lambda: [server.template()],
        "web process": lambda: server.web_processes()[:1],
        "both web processes": server.web_processes,
        "workers": server.workers,
    }[role]()
    assert victims
    for victim in victims:
        victim.kill()
    until(
        lambda: all(
            not each.is_running() or each.status() == psutil.STATUS_ZOMBIE for each in victims
        ),
        "the victims are dead",
    )
    until(lambda: answers_right(server), f"right answers after the death of {role}", seconds=3)
    until(lambda: len(server.workers()) == 4, "all workers are back")
    assert all(answers_right(server) for _ in range(10))


def test_killing_in_the_middle_of_scripts_costs_only_those_scripts(start: Start) -> None:
    server = start({"WEB_CONCURRENCY": "1", "TABPY_WORKERS": "2"})
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        running = [threads.submit(server.evaluate, "while True: pass") for _ in range(2)]
        until(lambda: all(each.cpu_times().user > 0.1 for each in server.workers()), "both run")
        for worker in server.workers():
            worker.kill()
        for each in running:
            status, message, info = each.result().error
            assert (status, message) == (500, "Error processing script")
            assert "SIGKILL" in info
    assert answers_right(server)


class SlowToLoad:
    """A function that makes a file when it is loaded, and takes a while then."""

    def __init__(self, begun: str) -> None:
        self._begun = begun

    def __call__(self, x: int) -> int:
        return x

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        def load(begun: str) -> Callable[[int], int]:
            import pathlib
            import time

            pathlib.Path(begun).touch()
            time.sleep(0.5)
            return lambda x: x + 1

        return load, (self._begun,)


def test_a_deployment_outlives_the_fork_server(start: Start) -> None:
    server = start()
    begun = server.notes / "begun"
    archive = cloudpickle.dumps(CustomQueryObject(SlowToLoad(str(begun))))
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        reply = threads.submit(deploy, server, "f", archive)
        until(begun.exists, "its check has begun")
        server.template().kill()
        assert reply.result().status == 201
    assert server.query("f", 1).json["response"] == 2


def test_no_worker_outlives_its_web_process_even_in_a_busy_script(start: Start) -> None:
    server = start({"WEB_CONCURRENCY": "1", "TABPY_WORKERS": "1"})
    worker = server.workers()[0]
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        threads.submit(server.evaluate, "while True: pass").add_done_callback(
            lambda finished: finished.exception()
        )
        until(lambda: worker.cpu_times().user > 0.1, "the script runs")
        server.web_processes()[0].kill()
        until(lambda: not worker.is_running(), "the worker is gone")
    until(lambda: answers_right(server), "another web process answers")


def test_no_process_outlives_the_arbiter(start: Start) -> None:
    server = start()
    everybody = server.tree()
    server.process.kill()
    server.process.wait()
    _, alive = psutil.wait_procs(everybody, 10)
    assert not alive


def test_a_script_that_is_stopped_takes_what_it_started_with_it(start: Start) -> None:
    server = start({"TABPY_EVALUATE_TIMEOUT": "1"})
    script = (
        "import os, subprocess, time\n"
        "subprocess.Popen(['sleep', '3600'], start_new_session=True)\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "time.sleep(3600)"
    )
    assert server.evaluate(script).status == 408
    until(
        lambda: len(server.template().children(recursive=True)) == 2 * len(server.web_processes()),
        "only fresh workers are left",
    )


def test_sigterm_to_every_process_lets_a_running_script_finish(start: Start) -> None:
    server = start({"WEB_CONCURRENCY": "2", "TABPY_WORKERS": "1"})
    everybody = server.tree()
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        script = "import time, pathlib\npathlib.Path(_arg1).touch()\ntime.sleep(3)\nreturn 'done'"
        begun = server.notes / "begun"
        reply = threads.submit(server.evaluate, script, str(begun))
        until(begun.exists, "the script has begun")
        for _ in range(2):
            for process in everybody:
                if process.is_running():
                    process.send_signal(signal.SIGTERM)
        assert reply.result().json == "done"
    assert server.process.wait(10) == 0
    _, alive = psutil.wait_procs(everybody, 10)
    assert not alive


def test_ctrl_c_waits_for_no_script_but_tells_its_client(start: Start) -> None:
    server = start({"WEB_CONCURRENCY": "2", "TABPY_WORKERS": "1"})
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        begun = server.notes / "begun"
        script = "import time, pathlib\npathlib.Path(_arg1).touch()\ntime.sleep(25)"
        reply = threads.submit(server.evaluate, script, str(begun))
        until(begun.exists, "the script has begun")
        server.process.send_signal(signal.SIGINT)
        assert reply.result(timeout=5).error[:2] == (503, "The server is restarting.")
    assert server.process.wait(10) == 0


def test_a_stopping_server_refuses_new_connections_at_once(start: Start) -> None:
    server = start({"WEB_CONCURRENCY": "2", "TABPY_WORKERS": "1"})
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        begun = server.notes / "begun"
        script = "import time, pathlib\npathlib.Path(_arg1).touch()\ntime.sleep(2)\nreturn 1"
        reply = threads.submit(server.evaluate, script, str(begun))
        until(begun.exists, "the script has begun")
        server.process.send_signal(signal.SIGTERM)

        def refused() -> bool:
            try:
                socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
            except ConnectionRefusedError:
                return True
            return False

        until(refused, "new connections are refused", seconds=1.5)
        assert reply.result().json == 1


def is_ignored(pid: int, number: int) -> bool:
    """By the mask of signals in proc_pid_status(5)."""
    status = Path(f"/proc/{pid}/status").read_text()
    mask = int(status.partition("SigIgn:\t")[2].splitlines()[0], 16)
    return bool(mask & 1 << (number - 1))


@pytest.mark.parametrize("name", ["HUP", "USR1", "USR2", "TTIN", "TTOU", "WINCH"])
def test_signals_that_only_scripts_would_send_change_nothing(start: Start, name: str) -> None:
    """gunicorn's arbiter would count its web processes up or down, or exec itself anew: with its
    environment, and the passwords in it, readable in /proc for a moment."""
    server = start({"WEB_CONCURRENCY": "2"})
    until(lambda: len(server.web_processes()) == 2, "both are there")
    family = {each.pid for each in server.psutil.children()}
    number = getattr(signal, f"SIG{name}")
    for process in (server.psutil, *server.web_processes()):
        assert is_ignored(process.pid, number)
        process.send_signal(number)
    until(
        lambda: all(
            answers_right(server) and each.status() != psutil.STATUS_STOPPED
            for each in server.psutil.children()
        ),
        "all go on",
    )
    assert {each.pid for each in server.psutil.children()} == family
    log = server.log.lower()
    assert "handling signal" not in log, "gunicorn was never asked"
