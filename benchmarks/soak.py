"""`python -m benchmarks.soak [--requests N]`: does the server keep what many hours leave behind?

Mixed requests, large ones, errors, time-outs, dying workers and clients that don't wait among
them. Says how much memory the whole tree has after the first thousand and at the end, and which
processes there are.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.connection import Connection, Reply, WrongReply, request
from benchmarks.measure import memory_of
from benchmarks.servers import Kind, Server, exit_on_sigterm, running

CLIENTS = 8
FIRST = 1_000
SETTLE = 6.0  # seconds for replaced workers and freed memory, at both measurings
ALLOWED = 1.15  # times the memory after the first thousand
SETTINGS = {
    "TABPY_EVALUATE_TIMEOUT": "1",
    "TABPY_MODELS_PATH": str(Path(__file__).parent.parent / "models"),
}


def evaluate(script: str, *columns: object) -> dict[str, object]:
    return {"script": script, "data": {f"_arg{n}": each for n, each in enumerate(columns, 1)}}


# What is sent: how often in a thousand, method, path, payload, the status that is right.
MIX: list[tuple[int, str, str, object, int]] = [
    (600, "POST", "/evaluate", evaluate("return [x + 1 for x in _arg1]", [1, 2, 3]), 200),
    (150, "GET", "/info", None, 200),
    (120, "POST", "/query/Outlier Score", {"data": {"values": [1, 2, 3, 90]}}, 200),
    (60, "POST", "/evaluate", evaluate("return tabpy.query('Outlier Score', _arg1)['response']",
                                       [1.0, 2.0, 3.0]), 200),
    (40, "POST", "/evaluate", evaluate("return 1 / 0"), 500),
    (10, "POST", "/evaluate", {"data": {}}, 400),
    (10, "GET", "/nothing", None, 404),
    (8, "POST", "/evaluate", evaluate("return [x * 2 for x in _arg1]", [0.5] * 50_000), 200),
    (1, "POST", "/evaluate", evaluate("while True: pass"), 408),
    (1, "POST", "/evaluate", evaluate("import os; os._exit(1)"), 500),
]  # fmt: skip


def main() -> int:
    """0 if memory and processes are within bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000, metavar="N")
    exit_on_sigterm()
    wanted: int = parser.parse_args().requests
    with tempfile.TemporaryDirectory() as folder:
        kind = Kind.prepare("ours", Path(sys.executable).parent, Path(folder))
        with running(kind, SETTINGS) as server:
            work = Work(server)
            work.until_deployed()
            work.run(FIRST)
            time.sleep(SETTLE)
            before, processes = measured(server)
            print(f"after {FIRST:,} requests: {before:.0f} MB, {processes} processes", flush=True)
            work.run(wanted - FIRST)
            time.sleep(SETTLE)
            after, left = measured(server)
            print(f"after {wanted:,} requests: {after:.0f} MB, {left} processes")
            print(f"ratio {after / before:.2f} (allowed: {ALLOWED})")
    return int(after / before > ALLOWED or left > processes)


class Work:
    """Requests in a fixed order, by several clients; any reply with a wrong status is an error."""

    def __init__(self, server: Server) -> None:
        self._server = server
        rendered = [
            (request(method, path.replace(" ", "%20"), server.authorization, payload), status)
            for _, method, path, payload, status in MIX
        ]
        weights = [weight for weight, *_ in MIX]
        # Spread evenly, each kind by its weight, in an order that is the same at every run.
        places = [(step / weight, kind) for kind, weight in enumerate(weights)
                  for step in range(weight)]  # fmt: skip
        self._order = [rendered[kind] for _, kind in sorted(places)]
        self._sent = 0

    def until_deployed(self) -> None:
        """The function from models/ is there."""
        rendered, status = next(each for each in self._order if b"/query/" in each[0])
        check: Callable[[Reply], None] = lambda reply: expect(reply, status)  # noqa: E731
        self._server.wait_until(rendered, check)

    def run(self, count: int) -> None:
        failures: list[str] = []
        threads = [
            threading.Thread(target=self._client, args=(number, count // CLIENTS, failures))
            for number in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise WrongReply(f"{len(failures)} clients failed, the first: {failures[0]}")

    def _client(self, number: int, count: int, failures: list[str]) -> None:
        connection = Connection(self._server.address)
        position = number * len(self._order) // CLIENTS
        try:
            for step in range(count):
                rendered, status = self._order[(position + step) % len(self._order)]
                if step % 500 == 499:  # one that doesn't wait for its reply
                    connection.begin(rendered)
                    connection.close()
                    connection = Connection(self._server.address)
                    continue
                expect(connection.ask(rendered), status)
        except (WrongReply, OSError) as problem:
            failures.append(str(problem))
        finally:
            connection.close()


def expect(reply: Reply, status: int) -> None:
    if reply.status != status:
        raise WrongReply(f"{reply.status} in place of {status}: {reply.body[:200]!r}")


def measured(server: Server) -> tuple[float, int]:
    """MB and number of processes of the whole tree."""
    processes = server.tree()
    return memory_of(processes), len(processes)


if __name__ == "__main__":
    sys.exit(main())
