"""A web process under gunicorn: what gunicorn calls a worker.

gunicorn's own tornado worker drops requests in flight after SIGTERM and knows none of the limits.
"""

import asyncio
import gc
import os
import signal
from typing import TYPE_CHECKING

from gunicorn.workers.base import Worker

from tabpy.tabpy_server.processes import event_loop
from tabpy.tabpy_server.processes.stop_flag import FINISH, STOP_AT_ONCE

if TYPE_CHECKING:
    from tabpy.tabpy_server.processes.gunicorn_server import Server

IGNORED_SIGNALS = (
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
    signal.SIGTTIN,
    signal.SIGTTOU,
)


class WebWorker(Worker):
    """Runs a `WebProcess` between gunicorn's signals and its heartbeat."""

    app: "Server"
    place = 0  # among the web processes

    def init_signals(self) -> None:
        """Signals go to the event loop (in `run`); ABRT is how gunicorn ends a loop that hangs."""
        signal.signal(signal.SIGABRT, self.handle_abort)
        for ignored in IGNORED_SIGNALS:
            signal.signal(ignored, signal.SIG_IGN)

    def run(self) -> None:
        # What was imported before the fork stays for good: the collector need not look at it.
        gc.freeze()
        event_loop.run(self._run())

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        web = self.app.web_process(self.place)

        def stop_at_once() -> None:
            web.stop_at_once()
            stop.set()

        loop.add_signal_handler(signal.SIGTERM, stop.set)
        for each in (signal.SIGINT, signal.SIGQUIT):  # Ctrl-C: somebody is waiting
            loop.add_signal_handler(each, stop_at_once)
        for each in self.sockets:
            each.setblocking(False)
        serving = loop.create_task(web.serve(self.sockets, stop))
        while not serving.done():
            self.notify()
            if self.app.state.stop_flag.value == STOP_AT_ONCE:
                stop_at_once()
            elif self.app.state.stop_flag.value == FINISH or os.getppid() != self.ppid:
                stop.set()  # without an arbiter, nobody would start another one either
            await asyncio.wait((serving,), timeout=1.0)
        for each in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_IGN)  # a platform may send it again while we leave
        await serving
