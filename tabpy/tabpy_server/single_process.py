"""The server without gunicorn, where there is no fork to rely on: one web process, no arbiter."""

import asyncio
import signal
import socket
from collections.abc import Mapping

from tabpy.tabpy_server.auth import Gate, OpenGate
from tabpy.tabpy_server.errors import StartError
from tabpy.tabpy_server.service import Service
from tabpy.tabpy_server.settings import Settings
from tabpy.tabpy_server.web import WebProcess
from tabpy.tabpy_server.workers.spawn import SpawnLauncher


def run(
    settings: Settings, service: Service, gate: Gate | OpenGate, environment: Mapping[str, str]
) -> None:
    """Serve until SIGINT or SIGTERM. Raises StartError if the port can't be had."""
    try:
        listener = socket.create_server(("0.0.0.0", settings.port))  # noqa: S104 - a server's job
    except OSError as problem:
        raise StartError(f"TABPY_PORT is {settings.port}: {problem.strerror}.") from None
    listener.setblocking(False)
    launcher = SpawnLauncher(settings.preload, environment)

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, lambda *_: loop.call_soon_threadsafe(stop.set))
        web = WebProcess(settings, service, gate, launcher)
        await web.serve([listener], stop)

    # Not the default loop of Windows: that one can't watch the workers' sockets.
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(serve())
