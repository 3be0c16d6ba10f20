"""A web process between gunicorn's signals and its own end."""

import asyncio
import logging
import os
import signal
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tabpy.tabpy_server.processes.gunicorn_worker import WebWorker
from tabpy.tabpy_server.processes.stop_flag import FINISH, STOP_AT_ONCE, StopFlag

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1)


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    before = {each: signal.getsignal(each) for each in SIGNALS}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


class FakeWebProcess:
    """Serves until it's told to stop, and says how it was told."""

    def __init__(self, when_serving: Any) -> None:
        self._when_serving = when_serving
        self.at_once = False

    def stop_at_once(self) -> None:
        self.at_once = True

    async def serve(self, _: Any, stop: asyncio.Event) -> None:
        self._when_serving()
        await stop.wait()


def run(
    when_serving: Any, ppid: int | None = None, stop_flag: StopFlag | None = None
) -> FakeWebProcess:
    web = FakeWebProcess(when_serving)
    worker: Any = WebWorker.__new__(WebWorker)
    state = SimpleNamespace(stop_flag=stop_flag or StopFlag())
    worker.app = SimpleNamespace(web_process=lambda _: web, state=state)
    worker.log = logging.getLogger("test")
    worker.log.reopen_files = lambda: None
    worker.sockets = []
    worker.ppid = os.getppid() if ppid is None else ppid
    worker.notify = lambda: None
    asyncio.run(worker._run())
    return web


@pytest.mark.parametrize(
    ("number", "at_once"),
    [(signal.SIGTERM, False), (signal.SIGINT, True), (signal.SIGQUIT, True)],
)
def test_a_signal_stops_it(number: signal.Signals, at_once: bool) -> None:
    web = run(lambda: os.kill(os.getpid(), number))
    assert web.at_once == at_once


def test_a_signal_that_comes_again_while_it_leaves_does_not_cut_it_short() -> None:
    run(lambda: os.kill(os.getpid(), signal.SIGTERM))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        assert signal.getsignal(number) == signal.SIG_IGN


def test_it_stops_when_the_arbiter_is_gone() -> None:
    run(lambda: None, ppid=-1)


@pytest.mark.parametrize(("value", "at_once"), [(FINISH, False), (STOP_AT_ONCE, True)])
def test_it_stops_though_the_arbiters_signal_came_too_early(value: int, at_once: bool) -> None:
    stop_flag = StopFlag()
    stop_flag.set(value)
    assert run(lambda: None, stop_flag=stop_flag).at_once == at_once
