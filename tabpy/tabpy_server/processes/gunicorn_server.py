"""The server as users start it: gunicorn's arbiter over web processes, the fork server, and the
flight process if there is one.

The fork server is started before anything heavy is imported here, so both get ready at the same
time; the port opens when the fork server could fork a worker. When it dies, it's started anew, and
the requests to fork that came in between wait for it in the socket.
"""

import gc
import itertools
import logging
import signal
import socket
import sys
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker

from tabpy.tabpy_server import machine
from tabpy.tabpy_server.metrics import files
from tabpy.tabpy_server.processes.prefork_state import PreforkState
from tabpy.tabpy_server.processes.stop_flag import FINISH, STOP_AT_ONCE
from tabpy.tabpy_server.processes.web_process import WebProcess
from tabpy.tabpy_server.workers.fork_server.process import ForkServerProcess
from tabpy.tabpy_server.workers.pool.launchers import ForkLauncher

# gunicorn would reload, count web processes up or down, or exec itself anew: with its environment
# readable for a moment. Scripts run as the same user, and may send signals where no kernel stops
# them; nobody else needs these.
REFUSED_SIGNALS = ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGTTIN", "SIGTTOU", "SIGWINCH")


class Server(BaseApplication):
    """gunicorn's application object, with our settings in place of its command line."""

    def __init__(
        self, state: PreforkState, fork_server: ForkServerProcess, listener: socket.socket
    ) -> None:
        self.state = state
        self.fork_server = fork_server
        self.listener = listener
        super().__init__()

    def load_config(self) -> None:
        options: dict[str, Any] = {
            "bind": f"fd://{self.listener.fileno()}",
            "workers": self.state.settings.web_processes,
            "worker_class": "tabpy.tabpy_server.processes.gunicorn_worker.WebWorker",
            "logger_class": ArbiterLogger,
            # Longer than any script: a drain ends when the last one has.
            "graceful_timeout": int(self.state.settings.drain_timeout) + 5,
            "timeout": 30,
            "control_socket_disable": True,
            "preload_app": True,
            "pre_fork": _give_place,
            "child_exit": lambda _, worker: files.forget_process(worker.pid),
            "proc_name": "tabpy",
            # gunicorn only tells from it what to call our address in its log.
            "certfile": self._certificate_file,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    @property
    def _certificate_file(self) -> str | None:
        settings = self.state.settings
        return str(settings.certificate_file) if settings.speaks_https else None

    def load(self) -> Any:
        return self  # what gunicorn calls the WSGI callable; our workers ask for `web_process`

    def web_process(self, place: int) -> WebProcess:
        """Made in the web process itself, since it needs a running loop. `place`: its own among
        the web processes."""
        launcher = ForkLauncher(self.fork_server.requests, self.fork_server.state)
        others = self.state.settings.web_processes - 1
        return WebProcess(self.state, launcher, others, place)

    def run(self) -> None:
        """Serve until a signal ends it."""
        if machine.is_small():
            # Each web process would import it, with SQLAlchemy, soon after it has begun to answer:
            # 20 MB. Here it takes that once, while the fork server imports what takes longer.
            import tabpy.tabpy_server.functions.store.store  # noqa: F401
        # What is there by now stays for good. A collector that looked at it would have each web
        # process copy the pages that it shares with this one.
        gc.freeze()
        gc.enable()
        ForkServerArbiter(self).run()


def _give_place(arbiter: Arbiter, worker: Worker) -> None:
    """Give a web process, just before it is forked, a number that no other one has."""
    taken = {each.place for each in arbiter.WORKERS.values()}
    worker.place = next(each for each in itertools.count() if each not in taken)


class ForkServerArbiter(Arbiter):
    """An arbiter that also keeps the fork server and the flight process alive."""

    app: Server

    def start(self) -> None:
        self.app.fork_server.wait_until_ready()
        if self.app.state.flight is not None:
            self.app.state.flight.wait_until_ready()
        super().start()

    def init_signals(self) -> None:
        # Whoever closes the terminal means the server that runs there, unless by nohup.
        ends = stands_at_terminal() and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
        super().init_signals()
        for name in REFUSED_SIGNALS:
            if not (ends and name == "SIGHUP"):
                signal.signal(getattr(signal, name), signal.SIG_IGN)

    def handle_hup(self) -> None:
        """End like at SIGTERM; gunicorn would reload."""
        self.handle_term()

    def stop(self, graceful: bool = True) -> None:
        self.app.state.stop_flag.set(FINISH if graceful else STOP_AT_ONCE)
        super().stop(graceful)

    def manage_workers(self) -> None:
        self.app.fork_server.restart_if_dead()
        if self.app.state.flight is not None:
            self.app.state.flight.restart_if_dead([each.sock for each in self.LISTENERS])
        if (certificate := self.app.state.certificate) is not None:
            certificate.look()  # for web processes that are forked later
        super().manage_workers()


def stands_at_terminal() -> bool:
    """Tell whether the server was started at a terminal."""
    return sys.stdin is not None and sys.stdin.isatty()


class ArbiterLogger(Logger):
    """Sends the arbiter's words to our log; requests are logged by their handlers."""

    def setup(self, cfg: Any) -> None:
        self.error_log = logging.getLogger("gunicorn")
        self.error_log.setLevel(max(logging.getLogger().level, logging.INFO))
        self._is_https = cfg.is_ssl

    def info(self, msg: str, *arguments: object, **options: Any) -> None:
        """Log it; gunicorn calls each IPv6 address one of http."""
        if self._is_https:
            arguments = tuple(_as_https(each) for each in arguments)
        super().info(msg, *arguments, **options)

    def access(self, *_: object) -> None:
        pass


def _as_https(argument: object) -> object:
    if isinstance(argument, str) and argument.startswith("http://["):
        return argument.replace("http://", "https://", 1)
    return argument
