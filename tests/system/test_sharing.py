"""Large models lie in memory once for all workers, and whoever holds them may die."""

from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
import pytest

from tabpy.tabpy_tools.client import Client
from tests.running import PASSWORD, USER, Server, until

Start = Callable[..., Server]
SIZE = 24_000_000  # bytes


@pytest.fixture
def server(start: Start) -> Server:
    return start({"WEB_CONCURRENCY": "2", "TABPY_WORKERS": "1", "TABPY_PRELOAD": "numpy"})


def deploy(server: Server, function: Callable[..., Any]) -> None:
    client = Client(f"http://127.0.0.1:{server.port}")
    client.set_credentials(USER, PASSWORD)
    client.deploy("model", function)


def large_model() -> Callable[..., float]:
    weights: Any = np.arange(SIZE // 8, dtype=float)

    def model(position: int) -> float:
        return float(weights[int(position)] + weights.sum() * 0)

    return model


def shelf(server: Server) -> psutil.Process | None:
    """The process that holds models: the template's child that has workers of its own."""
    return next((each for each in server.template().children() if each.children()), None)


def answers(server: Server) -> bool:
    try:
        body = '{"data": [7]}'
        return bool(server.request("POST", "/query/model", body, timeout=3).json["response"] == 7)
    except (OSError, ValueError, KeyError):
        return False


def test_a_large_model_takes_its_place_once(server: Server) -> None:
    deploy(server, large_model())
    holder = until(lambda: shelf(server), "the workers are forked from one that has the model")
    until(lambda: len(holder.children()) == 2, "both workers are")
    until(lambda: len(server.template().children()) == 1, "and the others have gone")
    assert all(answers(server) for _ in range(20))
    for worker in holder.children():
        assert worker.memory_full_info().uss < SIZE / 2


def test_when_the_process_that_holds_models_dies_the_service_goes_on(server: Server) -> None:
    deploy(server, large_model())
    holder = until(lambda: shelf(server), "the workers are forked from one that has the model")
    until(lambda: len(holder.children()) == 2, "both workers are")
    holder.kill()
    until(lambda: answers(server), "right answers", seconds=3)


def test_another_version_takes_the_place_of_the_first(server: Server) -> None:
    deploy(server, large_model())
    first = until(lambda: shelf(server), "the workers are forked from one that has the model")
    client = Client(f"http://127.0.0.1:{server.port}")
    client.set_credentials(USER, PASSWORD)
    weights: Any = np.ones(SIZE // 8)
    client.deploy("model", lambda position: float(weights[position] + 6), override=True)
    assert all(answers(server) for _ in range(20))
    until(lambda: not first.is_running(), "the first one's memory is free again")
    assert all(answers(server) for _ in range(20))


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
    until(lambda: shelf(server) is None, "no process keeps it for others")
