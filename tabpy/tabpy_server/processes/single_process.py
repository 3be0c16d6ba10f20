"""The server without gunicorn, where there is no fork to rely on: one web process, no arbiter."""

import asyncio
import signal
import socket
from collections.abc import Mapping

from tabpy.tabpy_server.processes.prefork_state import PreforkState
from tabpy.tabpy_server.processes.web_process import WebProcess
from tabpy.tabpy_server.workers.fork_server.environment import script_environment
from tabpy.tabpy_server.workers.pool.launchers import SpawnLauncher

BACKLOG = 2048  # connections that may wait to be accepted; gunicorn's number


def run(state: PreforkState, listener: socket.socket, environment: Mapping[str, str]) -> None:
    """Serve on the bound socket `listener` until SIGINT or SIGTERM."""
    listener.listen(BACKLOG)
    listener.setblocking(False)
    launcher = SpawnLauncher(
        state.settings.preload,
        state.settings.script_memory_mb,
        script_environment(environment, state.settings).variables,
    )

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        web = WebProcess(state, launcher, others=0, place=0)

        def stop_at_once() -> None:  # Ctrl-C: somebody is waiting
            web.stop_at_once()
            stop.set()

        signal.signal(signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(stop.set))
        signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(stop_at_once))
        await web.serve([listener], stop)

    # Not the default loop of Windows: that one can't watch the workers' sockets.
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(serve())
