"""The server without gunicorn, where there is no fork to rely on: one web process, no arbiter."""

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Mapping

from tabpy.tabpy_server.processes.prefork_state import PreforkState
from tabpy.tabpy_server.processes.web_process import WebProcess
from tabpy.tabpy_server.workers.pool.launchers import SpawnLauncher

BACKLOG = 2048  # connections that may wait to be accepted; gunicorn's number
FINISH = [signal.SIGTERM]  # what asks to answer the requests that have begun, and to leave then
if sys.platform == "win32":
    FINISH.append(signal.SIGBREAK)


def run(state: PreforkState, listener: socket.socket, environment: Mapping[str, str]) -> None:
    """Serve on the bound socket `listener` until SIGINT or SIGTERM; on Windows also Ctrl-Break,
    which is what a program can send. `environment`: what scripts find in `os.environ`."""
    listener.listen(BACKLOG)
    listener.setblocking(False)
    launcher = SpawnLauncher(
        state.settings.preload,
        state.settings.script_memory_mb,
        environment,
    )

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        web = WebProcess(state, launcher, others=0, place=0)

        def stop_at_once() -> None:  # Ctrl-C: somebody is waiting
            web.stop_at_once()
            stop.set()

        for each in FINISH:
            signal.signal(each, lambda *_: loop.call_soon_threadsafe(stop.set))
        signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(stop_at_once))
        await web.serve([listener], stop)

    gc.freeze()  # what has been imported stays for good
    gc.enable()
    # Not the default loop of Windows: that one can't watch the workers' sockets.
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(serve())
