"""A web process answers before its workers are there, and ends when it is told to."""

import asyncio
import json
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tabpy.tabpy_server.access.gate import OpenGate
from tabpy.tabpy_server.activity.board import Board
from tabpy.tabpy_server.processes.prefork_state import PreforkState
from tabpy.tabpy_server.processes.web_process import WebProcess
from tabpy.tabpy_server.script_rules import InForce
from tabpy.tabpy_server.settings import Settings
from tabpy.tabpy_server.web.server_info import Service
from tabpy.tabpy_server.workers.pool.launchers import SocketLauncher


class SilentLauncher(SocketLauncher):
    """Starts workers that never say that they are ready."""

    origin = ""

    def __init__(self) -> None:
        self.ends: list[socket.socket] = []

    def shelf_origin(self, key: str) -> str:
        return ""

    def launch(self, worker_end: socket.socket, shelf: str = "") -> Callable[[], None]:
        self.ends.append(worker_end.dup())
        return lambda: None

    def ask_for_shelf(self, request: bytes) -> None:
        pass

    def close(self) -> None:
        for each in self.ends:
            each.close()


Test = Callable[[WebProcess, int, asyncio.Event], Coroutine[Any, Any, None]]


def with_web_process(folder: Path, test: Test) -> None:
    """Run a test while a web process serves, whose workers don't come. It is over when it has
    been told to stop."""

    async def run() -> None:
        settings = Settings(workers=1, model_memory_mb=1.0, state_path=folder, host_names=())
        state = PreforkState(settings, Service(), OpenGate(), InForce(), Board(1))
        launcher = SilentLauncher()
        web = WebProcess(state, launcher, others=0, place=0)
        stop = asyncio.Event()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            port = listener.getsockname()[1]
            async with asyncio.timeout(20):
                serving = asyncio.ensure_future(web.serve([listener], stop))
                await test(web, port, stop)
                stop.set()
                await serving
        launcher.close()

    asyncio.run(run())


async def ask(port: int, text: str) -> tuple[int, Any]:
    """One request on a connection of its own: status and JSON."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text.encode())
    head = await reader.readuntil(b"\r\n\r\n")
    [length] = [
        int(line.split(b":")[1]) for line in head.splitlines() if line.startswith(b"Content-Length")
    ]
    body = await reader.readexactly(length)
    writer.close()
    return int(head.split()[1]), json.loads(body)


def test_it_says_what_it_is_before_a_script_can_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(web: WebProcess, port: int, stop: asyncio.Event) -> None:
        status, info = await ask(port, "GET /info HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert (status, info["name"]) == (200, "TabPy Server")
        assert "ready" not in [each.getMessage() for each in caplog.records]

    with_web_process(tmp_path, test)


def test_a_script_waits_for_a_worker_and_is_told_when_none_will_come(tmp_path: Path) -> None:
    async def test(web: WebProcess, port: int, stop: asyncio.Event) -> None:
        body = '{"script": "return 1", "data": {}}'
        head = f"POST /evaluate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
        asking = asyncio.ensure_future(ask(port, head + body))
        while not web._context.pool.waiting:  # noqa: ASYNC110 - a turn of the loop, and no time
            await asyncio.sleep(0)
        web.stop_at_once()
        stop.set()
        status, error = await asking
        assert (status, error["message"]) == (503, "The server is restarting.")

    with_web_process(tmp_path, test)
