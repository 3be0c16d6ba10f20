"""A server under load, whose processes are killed at random, and what has to be true meanwhile."""

import itertools
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path

import psutil

from tests.deploying import holds
from tests.running import PASSWORD, USER, Server, basic, is_dead, until
from tests.storm.clients import NAMES, SCRIPTS, USERS, Caller, Deployer, versions
from tests.storm.history import KEPT, History
from tests.storm.record import Record
from tests.storm.strikes import Strike

CALLERS = 4
WEB_PROCESSES = 2
BURST = 8  # connections
ONE = '{"script": "return 1", "data": {}}'
BOUND = 10.0  # seconds until the server answers again, and until one that was killed has gone
SETTINGS = {
    "WEB_CONCURRENCY": str(WEB_PROCESSES),
    "TABPY_WORKERS": "2",
    "TABPY_EVALUATE_TIMEOUT": "10",
    "TABPY_KEEP_VERSIONS": str(KEPT),
}


class Storm:
    """Servers, one after the other, that keep their functions in one place; and their clients.

    `over` has the clients leave.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        """Make it in an empty folder; `settings` say where functions are kept, if not there."""
        self._folder = folder
        self._starts = itertools.count()
        (folder / "temporary").mkdir()
        self._settings = {
            **SETTINGS,
            "TABPY_STATE_PATH": str(folder / "state"),
            "TABPY_MODELS_PATH": str(folder / "models"),
            "TMPDIR": str(folder / "temporary"),
            **settings,
        }
        self.record = Record()
        self.over = threading.Event()
        self.histories = {name: History() for name in NAMES}
        self.slowest: dict[str, float] = {}  # seconds to recover, by who was struck
        self._before = psutil.Process().children()
        self._start()

    def run(self, strikes: Iterable[Strike]) -> None:
        """Strike again and again, then end it all. Raises AssertionError, or one of NO_ANSWER, if
        the server doesn't recover; what else is wrong is on record."""
        deployers = [Deployer(self, name) for name in NAMES]
        threads: list[threading.Thread] = []
        try:
            self.server.wait_until_ready()
            for each in deployers:
                each.create()
            callers = [Caller(self, number) for number in range(CALLERS)]
            runs = [*(each.run for each in deployers), *(each.run for each in callers)]
            threads += [threading.Thread(target=self._guarded(each)) for each in runs]
            for thread in threads:
                thread.start()
            probe = Caller(self, CALLERS)
            for number, strike in enumerate(strikes, 1):
                self._round(number, strike, probe)
        finally:
            self.over.set()
            for thread in threads:
                thread.join()
        for name in NAMES:
            assert versions(self, name) is not None
        self._end(self.server)
        for left in (self._folder / "temporary").iterdir():  # of those that were killed, too
            self.record.complain(f"{left.name} is left in the folder of temporary files")

    def close(self) -> None:
        """Leave nothing behind, also after an error."""
        for each in self._left():
            each.kill()
        self.server.process.wait()

    def _guarded(self, run: Callable[[], None]) -> Callable[[], None]:
        def guarded() -> None:
            try:
                run()
            except Exception:  # noqa: BLE001 - nobody else would hear of it
                self.record.complain(traceback.format_exc())

        return guarded

    def _start(self) -> None:
        folder = self._folder / f"server{next(self._starts)}"
        folder.mkdir()
        self.server = Server(folder, self._settings, users=USERS)

    def _round(self, number: int, strike: Strike, probe: Caller) -> None:
        time.sleep(strike.delay)
        victims = until(lambda: strike.victims(self.server), f"{strike}: somebody is there")
        outage = self.record.begin_outage(strike)
        strike.carry_out(victims)
        since = time.monotonic()
        if strike.ends_its_victims:
            until(lambda: all(map(is_dead, victims)), f"{strike}: it ends", BOUND)
        if strike.ends_the_server:
            self._end(self.server, by=strike)
            since = time.monotonic()
            self._start()
            self.server.wait_until_ready()
        self._recover(strike, probe)
        outage.until = time.monotonic()
        took = outage.until - since
        self.slowest[strike.kind] = max(took, self.slowest.get(strike.kind, 0.0))
        print(f"{number} {strike}: well after {took:.1f} s", flush=True)

    def _recover(self, strike: Strike, probe: Caller) -> None:
        """Wait until all is as it should be again, in each web process."""
        for condition in (
            lambda: len(self.server.web_processes()) == WEB_PROCESSES,
            self._each_web_process_answers,
            lambda: all(map(probe.evaluate, SCRIPTS)),
            lambda: all(map(probe.call, NAMES)),
            lambda: all(versions(self, each) for each in NAMES),
        ):
            until(condition, f"{strike}: the server recovers", BOUND)

    def _each_web_process_answers(self) -> bool:
        """Several connections at once reach them all, or nearly always."""
        with ExitStack() as opened:
            lines = [
                opened.enter_context(
                    closing(HTTPConnection("127.0.0.1", self.server.port, timeout=BOUND))
                )
                for _ in range(BURST)
            ]
            for line in lines:
                line.request("POST", "/evaluate", ONE, {"Authorization": basic(USER, PASSWORD)})
            clients = [line.sock.getsockname() for line in lines]
            if not all(line.getresponse().read() == b"1" for line in lines):
                return False
            return all(
                any(holds(process, client) for client in clients)
                for process in self.server.web_processes()
            )

    def _end(self, server: Server, by: Strike | None = None) -> None:
        """Nothing is left of a server that was told to end, or that has lost its arbiter."""
        if by is None or by.way == "SIGTERM":
            code = server.stop()
            if code != 0:
                self.record.complain(f"the server ended with {code}")
        else:
            server.process.wait()
        until(lambda: not self._left(), "nothing is left of the server", BOUND)

    def _left(self) -> list[psutil.Process]:
        ours = [each for each in psutil.Process().children() if each not in self._before]
        below = [each.children(recursive=True) for each in ours if not is_dead(each)]
        return [each for each in itertools.chain(ours, *below) if not is_dead(each)]
