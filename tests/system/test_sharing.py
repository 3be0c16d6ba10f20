"""Large models lie in memory once for all workers of who calls them, and are nobody else's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from tabpy.tabpy_server.workers.fork_server.script_folders import ASIDE, PREFIX
from tabpy.tabpy_tools.client import Client
from tests.running import PASSWORD, USER, Server, is_dead, until

Start = Callable[..., Server]
SIZE = 24_000_000  # bytes
BOB = "bob"


@pytest.fixture
def server(start: Start) -> Server:
    settings = {"WEB_CONCURRENCY": "2", "TABPY_WORKERS": "1", "TABPY_PRELOAD": "numpy"}
    return start(settings, users={USER: PASSWORD, BOB: PASSWORD})


def deploy(server: Server, function: Callable[..., Any], name: str = "model") -> None:
    client = Client(f"http://127.0.0.1:{server.port}")
    client.set_credentials(USER, PASSWORD)
    client.deploy(name, function, override=True)


def large_model(answer: float = 0.0) -> Callable[..., float]:
    weights: Any = np.arange(SIZE // 8, dtype=float) + answer

    def model(position: int) -> float:
        return float(weights[int(position)] + weights.sum() * 0)

    return model


class Patching:
    """A large model that changes a module when it is loaded."""

    def __init__(self) -> None:
        self.weights: Any = np.arange(SIZE // 8, dtype=float)

    def __call__(self, position: int) -> float:
        return float(self.weights[position])

    def __setstate__(self, state: dict[str, Any]) -> None:
        import colorsys

        colorsys.ONE_THIRD = 0.0  # type: ignore[misc]
        self.__dict__.update(state)


def is_patched(server: Server, user: str) -> bool:
    script = "import colorsys; return colorsys.ONE_THIRD == 0"
    return bool(server.evaluate(script, user=user).json)


def shelves(server: Server) -> list[psutil.Process]:
    """The processes that hold models: the fork server's children that have workers of their own."""
    return [each for each in server.template().children() if each.children()]


def answers(server: Server, user: str = USER, name: str = "model", expected: float = 7) -> bool:
    try:
        reply = server.query(name, 7, user=user, timeout=3)
        return bool(reply.json["response"] == expected)
    except (OSError, ValueError, KeyError):
        return False


def shared(server: Server, user: str = USER, name: str = "model") -> psutil.Process:
    """Call a model until both web processes have a worker from one shelf, and no other one: that
    shelf."""

    def is_shared() -> psutil.Process | None:
        assert answers(server, user, name)
        holders = shelves(server)
        alone = len(holders) == 1 == len(server.template().children())
        return holders[0] if alone and len(holders[0].children()) == 2 else None

    found: psutil.Process = until(is_shared, "both workers are forked from one that has the model")
    return found


def test_a_large_model_takes_its_place_once(server: Server) -> None:
    deploy(server, large_model())
    shelf = shared(server)
    assert all(answers(server) for _ in range(20))
    for worker in shelf.children():
        assert worker.memory_full_info().uss < SIZE / 2


def test_nobodys_worker_has_a_model_before_somebody_calls_it(server: Server) -> None:
    deploy(server, large_model())
    assert all(answers(server, name="model") for _ in range(4))
    shelf = shared(server)
    assert server.evaluate("return 1", user=BOB).json == 1
    until(lambda: len(server.template().children()) == 2, "bob's worker is forked from another one")
    assert server.evaluate("return 1", user=BOB).json == 1
    assert len(shelf.children()) < 2


def test_several_models_of_one_user_are_on_one_shelf(server: Server) -> None:
    deploy(server, large_model(), "one")
    deploy(server, large_model(), "two")
    shared(server, name="one")

    def are_shared() -> bool:
        assert answers(server, name="one")
        assert answers(server, name="two")
        holders = shelves(server)
        workers = [worker for holder in holders for worker in holder.children()]
        return (
            len(holders) == 1
            and len(workers) == 2
            and all(each.memory_full_info().uss < SIZE / 2 for each in workers)
        )

    until(are_shared, "both are on one shelf, and the first one's is gone")


def test_a_model_that_changes_modules_changes_them_for_its_callers_only(server: Server) -> None:
    deploy(server, Patching(), "patching")
    deploy(server, large_model(), "good")
    assert not is_patched(server, USER), "deploying it has changed nothing"
    shared(server, USER, "patching")
    assert all(is_patched(server, USER) for _ in range(4))
    assert not any(is_patched(server, BOB) for _ in range(8))
    assert answers(server, BOB, "good")
    until(
        lambda: (
            answers(server, BOB, "good") and answers(server, USER, "patching")
            if len(shelves(server)) < 2
            else True
        ),
        "both have shelves",
    )
    assert not any(is_patched(server, BOB) for _ in range(8))
    assert is_patched(server, USER)


def test_temporary_files_of_a_worker_from_a_shelf_go_with_it(server: Server) -> None:
    deploy(server, large_model())
    shelf = shared(server)
    script = """
import os, tempfile
file = os.path.join(tempfile.gettempdir(), "left")
open(file, "w").close()
return [file, os.getpid()]
"""
    file, pid = server.evaluate(script).json
    if PREFIX not in file:
        Path(file).unlink()
        pytest.skip("this kernel has no Landlock, so workers have no folders of their own")
    [worker] = [each for each in shelf.children() if each.pid == pid]
    assert Path(file).exists()
    worker.kill()
    until(lambda: not Path(file).parent.exists(), "it has no folder any more")
    folder = Path(file).parents[1]
    until(
        lambda: not any(each.name.startswith(ASIDE) for each in folder.iterdir()),
        "nor has it under another name",
    )


def test_when_the_process_that_holds_models_dies_the_service_goes_on(server: Server) -> None:
    deploy(server, large_model())
    shelf = shared(server)
    shelf.kill()
    until(lambda: answers(server), "right answers", seconds=3)


def test_when_the_fork_server_dies_models_are_shared_again(server: Server) -> None:
    deploy(server, large_model())
    shelf = shared(server)
    server.template().kill()
    until(lambda: is_dead(shelf), "the shelf has gone, too")
    until(lambda: answers(server), "right answers")
    shared(server)


def test_another_version_takes_the_place_of_the_first(server: Server) -> None:
    deploy(server, large_model())
    first = shared(server)
    deploy(server, large_model(6.0))
    assert all(answers(server, expected=13) for _ in range(20))
    until(lambda: answers(server, expected=13) and is_dead(first), "its memory is free again")
    assert all(answers(server, expected=13) for _ in range(20))


def test_a_model_that_starts_threads_is_loaded_by_each_worker_for_itself(server: Server) -> None:
    weights: Any = np.arange(SIZE // 8, dtype=float)

    class Restless:
        def __call__(self, position: int) -> float:
            return float(weights[position])

        def __setstate__(self, state: dict[str, Any]) -> None:
            import threading

            threading.Thread(target=threading.Event().wait, daemon=True).start()
            self.__dict__.update(state)

        def __getstate__(self) -> dict[str, Any]:
            return {"there": True}

    deploy(server, Restless())
    until(lambda: answers(server), "right answers")
    until(lambda: server.log_lines("can't be shared", "it started a thread"), "sharing was tried")
    assert all(answers(server) for _ in range(10))
    until(lambda: not shelves(server), "no process keeps it for others")
